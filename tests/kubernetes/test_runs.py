"""Whole runs on a cluster: launched by the launcher, heavy steps as pods, small ones beside the run, each end told apart."""

from __future__ import annotations

import json

import dagster as dg
import kubernetes
import pytest
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import consume_new_runs_for_automatic_reexecution
from dagster._daemon.backfill import execute_backfill_iteration
from dagster_graphql.test.utils import execute_dagster_graphql

from jobs.run_pods import ENDED_TAG, RunPods
from tests.kubernetes.cluster import Node
from tests.kubernetes.world import LOG, MIB, World

pytestmark = pytest.mark.slow


def limits(pod: dict) -> dict[str, str]:  # type: ignore[type-arg]
    """The limits of a pod's container."""
    found: dict[str, str] = pod["spec"]["containers"][0]["resources"]["limits"]
    return found


def test_an_asset_launched_from_the_graph_becomes_a_pod_of_its_profile(world: World) -> None:
    run = world.launch("bronze/client", "trial/tiny")
    assert world.wait(run).is_success, world.story(run)
    assert world.shop.table("client").rows == 2

    (of_run,), (of_step,) = world.pods(), world.pods("bronze__client")
    assert limits(of_run)["memory"] == "1536Mi"
    assert limits(of_step) == {"cpu": "1", "memory": str(600 * MIB), "ephemeral-storage": str(2**30)}
    container, spec = of_step["spec"]["containers"][0], of_step["spec"]
    assert [each["value"] for each in container["env"] if each["name"] == "PLINTH_PROFILE"] == ["medium"]
    assert {"secretRef": {"name": "shop"}} in container["envFrom"]
    assert (spec["serviceAccountName"], container["image"]) == ("plinth-steps", "plinth:test")
    assert [each["spec"]["automountServiceAccountToken"] for each in (of_run, of_step)] == [True, False]
    # The small step ran in the run's pod.
    assert world.pods("trial__tiny") == [] and world.marks("tiny") == ["small"]

    job = next(each for each in world.cluster.all("Job") if each["metadata"]["name"].startswith("dagster-step"))
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Pod", of_run["metadata"]["name"])
    assert (job["spec"]["ttlSecondsAfterFinished"], job["spec"]["activeDeadlineSeconds"], job["spec"]["backoffLimit"]) == (86400, 303, 0)  # fmt: skip
    # When the run's pod goes, so do the jobs of its steps.
    world.cluster.delete("Pod", "plinth", of_run["metadata"]["name"], "Background")
    world.cluster.wait(
        lambda: not [each for each in world.cluster.all("Job") if "dagster-step" in each["metadata"]["name"]]
    )


def test_a_backfill_keeps_the_pods_size(world: World) -> None:
    mutation = (
        "mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) { __typename "
        "... on PythonError { message } } }"
    )
    asked = {"assetSelection": [{"path": ["trial", "weekly"]}], "partitionNames": ["a", "b"]}
    context = world.process.create_request_context()
    answer = execute_dagster_graphql(context, mutation, {"p": asked}).data["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    list(execute_backfill_iteration(world.process, LOG))
    (run,) = world.instance.get_runs()
    assert world.wait(run.run_id).is_success, world.story(run.run_id)
    (pod,) = world.pods("trial__weekly")
    assert limits(pod)["memory"] == str(600 * MIB)


def test_a_step_out_of_memory_is_done_once_more_with_the_next_profile(world: World) -> None:
    run = world.launch("trial/hungry")
    assert world.wait(run).is_success, world.story(run)
    assert world.marks("hungry") == ["medium", "large"]
    assert [limits(pod)["memory"] for pod in world.pods("trial__hungry")] == [str(600 * MIB), str(2048 * MIB)]
    said = world.story(run)
    assert "killed for want of memory" in said and "once more with the profile large" in said
    found = world.instance.get_run_by_id(run)
    assert found is not None and found.tags["plinth/granted.trial__hungry"] == "large"


def test_a_small_step_that_is_killed_in_the_runs_pod_gets_one_of_its_own(world: World) -> None:
    (world.shop.folder / "marks").mkdir()
    (world.shop.folder / "marks" / "kill_tiny").touch()
    run = world.launch("trial/tiny")
    assert world.wait(run).is_success, world.story(run)
    assert world.marks("tiny") == ["small", "medium"]
    assert len(world.pods("trial__tiny")) == 1


@pytest.mark.parametrize(
    ("asset", "said"),
    [
        ("wrong", "the legacy table is a picture"),
        ("crash", "exit code 3"),
        ("quiet", "the step's pod has ended well, and its step has not ended"),
    ],
)
def test_an_error_of_the_code_is_not_tried_again(world: World, asset: str, said: str) -> None:
    run = world.launch(f"trial/{asset}")
    assert world.wait(run).status is dg.DagsterRunStatus.FAILURE
    assert world.marks(asset) == ["medium"]
    assert said in world.story(run)


def test_a_pod_that_no_node_takes_is_given_up_with_the_schedulers_reason(world: World) -> None:
    run = world.launch("trial/placeless")
    assert world.wait(run).status is dg.DagsterRunStatus.FAILURE
    said = world.story(run)
    assert "did not start within 3 s" in said and "didn't match Pod's node affinity/selector" in said
    assert "accelerator=gpu" in said
    assert world.marks("placeless") == []
    (pod,) = world.pods("trial__placeless")
    world.cluster.wait(lambda: ("Pod", "plinth", pod["metadata"]["name"]) not in world.cluster.objects)


@pytest.mark.parametrize("asset", ["slow", "deaf"])
def test_a_step_whose_node_is_taken_away_is_started_again(world: World, asset: str) -> None:
    """`slow` hears the signal and says so itself; `deaf` is killed without a word, and its pod is gone."""
    run = world.launch(f"trial/{asset}")
    world.cluster.wait(lambda: world.marks(asset))
    (pod,) = world.pods(f"trial__{asset}")
    config = kubernetes.client.Configuration(host=f"http://127.0.0.1:{world.server.server_address[1]}")
    config.api_key = {"authorization": f"Bearer {world.server.token}"}
    api = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(config))
    meta = kubernetes.client.V1ObjectMeta(name=pod["metadata"]["name"], namespace="plinth")
    options = kubernetes.client.V1DeleteOptions(grace_period_seconds=2 if asset == "deaf" else 30)
    api.create_namespaced_pod_eviction(
        meta.name, "plinth", kubernetes.client.V1Eviction(metadata=meta, delete_options=options)
    )
    assert world.wait(run).is_success, world.story(run)
    assert world.marks(asset) == ["medium", "medium"]


