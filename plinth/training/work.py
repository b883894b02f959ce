"""One training round: nothing where nothing changed, else train, register, and let the challenger meet the champion.

What belongs here: the order of the steps, which no model may leave out. What does not: what a model reads and how it is judged (its target).
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from plinth.features import load_views
from plinth.lakehouse.tables import Lakehouse
from plinth.profile import Profile
from plinth.registry import Decision, RegisteredVersion, Registry
from plinth.registry.version import CODE
from plinth.training.code import code_of_target
from plinth.training.contents import contents_of
from plinth.training.due import seen_until, why_due
from plinth.training.plots import history
from plinth.training.tags import CONTENTS, REASON, RUN, SEEN, UNTIL
from plinth.training.target import Desk, NotTrainable, Target, Task, Trained, tables_of
from plinth.training.watched import Watch

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
    only_if_due: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """One round of a model.

    Args:
        profile: memory and threads; the same number of threads gives the same digest.
        reason: why there is a round, for the record.
        run: who asks, for the record.
        only_if_due: leaves a model as it is that is not due (`plinth.training.due`); where it is, that is the reason for the record.
        tell: hears what happens.

    Raises:
        TableMissing: an input was never made.
        RegistryUnavailable, RegistryRefused, ModelTampered: see `plinth.registry`.
    """
    views = load_views(lakehouse.platform)
    versions = {str(table): lakehouse.open(table) for table in tables_of(target, views)}
    scratch = lakehouse.platform.path(lakehouse.platform.stores.scratch)
    desk = Desk(
        lakehouse,
        versions,
        profile,
        scratch,
        seed,
        lakehouse.platform.training.fan_out,
        lambda what: tell(f"{target.name}: {what}"),
    )
    work = _Round(target, registry, desk, code_of_target(target, views), {REASON: reason, RUN: run}, time.monotonic())
    known = registry.find(target.name, origin=work.origin)
    if known is not None and known.decision is not None:
        tell(f"{target.name}: tables, code and seed are those of version {known.version}")
        return work.outcome(known, reason=f"nothing changed since version {known.version} was trained")
    if known is None and only_if_due:
        settings = lakehouse.platform.training
        due = why_due(target, Watch(lakehouse, registry, profile, settings.every_days, settings.drift))
        if not due:
            tell(f"{target.name}: not due")
            newest = next(iter(registry.versions(target.name)), None)
            found = work.outcome(newest, reason=f"not due: less than {settings.every_days} days of trade, and no drift")
            return replace(found, inputs=newest.inputs if newest is not None else {})
        tell(f"{target.name}: due, {due}")
        work = replace(work, tags={**work.tags, REASON: reason or due})
    try:
        task = target.open(desk)
        if known is not None:
            # A run that died between registering and deciding left this version; the decision is due, the training is not.
            return work.outcome(known, reason="it was trained before", decision=work.challenge(task, known))
        tell(
            f"{target.name}: training on {', '.join(f'{name} version {number}' for name, number in work.inputs.items())}"
        )
        trained = task.train()
    except NotTrainable as why:
        tell(f"{target.name}: {why.what}")
        return work.outcome(None, reason=why.what)
    before = {each.version for each in registry.versions(target.name)}
    version = work.register(task, trained)
    decision = work.challenge(task, version)
    tell(f"{version}: {decision.reason}")
    registered = version.version not in before
    if not registered:
        # What training gives today: from now on the next one is due as if it had been trained now.
        registry.note(version, {**work.seen, CODE: work.code})
    registry.prune(target.name, lakehouse.platform.training.keep)
    same = "" if registered else f"the model is version {version.version}, byte for byte"
    return work.outcome(version, trained=True, registered=registered, reason=same, decision=decision)


@dataclass(frozen=True)
class _Round:
    """What the steps of a round share."""

    target: Target
    registry: Registry
    desk: Desk
    code: str
    tags: Mapping[str, str]
    began: float

    @property
    def inputs(self) -> dict[str, int]:
        """Delta version of each table."""
        return {name: version.version for name, version in self.desk.versions.items()}

    @cached_property
    def origin(self) -> str:
        """All that the training depends on, as one text."""
        parts = {
            "target": repr(self.target),
            "tables": contents_of(self.desk.versions),
            "code": self.code,
            "seed": self.desk.seed,
            "threads": self.desk.profile.threads,
            "threads of a task": self.desk.fan_out.threads_each(self.desk.profile.threads),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    @cached_property
    def seen(self) -> dict[str, str]:
        """Tags that say what was there to learn from."""
        contents = json.dumps(contents_of(self.desk.versions))
        return {SEEN: seen_until(self.desk.lakehouse, self.desk.profile), CONTENTS: contents}

    def register(self, task: Task, trained: Trained) -> RegisteredVersion:
        """The version of what was trained."""
        self.desk.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.desk.scratch) as folder:
            files = Path(folder) / self.target.name
            trained.save(files)
            return self.registry.log(
                self.target.name,
                files=files,
                parameters=trained.parameters,
                metrics=trained.metrics,
                plots=trained.plots,
                inputs=self.inputs,
                seed=self.desk.seed,
                code=self.code,
                origin=self.origin,
                evaluated_on=task.snapshot,
                tags={**self.tags, **self.seen, UNTIL: trained.until.isoformat()},
            )

    def challenge(self, task: Task, version: RegisteredVersion) -> Decision:
        """Lets a version meet the champion on the task's snapshot."""
        return self.registry.challenge(
            version,
            self.target.metric,
            self.target.higher_is_better,
            task.snapshot,
            evaluate=lambda other: task.value_of(self.registry.fetch(other)),
            unfit=self.target.unfit(version.metrics),
        )

    def outcome(
        self,
        found: RegisteredVersion | None,
        *,
        reason: str,
        trained: bool = False,
        registered: bool = False,
        decision: Decision | None = None,
    ) -> Outcome:
        """What the round came to, with the version as it is after the decision."""
        now = self.registry.version(self.target.name, found.version) if found is not None else None
        return Outcome(
            version=now,
            champion=self.registry.champion(self.target.name),
            decision=decision or (now.decision if now is not None else None),
            inputs=self.inputs,
            trained=trained,
            registered=registered,
            reason=reason,
            seconds=round(time.monotonic() - self.began, 2),
            plots=self._plots(now) if now is not None else {},
        )

    def _plots(self, version: RegisteredVersion) -> dict[str, bytes]:
        """The version's own plots, and how versions came on once there are two."""
        versions = self.registry.versions(self.target.name)
        later = {"history": history(versions, self.target.metric)} if len(versions) > 1 else {}
        return {**self.registry.plots(version), **later}
