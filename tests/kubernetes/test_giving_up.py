"""When a run is given up, and that nothing of it works on then: a cluster that does not answer, jobs that are gone, steps in another namespace.

The daemon's own monitoring looks at runs whose jobs stand in the cluster; their pods only sleep. Whole runs are those of `test_runs`.
"""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import dagster as dg
import kubernetes
import pytest
import yaml
from dagster._core.code_pointer import FileCodePointer
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from jobs.leftovers import STEPS_TAG
from jobs.run_pods import RunPods
from tests.deploy.rendering import STEPS, of_kind, rendered, rights, within
from tests.frame.shop import PROJECT, Shop
from tests.kubernetes.server import ApiServer
from tests.kubernetes.world import World, environment, instance_settings

pytestmark = pytest.mark.slow
LOG = logging.getLogger("tests.kubernetes")
STARTED, FAILED = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE


@dataclass
class Runs:
    """An instance with the cluster's launcher, and runs at work in the cluster."""

    server: ApiServer
    instance: dg.DagsterInstance
    process: WorkspaceProcessContext
    batch: kubernetes.client.BatchV1Api

    @property
    def launcher(self) -> RunPods:
        launcher = self.instance.run_launcher
        assert isinstance(launcher, RunPods)
        return launcher

    def at_work(self, steps_in: str | None = None, parent: str | None = None) -> dg.DagsterRun:
        """A run that has started, with a job of its own and one of a step, once both have a pod that works."""
        tags = {STEPS_TAG: steps_in} if steps_in is not None else {}
        run = create_run_for_test(self.instance, "refresh", status=STARTED, tags=tags, parent_run_id=parent)
        self.job("plinth", f"dagster-run-{run.run_id}", run.run_id)
        self.job(steps_in or "plinth", f"dagster-step-{run.run_id[:8]}", run.run_id)
        self.server.cluster.wait(lambda: len(self.working(run)) == 2)
        return run

    def job(self, namespace: str, name: str, run_id: str) -> None:
        """A job whose pod sleeps, labelled as dagster-k8s labels them."""
        labels = {"dagster/run-id": run_id}
        container = {"name": "dagster", "image": "none", "command": ["sleep", "60"]}
        pod = {"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": [container]}}
        body = {"metadata": {"name": name, "labels": labels}, "spec": {"backoffLimit": 0, "template": pod}}
        self.batch.create_namespaced_job(namespace, body)

    def working(self, run: dg.DagsterRun) -> list[str]:
        """The pods of a run whose processes work."""
        pods = [
            each
            for each in self.server.cluster.all("Pod")
            if each["metadata"]["labels"]["dagster/run-id"] == run.run_id
        ]
        alive = [each for each in pods if each["status"]["phase"] == "Running"]
        return [each["metadata"]["name"] for each in alive if "deletionTimestamp" not in each["metadata"]]

    def monitor(self) -> None:
        """One round of the daemon's monitoring."""
        assert not [error for error in execute_run_monitoring_iteration(self.process, LOG) if error]

    def status(self, run: dg.DagsterRun) -> dg.DagsterRunStatus:
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found.status

    def story(self, run: dg.DagsterRun) -> str:
        events = [each.dagster_event for each in self.instance.all_logs(run.run_id)]
        return "\n".join(event.message or "" for event in events if event is not None)


@pytest.fixture
def runs(shop: Shop, api_server: ApiServer, tmp_path: Path) -> Iterator[Runs]:
    """No run yet."""
    kubeconfig, home = tmp_path / "kubeconfig", tmp_path / "home"
    kubeconfig.write_text(api_server.kubeconfig)
    home.mkdir()
    (home / "dagster.yaml").write_text(instance_settings(shop, kubeconfig))
    config = kubernetes.client.Configuration(host=f"http://127.0.0.1:{api_server.server_address[1]}")
    config.api_key = {"authorization": f"Bearer {api_server.token}"}
    batch = kubernetes.client.BatchV1Api(kubernetes.client.ApiClient(config))
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as process,
    ):
        yield Runs(api_server, instance, process, batch)