def test_cancelling_a_run_ends_the_pods_of_its_steps(world: World) -> None:
    run = world.launch("trial/slow")
    world.cluster.wait(lambda: world.marks("slow"))
    assert world.instance.run_launcher.terminate(run)
    assert world.wait(run).status is dg.DagsterRunStatus.CANCELED, world.story(run)
    world.cluster.wait(lambda: not world.cluster.all("Pod") and not world.cluster.all("Job"))
    assert world.marks("slow") == ["medium"]


def test_the_steps_of_a_run_whose_own_pod_was_killed_are_ended(world: World) -> None:
    run = world.launch("trial/slow")
    world.cluster.wait(lambda: world.marks("slow"))
    (of_run,) = world.pods()
    world.server.kubelet.kill(of_run["metadata"]["uid"])
    world.monitor_until_over(run)
    assert "still at work for this run and is deleted" in world.story(run)
    world.cluster.wait(
        lambda: [each["metadata"]["name"] for each in world.cluster.all("Job")] == [f"dagster-run-{run}"]
    )
    (of_step,) = world.pods("trial__slow")
    world.cluster.wait(lambda: world.server.kubelet.end_of(of_step["metadata"]["uid"]))


def test_a_run_whose_code_does_not_load_fails_and_so_does_its_pod(world: World) -> None:
    with (world.shop.folder / "definitions.py").open("a") as definitions:
        definitions.write("\nraise RuntimeError('the code is broken')\n")
    run = world.launch("trial/tiny")
    assert world.wait(run).status is dg.DagsterRunStatus.FAILURE
    assert "the code is broken" in world.story(run)
    world.cluster.wait(lambda: [each["status"]["phase"] for each in world.cluster.all("Pod")] == ["Failed"])


def test_a_run_whose_pod_is_out_of_memory_begins_once_more_with_more(world: World) -> None:
    small = {"container_config": {"resources": {"limits": {"memory": "20Mi"}, "requests": {"memory": "20Mi"}}}}
    launcher = world.instance.run_launcher
    assert isinstance(launcher, RunPods)
    launcher._run_k8s_config = small  # smaller than Dagster itself
    launcher._after_out_of_memory = {
        "container_config": {"resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}}}
    }
    own = {"dagster-k8s/config": json.dumps({"pod_spec_config": {"termination_grace_period_seconds": 7}})}
    first = world.launch("trial/tiny", tags=own)
    world.cluster.wait(lambda: [each for each in world.cluster.all("Pod") if each["status"]["phase"] == "Failed"])
    world.monitor_until_over(first)
    record = world.instance.get_run_record_by_id(first)
    assert record is not None and record.dagster_run.tags[ENDED_TAG] == "OutOfMemory", world.story(first)
    list(consume_new_runs_for_automatic_reexecution(world.process, [record], LOG))
    again = next(run for run in world.instance.get_runs() if run.parent_run_id == first)
    assert world.wait(again.run_id).is_success, world.story(again.run_id)
    assert [limits(pod)["memory"] for pod in world.pods()] == ["20Mi", "1Gi"]
    assert [pod["spec"]["terminationGracePeriodSeconds"] for pod in world.pods()] == [7, 7]


def test_a_run_that_never_got_its_pod_is_failed_with_the_reason_and_leaves_nothing(world: World) -> None:
    world.cluster.nodes = [Node("tainted", taints=[{"key": "maintenance", "value": "yes", "effect": "NoSchedule"}])]
    run = world.launch("trial/tiny")
    world.monitor_until_over(run)
    assert "untolerated taint {maintenance: yes}" in world.story(run)
    assert f"dagster-run-{run} was still at work for this run and is deleted" in world.story(run)
    world.cluster.wait(lambda: not world.cluster.all("Pod") and not world.cluster.all("Job"))
