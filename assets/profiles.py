"""The size that an asset asks for: the one place that turns a profile's name into the tags of a step.

What belongs here: `plinth/profile` and `dagster-k8s/config` of a step. They stand in `op_tags`, which launches from the UI and backfills keep; tags
of a job are lost there (TRAPS). What does not: what a profile is (`plinth.profile`), DuckDB's limits (`plinth.engine`), and the making of pods
(`jobs.pods`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plinth.platform import Platform
from plinth.profile import GRANTED_VARIABLE, Profile

PROFILE_TAG = "plinth/profile"
POD_TAG = "dagster-k8s/config"
AUTO_TAG = "plinth/auto"
"""Of a step whose size is chosen when it is launched: the largest profile that it may come to have."""
HEAVY = "memory"
"""What training and serving ask for where the platform declares it: their inputs are whole tables."""


def heavy_profile(platform: Platform) -> str:
    """The name of the profile of work that holds whole tables in memory."""
    return HEAVY if HEAVY in platform.profiles else platform.base_profile


def largest_profile(platform: Platform, names: Iterable[str | None]) -> str:
    """Of several names the one with the most memory; None stands for the default profile. For a step that does the work of several assets.

    Raises:
        ConfigurationError: there is no such profile.
    """
    wanted = {name or platform.base_profile for name in names} or {platform.base_profile}
    return max(sorted(wanted), key=lambda name: platform.declared(name).memory)


def profile_tags(platform: Platform, name: str | None = None) -> dict[str, Any]:
    """The tags of a step that asks for a profile, or for the default one.

    Raises:
        ConfigurationError: there is no such profile.
    """
    profile = platform.declared(name)
    return {
        PROFILE_TAG: name or platform.base_profile,
        POD_TAG: pod_config(platform, name or platform.base_profile, profile),
    }


def pod_config(platform: Platform, name: str, profile: Profile) -> dict[str, Any]:
    """What dagster-k8s makes of a profile: the container's resources, and the nodes that the pod may stand on.

    Requests are the limits: memory that a node has promised twice is an out-of-memory kill of the one who is not to blame.
    """
    settings = platform.execution.kubernetes
    resources = {"cpu": _quantity(profile.cpu), "memory": str(profile.memory)}
    if profile.scratch is not None:
        resources["ephemeral-storage"] = str(profile.scratch)
    if profile.gpu:
        resources[settings.gpu_resource] = str(profile.gpu)
    selector = {**(settings.spot.node_selector if profile.spot else {}), **profile.node_selector}
    tolerations = [*(settings.spot.tolerations if profile.spot else ()), *profile.tolerations]
    spec: dict[str, Any] = {}
    if selector:
        spec["node_selector"] = selector
    if tolerations:
        spec["tolerations"] = [
            {
                name: value
                for name, value in (
                    *(("key", toleration.key), ("operator", toleration.operator), ("value", toleration.value)),
                    *(("effect", toleration.effect), ("toleration_seconds", toleration.tolerationSeconds)),
                )
                if value is not None
            }
            for toleration in tolerations
        ]
    return {
        "container_config": {
            "resources": {"requests": dict(resources), "limits": dict(resources)},
            "env": [{"name": GRANTED_VARIABLE, "value": name}],
        },
        **({"pod_spec_config": spec} if spec else {}),
    }


def _quantity(cpu: float) -> str:
    """Processors in Kubernetes' words, which know thousandths."""
    return str(int(cpu)) if cpu == int(cpu) else f"{max(1, round(cpu * 1000))}m"
