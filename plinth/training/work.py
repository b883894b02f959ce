"""One training round: nothing where nothing changed, else train, register, and let the challenger meet the champion.

What belongs here: the order of the steps, which no model may leave out. What does not: what a model reads and how it is judged (its target).
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plinth.lakehouse.tables import Lakehouse, TableVersion
from plinth.platform import Profile
from plinth.registry import Decision, RegisteredVersion, Registry
from plinth.training.code import code_of
from plinth.training.contents import contents_of
from plinth.training.plots import history
from plinth.training.target import Desk, NotTrainable, Target, Task

UNTIL, REASON, RUN, CONTENTS = "plinth.until", "plinth.reason", "plinth.run", "plinth.contents"
SEED = 20


@dataclass(frozen=True)
class Outcome:
    """What a round came to.

    Attributes:
        version: the version that today's tables give; None where there is nothing to train on.
        champion: the version that is served after the round.
        trained: whether a training was done; it was not where tables, code, settings and seed were those of `version`.
        registered: whether `version` is new.
        reason: why nothing was trained or registered, or empty.
        plots: PNG images by name.
    """

    version: RegisteredVersion | None
    champion: RegisteredVersion | None
    decision: Decision | None
    inputs: Mapping[str, int]
    trained: bool
    registered: bool
    reason: str
    seconds: float
    plots: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def train(
    target: Target,
    lakehouse: Lakehouse,
    registry: Registry,
    *,
    profile: Profile,
    seed: int = SEED,
    reason: str = "",
    run: str = "",
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """One round of a model.

    Args:
        profile: memory and threads; the same number of threads gives the same digest.
        reason: why there is a round, for the record.
        run: who asks, for the record.
        tell: hears what happens.

    Raises:
        TableMissing: an input was never made.
        RegistryUnavailable, RegistryRefused, ModelTampered: see `plinth.registry`.
    """
    began = time.monotonic()
    versions = {str(table): lakehouse.open(table) for table in target.inputs}
    inputs = {name: version.version for name, version in versions.items()}
    code = code_of(target.packages)
    origin = _origin(target, versions, code, seed, profile.threads)
    scratch = lakehouse.platform.path(lakehouse.platform.stores.scratch)
    desk = Desk(lakehouse, versions, profile, scratch, seed)
    known = registry.find(target.name, origin=origin)

    def outcome(found: RegisteredVersion | None, **more: object) -> Outcome:
        now = registry.version(target.name, found.version) if found is not None else None
        given: dict[str, object] = {
            "trained": False,
            "registered": False,
            "reason": "",
            "decision": now and now.decision,
        }
        plots = _plots(target, registry, now) if now is not None else {}
        seconds = round(time.monotonic() - began, 2)
        champion = registry.champion(target.name)
        return Outcome(now, champion, inputs=inputs, seconds=seconds, plots=plots, **{**given, **more})  # type: ignore[arg-type]

    if known is not None and known.decision is not None:
        tell(f"{target.name}: tables, code and seed are those of version {known.version}")
        return outcome(known, reason=f"nothing changed since version {known.version} was trained")
    try:
        task = target.open(desk)
        if known is not None:
            # A run that died between registering and deciding left this version; the decision is due, the training is not.
            return outcome(known, reason="it was trained before", decision=_challenge(target, task, registry, known))
        tell(f"{target.name}: training on {', '.join(f'{name} version {number}' for name, number in inputs.items())}")
        trained = task.train()
    except NotTrainable as why:
        tell(f"{target.name}: {why.what}")
        return outcome(None, reason=why.what)
    with tempfile.TemporaryDirectory(dir=_made(scratch)) as folder:
        files = Path(folder) / target.name
        trained.save(files)
        before = {each.version for each in registry.versions(target.name)}
        version = registry.log(
            target.name,
            files=files,
            parameters=trained.parameters,
            metrics=trained.metrics,
            plots=trained.plots,
            inputs=inputs,
            seed=seed,
            code=code,
            origin=origin,
            evaluated_on=task.snapshot,
            tags={
                UNTIL: trained.until.isoformat(),
                REASON: reason,
                RUN: run,
                CONTENTS: json.dumps(contents_of(versions)),
            },
        )
    registered = version.version not in before
    decision = _challenge(target, task, registry, version)
    tell(f"{version}: {decision.reason}")
    same = "" if registered else f"the model is version {version.version}, byte for byte"
    return outcome(version, trained=True, registered=registered, reason=same, decision=decision)


def _challenge(target: Target, task: Task, registry: Registry, version: RegisteredVersion) -> Decision:
    return registry.challenge(
        version,
        target.metric,
        target.higher_is_better,
        task.snapshot,
        evaluate=lambda other: task.value_of(registry.fetch(other)),
    )


def _plots(target: Target, registry: Registry, version: RegisteredVersion) -> dict[str, bytes]:
    """The version's own plots, and how versions came on once there are two."""
    versions = registry.versions(target.name)
    later = {"history": history(versions, target.metric)} if len(versions) > 1 else {}
    return {**registry.plots(version), **later}


def _origin(target: Target, versions: Mapping[str, TableVersion], code: str, seed: int, threads: int) -> str:
    text = json.dumps(
        {"target": repr(target), "tables": contents_of(versions), "code": code, "seed": seed, "threads": threads},
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