@pytest.mark.parametrize("trouble", ["unavailable", "away", "silent"])
def test_looks_without_an_answer_say_nothing_of_a_run(
    runs: Runs, trouble: Literal["unavailable", "away", "silent"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.cluster_client.READ_SECONDS", 0.5)
    run = runs.at_work()
    runs.server.trouble = trouble
    began = time.monotonic()
    runs.monitor()
    assert time.monotonic() - began < 8, "the daemon has other runs to look at"
    assert runs.status(run) is STARTED, runs.story(run)
    runs.server.trouble = ""
    runs.monitor()
    assert runs.status(run) is STARTED, runs.story(run)
    assert len(runs.working(run)) == 2


def test_a_run_without_an_answer_for_long_is_given_up_and_ended_before_it_begins_again(runs: Runs) -> None:
    runs.launcher._unanswered_seconds = 1
    first = runs.at_work(steps_in="plinth-steps")
    runs.server.trouble = "away"
    runs.monitor()
    assert runs.status(first) is STARTED
    time.sleep(1.1)
    runs.monitor()
    assert runs.status(first) is FAILED
    assert "has given no answer about the job" in runs.story(first)
    assert runs.story(first).count("could not be searched for what is still at work") == 2

    runs.server.trouble = ""
    assert len(runs.working(first)) == 2
    origin = JobPythonOrigin(
        "refresh", RepositoryPythonOrigin(sys.executable, FileCodePointer("none.py", "defs"), None, ["true"])
    )
    family = {"parent_run_id": first.run_id, "root_run_id": first.run_id}
    again = create_run_for_test(runs.instance, "refresh", job_code_origin=origin, **family)
    runs.launcher.launch_run(LaunchRunContext(again, runs.process.create_request_context()))
    assert not runs.working(first), "ended before the next run began"
    assert f"dagster-run-{again.run_id}" in {each["metadata"]["name"] for each in runs.server.cluster.all("Job")}


def test_a_run_whose_job_is_gone_leaves_nothing_at_work(runs: Runs) -> None:
    run = runs.at_work()
    runs.server.cluster.delete("Job", "plinth", f"dagster-run-{run.run_id}", "Orphan")
    assert len(runs.working(run)) == 2
    runs.monitor()
    assert runs.status(run) is FAILED
    assert "somebody has deleted it" in runs.story(run)
    assert "The pod dagster-run" in runs.story(run) and "The job dagster-step" in runs.story(run)
    assert not runs.working(run)


def test_what_works_on_after_a_run_was_marked_as_over_by_force_is_ended(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.leftovers._LINGER_SECONDS", 0.0)
    forced, other = runs.at_work(steps_in="plinth-steps"), runs.at_work()
    runs.job("plinth", "dagster-run-of-another-instance", "no-run-of-ours")
    runs.instance.report_run_canceled(forced, "marked as over by force")
    time.sleep(0.1)
    runs.monitor()
    assert not runs.working(forced)
    assert runs.story(forced).count("was still at work for this run, which is over") == 2
    assert len(runs.working(other)) == 2 and runs.status(other) is STARTED
    assert "dagster-run-of-another-instance" in {each["metadata"]["name"] for each in runs.server.cluster.all("Job")}


def granted(role: str) -> dict[tuple[str, str], set[str]]:
    """What the chart allows a role in a namespace of steps."""
    roles = {each["metadata"]["name"]: each for each in of_kind(within(rendered("apart"), STEPS), "Role")}
    return rights(roles[role])


def test_the_daemon_ends_what_is_left_also_while_nothing_runs(runs: Runs) -> None:
    forced = runs.at_work(steps_in="plinth-steps")
    runs.instance.report_run_canceled(forced, "marked as over by force")
    home = Path(runs.instance.root_directory)
    with closing(sqlite3.connect(home / "history" / "runs.db")) as history, history:
        history.execute("UPDATE runs SET end_time = end_time - 600")
    values = yaml.safe_load((home / "dagster.yaml").read_text())
    shipped = yaml.safe_load((PROJECT / "deploy" / "dagster-kubernetes.yaml").read_text())
    (home / "dagster.yaml").write_text(yaml.safe_dump(values | {"run_coordinator": shipped["run_coordinator"]}))
    runs.server.used("plinth-steps")
    with (home / "daemon.log").open("w") as log:
        daemon = subprocess.Popen(
            [Path(sys.executable).with_name("dagster-daemon"), "run", "--empty-workspace"],
            env={**environment(), "DAGSTER_HOME": str(home)},
            cwd=home,
            stdout=log,
            stderr=log,
        )
        try:
            runs.server.cluster.wait(lambda: not runs.working(forced))
            runs.server.cluster.wait(lambda: runs.story(forced).count("which is over, and is deleted") == 2)
        finally:
            daemon.terminate()
            daemon.wait(30)
    assert runs.server.used("plinth-steps") == granted("plinth-leftovers"), (
        "no right is missing, and none is for nothing"
    )


def move_steps(world: World) -> None:
    """Gives the steps of the world a namespace of their own."""
    file = world.shop.folder / "platform.yaml"
    values = yaml.safe_load(file.read_text())
    values["execution"]["kubernetes"]["namespace"] = "plinth-steps"
    file.write_text(yaml.safe_dump(values))


def test_a_run_uses_the_rights_that_the_chart_gives_it_in_a_namespace_of_steps_and_no_other(world: World) -> None:
    move_steps(world)
    assert not world.wait(world.launch("trial/placeless")).is_success
    assert world.server.used("plinth-steps") == granted("plinth-steps")


def test_steps_in_a_namespace_of_their_own_are_ended_with_their_run(world: World) -> None:
    move_steps(world)
    run = world.launch("trial/slow")
    world.cluster.wait(lambda: world.marks("slow"))
    found = world.instance.get_run_by_id(run)
    assert found is not None and found.tags[STEPS_TAG] == "plinth-steps"
    (job,) = world.cluster.all("Job", "plinth-steps")
    assert not job["metadata"].get("ownerReferences"), "an owner in another namespace counts as gone"
    (of_run,), (of_step,) = world.pods(), world.pods("trial__slow")
    world.server.kubelet.kill(of_run["metadata"]["uid"])
    world.monitor_until_over(run)
    assert f"The job {job['metadata']['name']} was still at work for this run and is deleted." in world.story(run)
    world.cluster.wait(lambda: world.server.kubelet.end_of(of_step["metadata"]["uid"]))
    world.cluster.wait(lambda: not world.cluster.all("Job", "plinth-steps"))
