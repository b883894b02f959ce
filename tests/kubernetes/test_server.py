"""The cluster of these tests answers the official client as a real one would: without that the runs beside it prove nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import kubernetes
import pytest

from plinth.errors import OutOfMemory, PodFailed, PodUnplaced, WorkInterrupted
from plinth.pod_status import end_of, unplaced
from tests.kubernetes.cluster import Node
from tests.kubernetes.server import ApiServer

pytestmark = pytest.mark.slow
MIB = 2**20


class Client:
    """The official client on the server of a test."""

    def __init__(self, server: ApiServer, token: str | None = None) -> None:
        config = kubernetes.client.Configuration(host=f"http://127.0.0.1:{server.server_address[1]}")
        config.api_key = {"authorization": f"Bearer {token or server.token}"}
        api = kubernetes.client.ApiClient(config)
        self.core, self.batch = kubernetes.client.CoreV1Api(api), kubernetes.client.BatchV1Api(api)

    def run(self, name: str, *command: str, owner: Any = None, memory: str | None = None, **spec: Any) -> None:
        """Creates a job."""
        job_spec = {
            key: spec.pop(key) for key in list(spec) if key in ("ttlSecondsAfterFinished", "activeDeadlineSeconds")
        }
        container = {"name": "main", "image": "none", "command": list(command)}
        if memory is not None:
            container["resources"] = {"limits": {"memory": memory}, "requests": {"memory": memory}}  # type: ignore[assignment]
        template = {
            "metadata": {"labels": {"of": name}},
            "spec": {"restartPolicy": "Never", "containers": [container], **spec},
        }
        meta: dict[str, Any] = {"name": name, "labels": {"team": "a"}}
        if owner is not None:
            meta["ownerReferences"] = [
                {"apiVersion": "v1", "kind": "Pod", "name": owner.metadata.name, "uid": owner.metadata.uid}
            ]
        self.batch.create_namespaced_job("plinth", {"metadata": meta, "spec": {"backoffLimit": 0, "template": template, **job_spec}})  # fmt: skip

    def pod(self, job: str) -> Any:
        """The pod of a job."""
        return until(lambda: self.core.list_namespaced_pod("plinth", label_selector=f"job-name={job}").items)[0]

    def end(self, job: str) -> Any:
        """Why a job failed, as the platform understands it."""
        status = until(lambda: (found := self.batch.read_namespaced_job_status(job, "plinth").status).failed and found)
        return end_of(self.core.list_namespaced_pod("plinth", label_selector=f"job-name={job}").items, job, status)


def until(what: Callable[[], Any], seconds: float = 30) -> Any:
    """What `what` gives once it gives something."""
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("nothing came")


@pytest.fixture
def client(api_server: ApiServer) -> Client:
    """The official client."""
    return Client(api_server)


def test_a_job_runs_its_command_and_keeps_its_log(client: Client) -> None:
    client.run("hello", "sh", "-c", "echo $GREETING from $HOSTNAME")
    until(lambda: client.batch.read_namespaced_job_status("hello", "plinth").status.succeeded)
    pod = client.pod("hello")
    assert pod.status.phase == "Succeeded" and pod.status.container_statuses[0].state.terminated.exit_code == 0
    log = client.core.read_namespaced_pod_log(pod.metadata.name, "plinth", _preload_content=False)
    assert log.data.decode().strip() == f"from {pod.metadata.name}"
    assert client.core.list_namespaced_pod("plinth", label_selector="of=other").items == []
    assert client.core.list_namespaced_pod("plinth", field_selector="status.phase=Running").items == []


def test_wrong_tokens_names_and_paths_are_refused(client: Client, api_server: ApiServer) -> None:
    client.run("one", "true")
    refused = kubernetes.client.ApiException
    with pytest.raises(refused, match="AlreadyExists"):
        client.run("one", "true")
    with pytest.raises(refused, match="NotFound"):
        client.batch.read_namespaced_job("two", "plinth")
    with pytest.raises(refused, match="401"):
        Client(api_server, "wrong").core.list_namespaced_pod("plinth")
    with pytest.raises(refused, match="404"):
        client.core.list_namespaced_service("plinth")


def test_a_watch_tells_what_happens(client: Client) -> None:
    client.run("watched", "true")
    watch = kubernetes.watch.Watch()
    seen = []
    for event in watch.stream(client.core.list_namespaced_pod, "plinth", timeout_seconds=20):
        seen.append((event["type"], event["object"].status.phase))
        if seen[-1][1] == "Succeeded":
            watch.stop()
    assert seen[0][0] == "ADDED" and ("MODIFIED", "Running") in seen


def test_a_pod_over_its_memory_is_killed_and_says_so(client: Client) -> None:
    hungry = "import time; held = bytearray(b'x' * 120_000_000); time.sleep(30)"
    client.run("hungry", sys.executable, "-c", hungry, memory="60Mi")
    end = client.end("hungry")
    assert isinstance(end, OutOfMemory)
    assert end.expected == "at most 60Mi bytes" and end.found == "OOMKilled, exit code 137"


def test_an_error_of_the_work_is_none_of_the_node(client: Client) -> None:
    client.run("wrong", "sh", "-c", "exit 3")
    end = client.end("wrong")
    assert type(end) is PodFailed and end.found == "exit code 3 (Error)" and not end.transient
    client.run("long", "sleep", "60", activeDeadlineSeconds=1)
    end = client.end("long")
    assert type(end) is PodFailed and "longer" in str(end)


def test_an_eviction_a_preemption_and_a_shutdown_are_interruptions(client: Client, api_server: ApiServer) -> None:
    for name in ("evicted", "preempted", "shut"):
        client.run(name, "sleep", "60")
        until(lambda name=name: client.pod(name).status.phase == "Running")
    evicted = client.pod("evicted").metadata.name
    client.core.create_namespaced_pod_eviction(evicted, "plinth", {"metadata": {"name": evicted}})
    api_server.cluster.disrupt(client.pod("preempted").metadata.name, "PreemptionByScheduler", "preempting to accommodate a higher priority pod")  # fmt: skip
    ends = [client.end(name) for name in ("evicted", "preempted")]
    api_server.cluster.shut_down("node-1")
    ends.append(client.end("shut"))
    assert [type(end) for end in ends] == [WorkInterrupted] * 3 and all(end.transient for end in ends)
    assert "Terminated: Pod was terminated in response to imminent node shutdown" in str(ends[2])


def test_a_pod_that_no_node_takes_waits_with_a_reason(client: Client, api_server: ApiServer) -> None:
    api_server.cluster.nodes = [
        Node("tainted", {"gpu": "yes"}, [{"key": "gpu", "value": "yes"}]),
        Node("small", capacity={"memory": 50 * MIB}),
    ]
    client.run("waiting", "true", memory="1Gi", nodeSelector={"gpu": "yes"})
    pod = until(lambda: (found := client.pod("waiting")).status.conditions and found)
    time.sleep(1.1)
    assert unplaced(pod, 3600) is None
    stuck = unplaced(pod, 1)
    assert isinstance(stuck, PodUnplaced)
    assert "Unschedulable: 0/2 nodes are available" in str(stuck.found) and "untolerated taint {gpu: yes}" in str(
        stuck.found
    )
    assert stuck.expected == "a node with memory 1Gi and labels gpu=yes"
    events = client.core.list_namespaced_event(
        "plinth", field_selector=f"involvedObject.name={pod.metadata.name}"
    ).items
    assert [each.reason for each in events] == ["FailedScheduling"]
    # A node that fits takes it at once.
    api_server.cluster.nodes.append(Node("fitting", {"gpu": "yes"}))
    until(lambda: client.batch.read_namespaced_job_status("waiting", "plinth").status.succeeded)


def test_deletes_propagate_as_asked_and_owners_take_what_they_own(client: Client, api_server: ApiServer) -> None:
    client.run("parent", "sleep", "60")
    parent = until(lambda: (found := client.pod("parent")).status.phase == "Running" and found)
    client.run("child", "sleep", "60", owner=parent)
    until(lambda: client.pod("child").status.phase == "Running")
    client.batch.delete_namespaced_job("parent", "plinth")
    assert (
        client.core.read_namespaced_pod(parent.metadata.name, "plinth").status.phase == "Running"
    )  # orphaned, by default
    client.core.delete_namespaced_pod(parent.metadata.name, "plinth")
    until(lambda: not client.core.list_namespaced_pod("plinth").items)
    assert client.batch.list_namespaced_job("plinth").items == []
    assert all(process.popen.poll() is not None for process in api_server.kubelet.processes.values())


def test_a_finished_job_goes_after_its_time(client: Client) -> None:
    client.run("brief", "true", ttlSecondsAfterFinished=1)
    until(lambda: not client.batch.list_namespaced_job("plinth").items)
    assert client.core.list_namespaced_pod("plinth").items == []
