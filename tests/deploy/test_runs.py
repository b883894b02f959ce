"""What the chart's settings make of a run: the launcher that they name, given the rendered instance and the context of a location, posts a Job that
holds all that the chart's own pods hold."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster._core.code_pointer import FileCodePointer
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.storage.dagster_run import DagsterRunStatus

from assets.profiles import heavy_profile
from jobs.run_pods import RunPods
from plinth.platform import load_platform
from tests.deploy.cluster import taking_jobs
from tests.deploy.rendering import CASES, NAMESPACE, STEPS, Manifest, of_kind, rendered, within
from tests.deploy.test_network import allowed, role
from tests.deploy.test_render import VERSIONS

pytestmark = pytest.mark.slow

HOME = Path(__file__).resolve().parents[2]


def config_map(case: str, name: str) -> dict[str, str]:
    maps = of_kind(within(rendered(case)), "ConfigMap")
    (found,) = [each for each in maps if each["metadata"]["name"] == name]
    data: dict[str, str] = found["data"]
    return data


def locations(case: str) -> dict[str, Manifest]:
    """The Deployment of each code location, by the location's name."""
    found = (each for each in of_kind(rendered(case), "Deployment"))
    labels = ((each["spec"]["template"]["metadata"]["labels"], each) for each in found)
    return {each["plinth.io/location"]: deployment for each, deployment in labels if "plinth.io/location" in each}


