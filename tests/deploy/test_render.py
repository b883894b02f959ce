"""The chart renders by Helm's engine, as reviewed, to manifests that several versions of Kubernetes take; wrong values are refused."""

from __future__ import annotations

from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest

from tests.deploy.rendering import CASES, CHART, GOLDEN, NAMESPACE, STEPS, as_text, render, rendered, values_of

VERSIONS = ("1.30", "1.32", "1.34", "1.36")
# Of an operator, not of Kubernetes; test_policies holds it to what it selects.
CUSTOM = ("ServiceMonitor",)


@pytest.mark.parametrize("case", CASES)
def test_render_is_the_one_that_was_reviewed(case: str) -> None:
    stored = (GOLDEN / f"{case}.yaml").read_text(encoding="utf-8")
    assert as_text(rendered(case)) == stored, "after a look at the difference: python -m tests.deploy.rendering"


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_manifests_are_valid_in_every_version_of_kubernetes(case: str, version: str) -> None:
    checked = [each for each in rendered(case) if each["kind"] not in CUSTOM]
    for manifest in checked:
        kubernetes_validate.validate(manifest, version, strict=True)
    assert len(checked) > 25


def test_validation_is_strict() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, VERSIONS[0], strict=True)


def test_chart_has_no_findings() -> None:
    findings = helm.lint(str(CHART))
    assert not findings["errors"]
    assert [each for each in findings["messages"] if each["severity"] > 1] == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"api": {"replica": 3}}, "'replica' not allowed"),
        ({"images": {"platform": {"digest": "sha256:0123"}}}, "/images/platform/digest"),
        ({"images": {"api": {"digest": ""}}}, "images.api.digest is expected"),
        ({"locations": {"plinth": {"env": [{"name": "ERP_URL", "value": "postgresql://u:p@h/d"}]}}}, "/env/0"),
        ({"locations": {"plinth": {"egress": [{"cidr": "0.0.0.0/0", "ports": [443]}]}}}, "/egress/0"),
        ({"locations": {"Shop_1": {}}}, "invalid propertyName 'Shop_1'"),
        ({"webserver": {"resources": {"limits": {"gpu": 1}}}}, "/webserver/resources"),
        ({"pod": {"user": 0}}, "/pod/user"),
        ({"proxy": {"engineers": []}}, "proxy.engineers"),
        ({"proxy": {"issuer": "http://login.example.com"}}, "/proxy/issuer"),
        ({"proxy": {"kind": "none"}}, "has no login"),
        ({"proxy": {"kind": "external"}, "ingress": {"enabled": False}}, "proxy.external"),
        ({"ingress": {"tlsSecret": ""}}, "ingress.tlsSecret"),
        ({"api": {"terminationGraceSeconds": 20}}, "at least 25"),
        ({"api": {"drainSeconds": 1, "readinessPeriodSeconds": 3}}, "learns too late"),
        ({"data": {"kind": "disk"}}, "/data/kind"),
        ({"instance": {"unansweredSeconds": 5}}, "/instance/unansweredSeconds"),
        ({"runs": {"stepsNamespace": "Data_Steps"}}, "/runs/stepsNamespace"),
        ({"runs": {"stepsNamespace": NAMESPACE}}, "another namespace than the release's"),
        ({"runs": {"stepsNamespace": STEPS, "startPods": False}}, "runs.startPods is expected"),
        ({"runs": {"stepsNamespace": STEPS}, "data": {"kind": "claim"}}, "data.kind scratch is expected"),
        ({"runs": {"stepsNamespace": STEPS}, "ray": {"enabled": True}}, "ray.enabled false is expected"),
        ({"network": {"databases": []}}, "network.databases"),
        ({"network": {"ingressNamespaceLabels": None}}, "network.ingressNamespaceLabels"),
        ({"network": {"monitoringNamespaceLabels": None}}, "network.monitoringNamespaceLabels"),
        ({"network": {"dns": {"cidrs": ["0.0.0.0/0"]}}}, "/network/dns/cidrs/0"),
        ({"proxy": {"issuerEgress": []}}, "proxy.issuerEgress"),
        ({"api": {"autoscaling": {"min": 41}}}, "min of no more than max"),
        ({"api": {"workers": 2}}, "at least 1440Mi is expected for 2 workers"),
        ({"platform": {"api": {"memory": "1GiB"}}}, "at least 1184Mi is expected for 1 workers"),
        ({"data": {"accessModes": ["ReadWriteOncePod"]}}, "/data/accessModes/0"),
        ({"data": {"kind": "claim"}, "spark": {"enabled": True}}, "ReadWriteMany is expected"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_values_are_refused_with_the_place(more: dict[str, Any], said: str) -> None:
    with pytest.raises(helm.HelmError) as refused:
        render(values_of("production", more))
    assert said in str(refused.value)


def test_two_releases_share_no_name() -> None:
    one, two = (
        {(each["kind"], each["metadata"]["name"]) for each in render(values_of("trial"), name)} for name in ("a", "b")
    )
    assert one.isdisjoint(two)
