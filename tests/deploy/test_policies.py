"""What every rendered manifest has to hold, whichever values file it came from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.deploy.rendering import CASES, STEPS, Manifest, of_kind, rendered, rights, within

SERVERS = ("Deployment", "StatefulSet")
SECRET_VALUE = re.compile(r"://[^/\s:@]+:[^@\s]+@|BEGIN [A-Z ]*PRIVATE KEY", re.IGNORECASE)

pytestmark = pytest.mark.parametrize("case", CASES)


def pods(case: str, *kinds: str) -> Iterator[tuple[str, Manifest]]:
    for each in of_kind(rendered(case), *(kinds or (*SERVERS, "Job"))):
        yield each["metadata"]["name"], each["spec"]["template"]


def containers(case: str, *kinds: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, template in pods(case, *kinds):
        for container in (*template["spec"].get("initContainers", ()), *template["spec"]["containers"]):
            yield name, container


def test_every_container_says_what_it_needs_and_may_take(case: str) -> None:
    for name, container in containers(case):
        for part in ("requests", "limits"):
            assert set(container["resources"][part]) == {"cpu", "memory"}, name


def test_every_pod_is_confined(case: str) -> None:
    for name, template in pods(case):
        pod = template["spec"]
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True and security["runAsUser"] >= 1000, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        assert not [each for each in pod.get("volumes", ()) if "hostPath" in each], name
    for name, container in containers(case):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


def test_what_is_written_is_mounted_and_bounded(case: str) -> None:
    for name, template in pods(case):
        for volume in template["spec"].get("volumes", ()):
            if "emptyDir" in volume:
                assert "sizeLimit" in volume["emptyDir"], (name, volume)
        volumes = {each["name"] for each in template["spec"].get("volumes", ())}
        for container in template["spec"]["containers"]:
            mounted = {each["name"] for each in container.get("volumeMounts", ())}
            assert mounted - {"tables"} <= volumes, name  # `tables` is the claim of the StatefulSet


def test_every_server_is_probed_with_finite_times(case: str) -> None:
    for name, container in containers(case, *SERVERS):
        assert "livenessProbe" in container, name
        assert ("readinessProbe" in container) == bool(container.get("ports")) or name.endswith("-worker"), name
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in container:
                assert container[probe]["timeoutSeconds"] <= container[probe]["periodSeconds"] + 10, (name, probe)
    for name, template in pods(case):
        assert template["spec"]["terminationGracePeriodSeconds"] <= 900, name


def test_every_job_ends(case: str) -> None:
    jobs = of_kind(rendered(case), "Job")
    assert len(jobs) == 2
    for job in jobs:
        assert (
            job["spec"]["activeDeadlineSeconds"]
            and job["spec"]["backoffLimit"]
            and job["spec"]["ttlSecondsAfterFinished"]
        )


def test_images_are_pinned(case: str) -> None:
    for name, container in containers(case):
        assert re.fullmatch(r"mirror\.example\.com/[a-z0-9/-]+@sha256:[0-9a-f]{64}", container["image"]), name


def test_no_secret_stands_in_a_manifest(case: str) -> None:
    assert not of_kind(rendered(case), "Secret")
    for manifest in rendered(case):
        assert not SECRET_VALUE.search(yaml.safe_dump(manifest)), manifest["metadata"]["name"]
    for name, container in containers(case):
        for variable in container.get("env", ()):
            if re.search(r"SECRET|PASSWORD|TOKEN|_URL$", variable["name"]):
                assert "secretKeyRef" in variable["valueFrom"], (name, variable["name"])


def test_the_api_gets_no_secret_of_the_instance_or_of_a_source(case: str) -> None:
    (found,) = [container for name, container in containers(case) if name.endswith("-api")]
    assert {each["name"] for each in found["env"]} == {"PLINTH_PLATFORM", "PLINTH_ONLINE_URL"}


def test_no_right_reaches_beyond_the_namespace_or_beyond_runs(case: str) -> None:
    assert not of_kind(rendered(case), "ClusterRole", "ClusterRoleBinding")
    (role,) = of_kind(within(rendered(case)), "Role")
    assert rights(role) == {
        ("batch", "jobs"): {"create", "delete", "get", "list", "watch"},
        ("batch", "jobs/status"): {"get"},
        ("", "pods"): {"delete", "get", "list", "watch"},
        ("", "pods/log"): {"get"},
        ("", "events"): {"list"},
    }


def test_nothing_stands_in_another_namespace_that_was_not_asked_for(case: str) -> None:
    assert {each["metadata"].get("namespace") for each in rendered(case)} == {None} | ({STEPS} if case == "apart" else set())  # fmt: skip


def test_only_who_starts_runs_has_a_token(case: str) -> None:
    (binding,) = of_kind(within(rendered(case)), "RoleBinding")
    bound = {each["name"] for each in binding["subjects"]}
    for account in of_kind(rendered(case), "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    with_token = {name for name, pod in pods(case) if pod["spec"]["automountServiceAccountToken"]}
    assert with_token == {"plinth-webserver", "plinth-daemon"}
    accounts = {pod["spec"]["serviceAccountName"] for name, pod in pods(case) if name in with_token}
    assert accounts == {"plinth-launcher"} and accounts <= bound
    known = {each["metadata"]["name"] for each in of_kind(rendered(case), "ServiceAccount")}
    assert {pod["spec"]["serviceAccountName"] for _, pod in pods(case)} | bound <= known


def test_every_service_selects_pods_that_listen_there(case: str) -> None:
    for service in of_kind(rendered(case), "Service"):
        wanted = service["spec"]["selector"].items()
        chosen = [pod for _, pod in pods(case, *SERVERS) if wanted <= pod["metadata"]["labels"].items()]
        assert len(chosen) == 1, service["metadata"]["name"]
        ports = {port["name"] for container in chosen[0]["spec"]["containers"] for port in container["ports"]}
        assert {each["targetPort"] for each in service["spec"]["ports"]} <= ports


def test_what_points_to_another_object_points_to_one_that_is_there(case: str) -> None:
    names = {(each["kind"], each["metadata"]["name"]) for each in rendered(case)}
    for scaler in of_kind(rendered(case), "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) in names
        (deployment,) = [
            each for each in of_kind(rendered(case), "Deployment") if each["metadata"]["name"] == target["name"]
        ]
        assert "replicas" not in deployment["spec"], "an upgrade would set back what the autoscaler chose"
    for budget in of_kind(rendered(case), "PodDisruptionBudget"):
        wanted = budget["spec"]["selector"]["matchLabels"].items()
        assert [1 for _, pod in pods(case, *SERVERS) if wanted <= pod["metadata"]["labels"].items()] == [1]
        # No pod is ready before the first publication, and of such pods a budget lets none go by default: a node could not be drained.
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    for ingress in of_kind(rendered(case), "Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                assert ("Service", path["backend"]["service"]["name"]) in names
                assert path["path"] not in ("/metrics", "/health")
    for monitor in of_kind(rendered(case), "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        services = [each for each in of_kind(rendered(case), "Service") if wanted <= each["metadata"]["labels"].items()]
        assert len(services) == 1 and monitor["spec"]["endpoints"][0]["port"] in {
            each["name"] for each in services[0]["spec"]["ports"]
        }
    for name, pod in pods(case):
        for volume in pod["spec"].get("volumes", ()):
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in names, name
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in names, name


def test_the_api_goes_without_a_failed_request(case: str) -> None:
    (deployment,) = [each for each in of_kind(rendered(case), "Deployment") if each["metadata"]["name"] == "plinth-api"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    overlay = next(
        each for each in of_kind(rendered(case), "ConfigMap") if each["metadata"]["name"] == "plinth-platform"
    )
    api = yaml.safe_load(overlay["data"]["platform.yaml"])["api"]
    probe = container["readinessProbe"]
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert (
        probe["httpGet"]["path"] == "/health/ready" and container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    )
    assert api["drain_seconds"] >= probe["periodSeconds"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= pause + api["drain_seconds"] + api["request_seconds"] + 5