def context_of(deployment: Manifest) -> tuple[dict[str, Any], str]:
    """The container context that a location's server gives for its runs, and the image that it names."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (argument,) = [each for each in container["args"] if each.startswith("--container-context=")]
    image = next(each["value"] for each in container["env"] if each["name"] == "DAGSTER_CURRENT_IMAGE")
    return json.loads(argument.partition("=")[2]), image


def started(case: str, location: str, folder: Path) -> dict[str, Any]:
    """The Job that a run of a location becomes."""
    context, image = context_of(locations(case)[location])
    settings = yaml.safe_load(config_map(case, "plinth-instance")["dagster.yaml"])["run_launcher"]["config"]
    (folder / "home").mkdir(exist_ok=True)
    with (
        taking_jobs(folder) as (kubeconfig, taken),
        dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder / "home"))) as instance,
    ):
        # A machine outside the cluster has no token to load; everything else is as rendered.
        launcher = RunPods(**{**settings, "load_incluster_config": False, "kubeconfig_file": str(kubeconfig)})
        launcher.register_instance(instance)
        code = RepositoryPythonOrigin(
            executable_path=sys.executable,
            code_pointer=FileCodePointer("/opt/plinth/definitions.py", "defs", "/opt/plinth"),
            container_image=image,
            entry_point=DEFAULT_DAGSTER_ENTRY_POINT,
            container_context=context,
        )
        run = instance.create_run(
            job_name="refresh", run_id=None, run_config={}, status=DagsterRunStatus.STARTING, tags={}, root_run_id=None,
            parent_run_id=None, step_keys_to_execute=None, execution_plan_snapshot=None, job_snapshot=None, parent_job_snapshot=None,
            asset_selection=None, asset_check_selection=None, resolved_op_selection=None, op_selection=None, remote_job_origin=None,
            job_code_origin=JobPythonOrigin("refresh", code), asset_graph=None,
        )  # fmt: skip
        launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
    (posted,) = taken
    assert posted["path"] == f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
    job: dict[str, Any] = posted["job"]
    return job


RUNS = [(case, location) for case in CASES for location in locations(case)]


@pytest.mark.parametrize(("case", "location"), RUNS)
def test_a_run_is_confined_like_every_other_pod(case: str, location: str, tmp_path: Path) -> None:
    job = started(case, location, tmp_path)
    for version in VERSIONS:
        kubernetes_validate.validate(job, version, strict=True)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    api = next(each for each in of_kind(rendered(case), "Deployment") if each["metadata"]["name"] == "plinth-api")[
        "spec"
    ]["template"]["spec"]
    assert pod["securityContext"] == api["securityContext"]
    assert container["securityContext"] == api["containers"][0]["securityContext"]
    assert set(container["resources"]["requests"]) == set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert re.search(r"@sha256:[0-9a-f]{64}$", container["image"])
    assert (
        job["spec"]["activeDeadlineSeconds"]
        and job["spec"]["ttlSecondsAfterFinished"]
        and job["spec"]["backoffLimit"] == 0
    )
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert (labels["plinth.io/role"], labels["plinth.io/location"]) == ("run", location)
    assert json.loads(container["args"][-1])["set_exit_code_on_failure"] is True


@pytest.mark.parametrize(("case", "location"), RUNS)
def test_a_run_has_its_settings_secrets_and_folders_by_reference(case: str, location: str, tmp_path: Path) -> None:
    pod = started(case, location, tmp_path)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    names = [each["name"] for each in container["env"]]
    assert len(names) == len(set(names)), "a variable stands twice"
    for variable in container["env"]:
        if variable["name"].endswith("_URL"):
            assert set(variable["valueFrom"]) <= {"secretKeyRef", "secret_key_ref"}
    assert {"PLINTH_PLATFORM", "PLINTH_INSTANCE_URL", "PLINTH_ONLINE_URL", "DAGSTER_HOME"} <= set(names)
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    assert {"/opt/dagster", "/etc/plinth", "/tmp", "/opt/plinth/data"} <= set(mounts)
    volumes = {each["name"] for each in pod["volumes"]}
    assert set(mounts.values()) <= volumes
    known = {each["metadata"]["name"] for each in of_kind(rendered(case), "ConfigMap")}
    for volume in pod["volumes"]:
        if volume.get("configMap"):
            assert volume["configMap"]["name"] in known
    accounts = {each["metadata"]["name"] for each in of_kind(rendered(case), "ServiceAccount")}
    assert pod["serviceAccountName"] == f"plinth-location-{location}" and pod["serviceAccountName"] in accounts


def test_a_run_goes_to_the_site_of_its_location(tmp_path: Path) -> None:
    for location in ("on-prem", "cloud"):
        pod = started("hybrid", location, tmp_path)["spec"]["template"]["spec"]
        assert pod["nodeSelector"] == {"plinth.io/site": location}
        variables = {each["name"] for each in pod["containers"][0]["env"]}
        assert ("ERP_URL" in variables) == (location == "on-prem")


def _amount(text: str) -> float:
    units = {"m": 1e-3, "Mi": 2.0**20, "Gi": 2.0**30}
    found = re.fullmatch(r"(\d+)(m|Mi|Gi)?", text)
    assert found is not None, text
    return int(found[1]) * units.get(found[2], 1.0)


@pytest.mark.parametrize(("case", "location"), RUNS)
def test_a_run_that_was_out_of_memory_gets_more_and_no_less_of_anything(case: str, location: str) -> None:
    context, _ = context_of(locations(case)[location])
    launcher = yaml.safe_load(config_map(case, "plinth-instance")["dagster.yaml"])["run_launcher"]["config"]
    more = launcher["after_out_of_memory"]["container_config"]["resources"]
    for kind, own in context["k8s"]["resources"].items():
        assert _amount(more[kind]["memory"]) > _amount(own["memory"])
        assert _amount(more[kind]["cpu"]) >= _amount(own["cpu"])


@pytest.mark.parametrize(("case", "location"), RUNS)
def test_what_a_run_does_in_its_own_pod_has_room_there(case: str, location: str, tmp_path: Path) -> None:
    file = tmp_path / "overlay.yaml"
    file.write_text(config_map(case, f"plinth-location-{location}")["platform.yaml"], encoding="utf-8")
    platform = load_platform(HOME / "platform.yaml", file)
    kubernetes = platform.execution.kubernetes
    if platform.execution.executor == "kubernetes":
        steps = kubernetes.in_run_concurrent * max(platform.declared(name).memory for name in kubernetes.in_run)
    else:
        largest = max(platform.declared(name).memory for name in (platform.base_profile, heavy_profile(platform)))
        steps = int(platform.declared().cpu) * largest
    context, _ = context_of(locations(case)[location])
    # The run's own process holds 250 MiB.
    assert _amount(context["k8s"]["resources"]["limits"]["memory"]) >= steps + 256 * 2**20


def test_runs_stand_where_the_volume_is_that_one_node_has_at_a_time(tmp_path: Path) -> None:
    server = locations("trial")["plinth"]["spec"]["template"]
    run = started("trial", "plinth", tmp_path)["spec"]["template"]
    for pod in (server, run):
        (term,) = pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        wanted = term["labelSelector"]["matchLabels"]
        assert wanted == {"plinth.io/data": "plinth"} and wanted.items() <= pod["metadata"]["labels"].items()
        assert term["topologyKey"] == "kubernetes.io/hostname"
    for case in ("production", "engines"):  # no volume, and one that every node may have
        assert not started(case, "plinth", tmp_path)["spec"]["template"]["spec"].get("affinity")


def test_labels_of_a_location_reach_its_server_and_its_runs(tmp_path: Path) -> None:
    wanted = {"azure.workload.identity/use": "true"}.items()
    assert wanted <= locations("engines")["training"]["spec"]["template"]["metadata"]["labels"].items()
    assert wanted <= started("engines", "training", tmp_path)["spec"]["template"]["metadata"]["labels"].items()
    assert not wanted <= started("engines", "plinth", tmp_path)["spec"]["template"]["metadata"]["labels"].items()


def test_runs_of_a_location_with_ray_train_on_the_charts_ray(tmp_path: Path) -> None:
    file = tmp_path / "overlay.yaml"
    for location, backend in (("training", "ray"), ("plinth", "none")):
        file.write_text(config_map("engines", f"plinth-location-{location}")["platform.yaml"], encoding="utf-8")
        fan_out = load_platform(HOME / "platform.yaml", file).training.fan_out
        assert fan_out.backend == backend
        if backend == "ray":
            head = re.fullmatch(r"ray://([a-z-]+):(\d+)", fan_out.address or "")
            assert head is not None
            service = next(
                each for each in of_kind(rendered("engines"), "Service") if each["metadata"]["name"] == head[1]
            )
            assert int(head[2]) in [each["port"] for each in service["spec"]["ports"]]
            assert allowed("engines", role("run", location), role("ray-head"), int(head[2]))
    head_image = next(each for each in of_kind(rendered("engines"), "Deployment") if each["metadata"]["name"] == "plinth-ray-head")  # fmt: skip
    _, image = context_of(locations("engines")["training"])
    assert image == head_image["spec"]["template"]["spec"]["containers"][0]["image"]


def test_a_run_gets_a_token_and_the_limits_of_small_steps_only_where_it_starts_pods(tmp_path: Path) -> None:
    for case, pods in (("production", True), ("trial", False)):
        pod = started(case, "plinth", tmp_path)["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is pods
        profile = [each["value"] for each in pod["containers"][0]["env"] if each["name"] == "PLINTH_PROFILE"]
        assert profile == (["small"] if pods else [])


def test_what_a_step_in_another_namespace_needs_of_its_run_is_there_too(tmp_path: Path) -> None:
    pod = started("apart", "plinth", tmp_path)["spec"]["template"]["spec"]
    there = {(each["kind"], each["metadata"]["name"]) for each in within(rendered("apart"), STEPS)}
    assert ("ServiceAccount", pod["serviceAccountName"]) in there
    for volume in pod["volumes"]:
        if volume.get("configMap"):
            assert ("ConfigMap", volume["configMap"]["name"]) in there
    assert not any(volume.get("persistentVolumeClaim") for volume in pod["volumes"]), "a claim belongs to a namespace"
    file = tmp_path / "overlay.yaml"
    file.write_text(config_map("apart", "plinth-location-plinth")["platform.yaml"], encoding="utf-8")
    assert load_platform(HOME / "platform.yaml", file).execution.kubernetes.namespace == STEPS
    copy = next(each for each in within(rendered("apart"), STEPS) if each["kind"] == "ConfigMap")
    assert copy["data"]["platform.yaml"] == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_dagster_takes_the_instance(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLINTH_INSTANCE_URL", "postgresql://plinth@127.0.0.1/plinth")
    own: dict[str, Any] = yaml.safe_load((HOME / "dagster.yaml").read_text(encoding="utf-8"))
    texts = config_map(case, "plinth-instance")
    assert ("run_launcher" in texts["dagster.yaml"]) and ("run_launcher" not in texts["without-launcher.yaml"])
    for key, text in texts.items():
        folder = tmp_path / key
        folder.mkdir()
        (folder / "dagster.yaml").write_text(text, encoding="utf-8")
        values, _ = dagster_instance_config(str(folder))  # refuses what it does not know
        for section in ("run_coordinator", "run_retries", "retention", "telemetry", "sensors", "schedules"):
            differs: dict[str, dict[str, Any]] = {
                "run_retries": {"max_retries": 2},
                "run_coordinator": {"module": "jobs.run_queue", "class": "RunQueue"},
            }
            assert values[section] == {**own[section], **differs.get(section, {})}, section
        limits = values["run_monitoring"]
        assert limits["poll_interval_seconds"] == 30
        assert values["concurrency"]["pools"] == own["concurrency"]["pools"]
    launcher = yaml.safe_load(texts["dagster.yaml"])["run_launcher"]["config"]
    assert launcher["fail_pod_on_run_failure"] is True and launcher["unanswered_seconds"] == 600
    deadline = launcher["run_k8s_config"]["job_spec_config"]["active_deadline_seconds"]
    assert deadline > limits["max_runtime_seconds"] + limits["start_timeout_seconds"], "the daemon ends a run first"


@pytest.mark.parametrize("case", CASES)
def test_plinth_takes_every_overlay(case: str, tmp_path: Path) -> None:
    maps = ["plinth-platform", *(f"plinth-location-{name}" for name in locations(case))]
    for name in maps:
        file = tmp_path / f"{name}.yaml"
        file.write_text(config_map(case, name)["platform.yaml"], encoding="utf-8")
        platform = load_platform(HOME / "platform.yaml", file)
        assert platform.stores.online_env == "PLINTH_ONLINE_URL"
        assert platform.api.host == "0.0.0.0"


@pytest.mark.parametrize("case", CASES)
def test_the_workspace_names_a_service_for_each_location(case: str) -> None:
    servers = yaml.safe_load(config_map(case, "plinth-workspace")["workspace.yaml"])["load_from"]
    services = {each["metadata"]["name"]: each for each in of_kind(rendered(case), "Service")}
    assert {each["grpc_server"]["location_name"] for each in servers} == set(locations(case))
    for each in servers:
        service = services[each["grpc_server"]["host"]]
        assert service["spec"]["ports"][0]["port"] == each["grpc_server"]["port"]
