"""Which version of what was published is judged by what was bought since: one that there has been time to buy after.

Lists and chances are made anew as often as gold changes, and of last night's nobody can tell yet how well they are. So of the lists the oldest version
is judged that the same model made and whose files are still kept, and of the chances the newest whose weeks are over.

What belongs here: finding it, and from when on it is judged. What does not: the figures (`plinth.training.drift`, `plinth.training.score_drift`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableVersion
from plinth.serving.champion import PROPENSITY, RECOMMENDER, input_name
from plinth.serving.tables import kept_hours

_COMMITS = 200
_MARGIN_HOURS = 12  # before files may go, so that none is taken away while it is read


@dataclass(frozen=True)
class Judged:
    """A version of what was published, and the first moment that it knew nothing of."""

    table: TableVersion
    until: datetime


def lists_to_judge(lakehouse: Lakehouse, newest: TableVersion, now: datetime | None = None) -> Judged | None:
    """The version of the lists to judge; None where the lists do not say up to when they know.

    Args:
        newest: the lists as they stand.
        now: of the commits' clock.
    """
    if newest.state.watermark is None:
        return None
    chosen, until = newest.version, newest.state.watermark
    model = newest.state.inputs.get(input_name(RECOMMENDER))
    for number, state, watermark in _kept(newest, now):
        if state.inputs.get(input_name(RECOMMENDER)) != model:
            break
        chosen, until = number, watermark
    return _opened(lakehouse, newest, chosen, until)


def scores_to_judge(
    lakehouse: Lakehouse, newest: TableVersion, model: str, before: datetime, now: datetime | None = None
) -> Judged | None:
    """The newest version of the chances that a model gave as of an instant or before it; None where none is kept.

    Args:
        newest: serving/purchase_propensity as it stands.
        model: names the model as `input_text` does.
        before: no later may the first of the weeks be that the chances are about.
        now: of the commits' clock.
    """
    for number, state, watermark in _kept(newest, now):
        if state.inputs.get(input_name(PROPENSITY)) == model and datetime.fromisoformat(watermark) <= before:
            return _opened(lakehouse, newest, number, watermark)
    return None


def _kept(newest: TableVersion, now: datetime | None) -> Iterator[tuple[int, State, str]]:
    """Number, state and watermark of the versions whose files are kept, the newest first."""
    oldest = (now or datetime.now(UTC)) - timedelta(hours=kept_hours(newest.id) - _MARGIN_HOURS)
    for commit in newest.delta.history(_COMMITS):
        state = State.from_metadata(commit)
        if state is None or state.watermark is None or _written_at(commit) < oldest:
            return
        yield int(commit["version"]), state, state.watermark


def _opened(lakehouse: Lakehouse, newest: TableVersion, version: int, until: str) -> Judged:
    table = newest if version == newest.version else lakehouse.open(newest.id, version=version)
    return Judged(table, datetime.fromisoformat(until))


def _written_at(commit: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(int(commit["timestamp"]) / 1000, UTC)
