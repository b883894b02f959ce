"""Which version of a model is served: the challenge, promotion by hand, and the way back.

What belongs here: the rules and the record of what was decided. What does not: how a version is evaluated (the caller knows), and what is stored
(`plinth.registry.registry`).

The rules: a figure counts only beside another of the same snapshot; an equal figure is no better one; a version that was rolled back comes back
by hand only; a version that is unfit in itself (no better than knowing nothing) is never promoted, be there a champion or not; a champion that
cannot be held against it any more is replaced by hand only. The row of champions stands in a tag of the model, so that a rollback can be rolled back
further.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from plinth.registry import version as tag
from plinth.registry.errors import ModelMissing, NotComparable, NothingToRollBack
from plinth.registry.store import faults
from plinth.registry.version import Decision, RegisteredVersion

if TYPE_CHECKING:
    from plinth.registry.registry import Registry

CHAMPIONS = "plinth.champions"
_KEPT = 100


@dataclass(frozen=True)
class Challenge:
    """What a challenge is about; see `Registry.challenge`."""

    version: RegisteredVersion
    metric: str
    higher_is_better: bool
    evaluated_on: str
    evaluate: Callable[[RegisteredVersion], float | None] | None
    unfit: str = ""


def challenge(registry: Registry, asked: Challenge) -> Decision:
    """Decides, promotes where it is due, and records the decision on the challenger."""
    value = _value(asked, asked.version)
    while True:
        champion = registry.champion(asked.version.model)
        # Outside the lock: an evaluation may take a minute, and readers of other models should not wait for it.
        held = None if champion is None or champion.version == asked.version.version else _value(asked, champion)
        with registry.store.lock(), faults(registry.store.uri):
            now = registry.champion(asked.version.model)
            if (now.version if now else None) != (champion.version if champion else None):
                continue
            fresh = registry.version(asked.version.model, asked.version.version) or asked.version
            decision = _decide(asked, fresh, champion, value, held)
            _record(registry, fresh, decision)
            return decision


def promote(registry: Registry, model: str, number: int) -> RegisteredVersion:
    """Makes a version the champion by hand."""
    with registry.store.lock(), faults(registry.store.uri):
        version = _existing(registry, model, number)
        if version.rolled_back is not None:
            registry.store.client.delete_model_version_tag(model, str(number), tag.ROLLED_BACK)
        row = row_of(registry, model)
        _crown(registry, version, row if row and row[-1] == number else [*row, number])
    return _existing(registry, model, number)


def roll_back(registry: Registry, model: str, to: int | None, reason: str) -> RegisteredVersion:
    """Puts an earlier champion back, and marks what was champion."""
    with registry.store.lock(), faults(registry.store.uri):
        row = row_of(registry, model)
        target = to if to is not None else _before(registry, model, row)
        version = _existing(registry, model, target)
        if row and row[-1] == target:
            return version
        if row:
            said = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, back to version {target}" + (
                f": {reason}" if reason else ""
            )
            registry.store.client.set_model_version_tag(model, str(row[-1]), tag.ROLLED_BACK, said)
        if version.rolled_back is not None:
            registry.store.client.delete_model_version_tag(model, str(target), tag.ROLLED_BACK)
        past = row[:-1]
        place = len(past) - past[::-1].index(target) - 1 if target in past else len(row)
        _crown(registry, version, [*row[:place], target])
    return _existing(registry, model, target)


def row_of(registry: Registry, model: str) -> list[int]:
    """The champions in the order in which they were made so, the present one last."""
    champion = registry.champion(model)
    if champion is None:
        return []
    tags = registry.store.client.get_registered_model(model).tags
    row: list[int] = json.loads(tags.get(CHAMPIONS, "[]"))
    if champion.version in row:
        return row[: len(row) - row[::-1].index(champion.version)]
    return [*row, champion.version]


def _value(asked: Challenge, version: RegisteredVersion) -> float | None:
    if version.evaluated_on == asked.evaluated_on and asked.metric in version.metrics:
        return version.metrics[asked.metric]
    if asked.evaluate is None:
        raise NotComparable(
            f"{version} has no {asked.metric} on this snapshot",
            expected=f"figures of {asked.evaluated_on}",
            found=f"figures of {version.evaluated_on or 'an unnamed snapshot'}: {', '.join(sorted(version.metrics)) or 'none'}",
            remedy="give the challenge a function that evaluates a version on it",
        )
    return asked.evaluate(version)


def _decide(
    asked: Challenge,
    version: RegisteredVersion,
    champion: RegisteredVersion | None,
    value: float | None,
    held: float | None,
) -> Decision:
    def decision(promoted: bool, reason: str, *, open: bool = False) -> Decision:
        number = champion.version if champion is not None else None
        return Decision(promoted, reason, asked.metric, value, held, number, asked.evaluated_on, open)

    if champion is not None and champion.version == version.version:
        return decision(False, f"version {version.version} is the champion already")
    if version.rolled_back is not None:
        return decision(
            False,
            f"version {version.version} was rolled back ({version.rolled_back}); only `plinth model promote` brings it back",
        )
    if value is None or not math.isfinite(value):
        return decision(False, f"version {version.version} has no {asked.metric}")
    if asked.unfit:
        return decision(False, f"version {version.version} is not fit to serve: {asked.unfit}")
    if champion is None:
        return decision(True, f"there was no champion; {asked.metric} {value:.4f}")
    if held is None or not math.isfinite(held):
        return decision(
            False,
            f"the champion, version {champion.version}, cannot be evaluated by today's code, so nobody knows which is better. Whether version "
            f"{version.version} with {asked.metric} {value:.4f} takes its place is for a person to say: plinth model promote {version.model} {version.version}",
            open=True,
        )
    better = value > held if asked.higher_is_better else value < held
    word = "beats" if better else "does not beat"
    return decision(
        better,
        f"{asked.metric} {value:.4f} {word} {held:.4f} of the champion, version {champion.version}, on the same snapshot",
    )


def _record(registry: Registry, version: RegisteredVersion, decision: Decision) -> None:
    if decision.promoted:
        _crown(registry, version, [*row_of(registry, version.model), version.version])
    elif not version.is_champion:
        registry.store.client.set_registered_model_alias(version.model, tag.CHALLENGER, str(version.version))
    elif version.decision is not None:
        # The decision that made it champion stays on record.
        return
    registry.store.client.set_model_version_tag(version.model, str(version.version), tag.DECISION, decision.as_text())


def _crown(registry: Registry, version: RegisteredVersion, row: list[int]) -> None:
    # The row first: if the process dies between the two, the alias, which alone is served, says what was champion, and `row_of` believes it.
    client = registry.store.client
    client.set_registered_model_tag(version.model, CHAMPIONS, json.dumps(row[-_KEPT:]))
    client.set_registered_model_alias(version.model, tag.CHAMPION, str(version.version))
    challenger = registry.challenger(version.model)
    if challenger is not None and challenger.version == version.version:
        client.delete_registered_model_alias(version.model, tag.CHALLENGER)


def _before(registry: Registry, model: str, row: list[int]) -> int:
    for number in reversed(row[:-1]):
        found = registry.version(model, number)
        if number != row[-1] and found is not None and found.rolled_back is None and found.pruned is None:
            return number
    raise NothingToRollBack(
        f"{model} has no earlier champion",
        expected="a version that was champion before",
        found=f"champions so far: {', '.join(map(str, row)) or 'none'}",
        remedy=f"choose a version of `plinth model list`: plinth model promote {model} <version>",
    )


def _existing(registry: Registry, model: str, number: int) -> RegisteredVersion:
    found = registry.version(model, number)
    if found is None:
        known = [str(each.version) for each in registry.versions(model)]
        raise ModelMissing(
            f"{model} has no version {number}",
            expected=f"one of {', '.join(known)}" if known else "a version that a run has registered",
            found=number,
            remedy="`plinth model list` shows what there is",
        )
    if found.pruned is not None:
        raise ModelMissing(
            f"the files of {found} were removed",
            expected="a version whose files are kept",
            found=f"removed {found.pruned}",
            where="platform.yaml, training.keep",
            remedy=f"choose another one of `plinth model list {model}`, or train anew",
        )
    return found
