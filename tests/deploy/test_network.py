"""Nobody talks to anybody but as needed: the rendered NetworkPolicies, evaluated as Kubernetes does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.deploy.rendering import CASES, NAMESPACE, Manifest, of_kind, render, rendered, values_of

NAMESPACE_LABEL = "kubernetes.io/metadata.name"


class Peer:
    """A pod by its labels and namespace, or an address outside."""

    def __init__(self, labels: Mapping[str, str], namespace: str = NAMESPACE, address: str | None = None) -> None:
        self.labels, self.namespace, self.address = labels, namespace, address


def role(name: str, location: str = "") -> Peer:
    return Peer({"plinth.io/role": name, **({"plinth.io/location": location} if location else {})})


def outside(address: str) -> Peer:
    return Peer({}, "", address)


DNS = Peer({"k8s-app": "kube-dns"}, "kube-system")
INGRESS = Peer({"app": "controller"}, "ingress-nginx")
PROMETHEUS = Peer({"app": "prometheus"}, "monitoring")
STRANGER = Peer({"plinth.io/role": "webserver"}, "default")


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(
        each["operator"] == "Exists" and each["key"] in labels for each in selector.get("matchExpressions", ())
    )


def _is(rule: Mapping[str, Any], peer: Peer, home: str) -> bool:
    """Whether a rule of a policy in the namespace `home` means a peer."""
    if "ipBlock" in rule:
        return peer.address is not None and ip_address(peer.address) in ip_network(rule["ipBlock"]["cidr"])
    if peer.address is not None:
        return False
    there = (
        _selects(rule["namespaceSelector"], {NAMESPACE_LABEL: peer.namespace})
        if "namespaceSelector" in rule
        else peer.namespace == home
    )
    return there and _selects(rule.get("podSelector", {}), peer.labels)


def _lets(policies: Sequence[Manifest], direction: str, side: str, of: Peer, other: Peer, port: int) -> bool:
    chosen = [
        each["spec"]
        for each in policies
        if _selects(each["spec"]["podSelector"], of.labels) and direction.capitalize() in each["spec"]["policyTypes"]
    ]
    assert chosen, "a pod that no policy selects may do anything"
    return any(
        any(_is(peer, other, of.namespace) for peer in rule[side])
        and any(each["port"] <= port <= each.get("endPort", each["port"]) for each in rule["ports"])
        for spec in chosen
        for rule in spec.get(direction) or ()
    )


def allowed(case: str | list[Manifest], source: Peer, target: Peer, port: int) -> bool:
    """Whether a connection comes about: both ends have to let it, each where its namespace has policies."""
    policies = of_kind(rendered(case) if isinstance(case, str) else case, "NetworkPolicy")
    here, there = (
        [each for each in policies if each["metadata"].get("namespace", NAMESPACE) == end.namespace]
        for end in (source, target)
    )
    out = not here or _lets(here, "egress", "to", source, target, port)
    into = not there or _lets(there, "ingress", "from", target, source, port)
    return out and into


@pytest.mark.parametrize("case", CASES)
def test_everything_is_denied_that_is_not_allowed(case: str) -> None:
    denied = [
        each for each in of_kind(rendered(case), "NetworkPolicy") if each["metadata"]["name"] == "plinth-default-deny"
    ]
    assert denied[0]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in of_kind(rendered(case), "NetworkPolicy"):
        for rule in (*(policy["spec"].get("ingress") or ()), *(policy["spec"].get("egress") or ())):
            assert rule.get("from") or rule.get("to"), "a rule without a peer lets everybody"
            assert rule["ports"], "a rule without a port lets every port"
    nobody = Peer({})
    assert not allowed(case, role("run"), outside("203.0.113.9"), 443)
    assert not allowed(case, nobody, role("webserver"), 3000)
    assert not allowed(case, STRANGER, role("location"), 4000)


@pytest.mark.parametrize("case", CASES)
def test_what_the_platform_needs_is_allowed(case: str) -> None:
    for asking in ("webserver", "daemon"):
        assert allowed(case, role(asking), role("location", "plinth"), 4000)
        assert allowed(case, role(asking), outside("10.96.0.1"), 443)
    for name in ("webserver", "daemon", "location", "run", "schema", "api"):
        database = role("postgres") if case == "trial" else outside("10.40.0.5")
        assert allowed(case, role(name), database, 5432), name
        assert allowed(case, role(name), DNS, 53), name


@pytest.mark.parametrize("case", CASES)
def test_every_role_of_a_pod_has_a_policy_of_its_own(case: str) -> None:
    pods = [each["spec"]["template"] for each in of_kind(rendered(case), "Deployment", "StatefulSet", "Job")]
    roles = {pod["metadata"]["labels"]["plinth.io/role"] for pod in pods} | {"run"}
    named = {
        each["spec"]["podSelector"].get("matchLabels", {}).get("plinth.io/role")
        for each in of_kind(rendered(case), "NetworkPolicy")
    }
    assert roles == named - {None}


def test_a_step_in_a_namespace_of_its_own_reaches_what_its_run_does_but_not_the_cluster() -> None:
    def step(location: str) -> Peer:
        return Peer({"plinth.io/role": "run", "plinth.io/location": location}, "data-steps")

    for target, port in ((outside("10.40.0.5"), 5432), (outside("10.20.0.9"), 5432), (outside("10.30.0.9"), 443), (DNS, 53)):  # fmt: skip
        assert allowed("apart", step("plinth"), target, port), target.address
    for target, port in ((outside("10.96.0.1"), 443), (outside("203.0.113.9"), 443), (role("location", "plinth"), 4000)):  # fmt: skip
        assert not allowed("apart", step("plinth"), target, port), target.address
    assert not allowed("apart", step("other"), outside("10.20.0.9"), 5432)
    assert not allowed("apart", role("webserver"), step("plinth"), 8000)
    assert not allowed("apart", Peer({}, "data-steps"), outside("10.40.0.5"), 5432)


def test_the_webserver_is_reached_from_its_proxy_alone() -> None:
    assert allowed("production", INGRESS, role("proxy-webserver"), 4180)
    assert allowed("production", role("proxy-webserver"), role("webserver"), 3000)
    for other in (
        INGRESS,
        PROMETHEUS,
        STRANGER,
        role("api"),
        role("run"),
        role("location", "plinth"),
        role("proxy-stewards"),
    ):
        assert not allowed("production", other, role("webserver"), 3000)
    assert not allowed("production", role("proxy-webserver"), role("stewards"), 3000)
    yours = Peer({"app": "pomerium"}, "identity")
    assert allowed("hybrid", yours, role("webserver"), 3000)
    assert not allowed("hybrid", Peer({"app": "other"}, "identity"), role("webserver"), 3000)
    assert not allowed("trial", INGRESS, role("webserver"), 3000)


def test_the_api_reaches_its_store_and_nothing_else() -> None:
    assert allowed("production", INGRESS, role("api"), 8000)
    assert allowed("production", PROMETHEUS, role("api"), 8000)
    for target, port in ((role("location", "plinth"), 4000), (outside("10.20.0.9"), 5432), (outside("10.96.0.1"), 443)):
        assert not allowed("production", role("api"), target, port)


def test_only_on_premises_reaches_the_legacy_system_and_the_restricted_zone() -> None:
    warehouse, restricted, cloud = outside("10.20.0.9"), outside("10.21.0.9"), outside("10.30.0.9")
    for kind in ("run", "location"):
        assert allowed("hybrid", role(kind, "on-prem"), warehouse, 5432)
        assert allowed("hybrid", role(kind, "on-prem"), restricted, 443)
        assert not allowed("hybrid", role(kind, "cloud"), warehouse, 5432)
        assert not allowed("hybrid", role(kind, "cloud"), restricted, 443)
        assert allowed("hybrid", role(kind, "cloud"), cloud, 443)


def test_runs_reach_the_cluster_only_where_they_start_pods() -> None:
    assert allowed("production", role("run"), outside("10.96.0.1"), 443)
    assert not allowed("trial", role("run"), outside("10.96.0.1"), 443)
    assert not allowed("production", role("stewards"), outside("10.96.0.1"), 443)


def test_engines_reach_each_other_and_their_drivers() -> None:
    run, head, worker = role("run", "plinth"), role("spark-head"), role("spark-worker")
    for source, target, port in (
        *((run, head, 7077), (worker, head, 7077), (head, worker, 7081), (worker, run, 7078)),
        *((worker, run, 7079), (worker, worker, 7085), (run, worker, 7079)),
        *((run, role("ray-head"), 10001), (role("ray-worker"), role("ray-head"), 6379)),
        (worker, outside("10.30.0.9"), 443),
    ):
        assert allowed("engines", source, target, port), (source.labels, target.labels, port)
    assert not allowed("engines", role("api"), head, 7077)
    assert not allowed("engines", worker, outside("10.96.0.1"), 443)


def test_names_are_looked_up_where_the_cluster_has_them() -> None:
    cache, pods = outside("169.254.20.10"), DNS
    assert not allowed("production", role("api"), cache, 53)
    more = {"network": {"dns": {"cidrs": ["169.254.20.10/32"], "ports": [53, 5353]}}}
    for case, asking in (("production", role("api")), ("apart", Peer({"plinth.io/role": "run"}, "data-steps"))):
        manifests = render(values_of(case, more))
        assert allowed(manifests, asking, cache, 53) and allowed(manifests, asking, pods, 5353)
        assert not allowed(manifests, asking, outside("169.254.20.11"), 53)


def test_a_flow_that_is_taken_away_is_noticed() -> None:
    manifests = [
        each
        for each in render(values_of("trial"))
        if each["metadata"]["name"] != "plinth-daemon" or each["kind"] != "NetworkPolicy"
    ]
    assert not allowed(manifests, role("daemon"), role("location", "plinth"), 4000)
