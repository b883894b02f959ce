"""The section `execution` of `platform.yaml`: where steps run, in processes of one machine or in pods of a cluster.

What belongs here: the keys, their bounds and defaults. What does not: the executors (`jobs.execution`), and sizes (`plinth.profile`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from plinth.explain import known
from plinth.profile import Profile, Toleration, checked_labels

_LEAST_POD = 512 * 2**20
_NAME = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Placement(_Strict):
    """Where pods may stand: labels that a node must have, and taints of it that they tolerate."""

    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()

    _labels = field_validator("node_selector")(checked_labels)


class Kubernetes(_Strict):
    """How steps become pods. None of what is left out stands in a pod's specification twice: the pod of the run gives it on.

    Attributes:
        image: of the steps; the run's own by default.
        image_pull_policy: of that image.
        image_pull_secrets: names of secrets.
        namespace: where the pods of steps are made (`job_namespace` of dagster-k8s); the run's own by default.
        service_account: that they run as; the run's own by default.
        env_secrets: names of secrets whose keys become environment variables; `env_config_maps` the same of config maps.
        ttl_seconds: for which a finished job and its pod stay to be looked at.
        max_concurrent: pods of one run at the same time.
        in_run: profiles whose steps run as processes of the run's own pod: a pod takes 10 s or more to start, which a small step does not.
        in_run_concurrent: those of them that run at the same time.
        pending_seconds: after which a pod that no node takes is given up, with the scheduler's reason.
        step_seconds: after which a step is ended whatever it does.
        look_seconds: between two looks at the pods of the steps at work.
        silent_seconds: for which a pod that has succeeded may leave it untold how its step ended, before the step fails.
        owner_references: whether the jobs of steps go when the job of their run goes.
        gpu_resource: the cluster's name of a graphics processor.
        spot: where profiles with `spot: true` are put.
    """

    image: str | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    image_pull_secrets: tuple[str, ...] = ()
    namespace: str | None = Field(default=None, pattern=_NAME, max_length=63)
    service_account: str | None = Field(default=None, pattern=_NAME, max_length=253)
    env_secrets: tuple[str, ...] = ()
    env_config_maps: tuple[str, ...] = ()
    ttl_seconds: int = Field(default=24 * 3600, ge=0)
    max_concurrent: int = Field(default=8, ge=1)
    in_run: tuple[str, ...] = ("small",)
    in_run_concurrent: int = Field(default=1, ge=1)
    pending_seconds: int = Field(default=600, ge=1)
    step_seconds: int = Field(default=6 * 3600, ge=1)
    look_seconds: int = Field(default=10, ge=1, le=300)
    silent_seconds: int = Field(default=60, ge=1)
    owner_references: bool = True
    gpu_resource: str = "nvidia.com/gpu"
    spot: Placement = Placement()


class Execution(_Strict):
    """Where steps run: `multiprocess`, a process for each on the machine of the run, or `kubernetes`, a pod for each that is not small."""

    executor: Literal["multiprocess", "kubernetes"] = "multiprocess"
    kubernetes: Kubernetes = Kubernetes()


def check_pods(execution: Execution, profiles: Mapping[str, Profile]) -> None:
    """Holds that pods can be made of the profiles, where pods are asked for.

    Raises:
        ValueError: a profile that is named is not there or has too little memory for a process, or spot pods would not know where to stand.
    """
    if execution.executor != "kubernetes":
        return
    kubernetes = execution.kubernetes
    for name in kubernetes.in_run:
        known(name, profiles, "execution.kubernetes.in_run", "a profile")
    for name, profile in profiles.items():
        if profile.memory < _LEAST_POD:
            raise ValueError(
                f"profiles.{name}.memory: at least {_LEAST_POD // 2**20}MiB is expected of a pod, whose process takes half of that before it computes; "
                f"found {profile.memory // 2**20}MiB"
            )
    spot = [name for name, profile in profiles.items() if profile.spot]
    if spot and not (kubernetes.spot.node_selector or kubernetes.spot.tolerations):
        raise ValueError(
            f"execution.kubernetes.spot: a node_selector or tolerations are expected, as profiles.{spot[0]}.spot is set and clusters name "
            "their spot nodes differently"
        )
