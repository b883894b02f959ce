"""Profiles: the named compute sizes of `platform.yaml` that an asset asks for, and which one follows after an out-of-memory kill.

What belongs here: the keys of a profile, their bounds, and what holds between profiles. What does not: DuckDB's limits that follow from one
(`plinth.engine`), and what Kubernetes is told of it (`assets.profiles`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from plinth.explain import known

AUTO = "auto"
"""What a model asks for whose profile is chosen by what its own runs have measured; no profile may have this name."""

GRANTED_VARIABLE = "PLINTH_PROFILE"
"""The profile that a pod was made for stands in this variable of it: after an out-of-memory kill it is another one than the asset asks for."""
OUTSIDE = 320 * 2**20
"""Bytes that a step's process holds before DuckDB computes: Python with Dagster, Arrow and delta-rs 173 MiB, with dbt and its project 243 (measured), and what DuckDB never counts."""
Engine = Literal["duckdb", "spark"]
# More than any machine has: what is beyond was meant in other units (thousandths of a processor, bytes).
_MOST_CPU, _MOST_MEMORY = 1024, 64 * 2**40
_UNITS = {"": 1, "B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_LABEL = re.compile(rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}")
_LABEL_VALUE = re.compile(rf"({_NAME})?")


def size_in_bytes(value: Any) -> Any:
    """The bytes of a size such as `512MiB` or `2GiB`.

    Raises:
        ValueError: it is no such size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(value).strip())
    unit = match.group(2).upper() if match else None
    if match is None or unit not in _UNITS:
        raise ValueError(f"a size such as 512MiB or 2GiB is expected, found {value!r}")
    return int(float(match.group(1)) * _UNITS[unit])


Size = Annotated[int, BeforeValidator(size_in_bytes)]


class Toleration(BaseModel):
    """A toleration of Kubernetes, in its own words: pods with it may stand on nodes that are tainted so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _whole(self) -> Toleration:
        if self.key is not None and not _LABEL.fullmatch(self.key):
            raise ValueError(f"key: a label's name such as example.com/dedicated is expected, found {self.key!r}")
        if self.operator == "Equal" and (self.key is None or self.value is None):
            raise ValueError("operator Equal: a key and a value are expected beside it (Exists needs no value)")
        if self.operator == "Exists" and self.value is not None:
            raise ValueError(f"operator Exists: no value is expected beside it, found {self.value!r}")
        if self.tolerationSeconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds: only effect NoExecute has them")
        return self


def checked_labels(labels: dict[str, str]) -> dict[str, str]:
    """Labels as Kubernetes takes them.

    Raises:
        ValueError: a name or value is none.
    """
    for name, value in labels.items():
        if not _LABEL.fullmatch(name) or not _LABEL_VALUE.fullmatch(value):
            raise ValueError(
                f"a label such as kubernetes.io/arch: amd64 is expected (letters, digits, '-', '_' and '.', at most 63), "
                f"found {name!r}: {value!r}"
            )
    return labels


class Profile(BaseModel):
    """A named compute size.

    Attributes:
        cpu: processors; on Kubernetes what the pod requests and may not exceed.
        memory: bytes once loaded. DuckDB gets four fifths of what a process needs not for itself (`plinth.engine.duckdb_memory`).
        threads: of DuckDB and of training; by default as many as whole processors.
        scratch: bytes of disk that work may spill to; on Kubernetes the pod's ephemeral storage. None sets no bound.
        engine: what computes in it.
        gpu: graphics processors.
        spot: whether it may run on capacity that can be taken away at any time.
        node_selector: labels that a node must have.
        tolerations: of the nodes' taints.
        price: of an hour, in any currency that all profiles share; the choice of `auto` takes the cheapest that fits.
        next: the profile with which work is done once more after it was killed for want of memory.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: float = Field(gt=0, le=_MOST_CPU)
    memory: Size = Field(gt=0, le=_MOST_MEMORY)
    threads: int = Field(default=0, ge=0, le=_MOST_CPU)
    scratch: Size | None = Field(default=None, gt=0)
    engine: Engine = "duckdb"
    gpu: int = Field(default=0, ge=0)
    spot: bool = False
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    price: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    next: str | None = None

    _labels = field_validator("node_selector")(checked_labels)

    @model_validator(mode="after")
    def _enough(self) -> Profile:
        if self.memory < 64 * 2**20:
            raise ValueError(f"memory of at least 64MiB is expected, found {self.memory} bytes")
        if self.threads == 0:
            object.__setattr__(self, "threads", max(1, int(self.cpu)))
        return self


def check_next(profiles: Mapping[str, Profile]) -> None:
    """Holds that each profile's `next` is one of them, with more memory and no less of anything else; so there is no way round in a circle.

    Raises:
        ValueError: it does not hold; the message names key, expectation and what was found.
    """
    for name, profile in profiles.items():
        if profile.next is None:
            continue
        key = f"profiles.{name}.next"
        known(profile.next, profiles, key, "a profile")
        larger = profiles[profile.next]
        if larger.memory <= profile.memory:
            raise ValueError(
                f"{key}: a profile with more memory than {profile.memory} bytes is expected, as it is for what was killed for want of it; "
                f"found {profile.next!r} with {larger.memory} bytes"
            )
        for what in ("cpu", "gpu"):
            if getattr(larger, what) < getattr(profile, what):
                raise ValueError(
                    f"{key}: at least as much {what} ({getattr(profile, what)}) is expected, found {getattr(larger, what)} in {profile.next!r}"
                )
        if larger.scratch is not None and (profile.scratch is None or larger.scratch < profile.scratch):
            raise ValueError(
                f"{key}: no less scratch disk is expected than {profile.scratch or 'unbounded'}, found {larger.scratch} in {profile.next!r}"
            )


def prices(profiles: Mapping[str, Profile]) -> tuple[dict[str, float], str]:
    """What each profile costs, and in which terms, in words.

    Where one has no price, none is taken: processors and memory stand in for all of them, a processor as 4 GiB, which is near what clouds ask.
    """
    told = {name: profile.price for name, profile in profiles.items() if profile.price is not None}
    if len(told) == len(profiles):
        return told, "price"
    stand_in = {name: profile.cpu + profile.memory / (4 * 2**30) for name, profile in profiles.items()}
    return stand_in, "cpu and memory, as not every profile has a price"


def cheapest(profiles: Mapping[str, Profile]) -> str:
    """The name of the cheapest profile of DuckDB, or of all where none is DuckDB's."""
    costs, _ = prices(profiles)
    return min(sorted(profiles), key=lambda name: (profiles[name].engine != "duckdb", profiles[name].gpu, costs[name]))
