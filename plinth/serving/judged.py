"""Which version of the published lists is judged by what was bought since: one that there has been time to buy after.

Lists are made anew as often as gold changes, and of last night's nobody can tell yet how well they hit. So the oldest version is judged that the
same model made and whose files are still kept.

What belongs here: finding it, and from when on it is judged. What does not: the figure (`plinth.training.drift`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from plinth.lakehouse.maintenance import RETENTION_HOURS
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableVersion
from plinth.serving.champion import RECOMMENDER, input_name

_COMMITS = 200
_MARGIN_HOURS = 12  # before files may go, so that none is taken away while it is read


@dataclass(frozen=True)
class Judged:
    """A version of the lists, and the first moment that they knew nothing of."""

    lists: TableVersion
    until: datetime


def lists_to_judge(lakehouse: Lakehouse, newest: TableVersion, now: datetime | None = None) -> Judged | None:
    """The version to judge; None where the lists do not say up to when they know.

    Args:
        newest: the lists as they stand.
        now: of the commits' clock.
    """
    if newest.state.watermark is None:
        return None
    oldest = (now or datetime.now(UTC)) - timedelta(hours=RETENTION_HOURS - _MARGIN_HOURS)
    chosen, until = newest.version, newest.state.watermark
    for commit in newest.delta.history(_COMMITS):
        state = State.from_metadata(commit)
        if state is None or state.watermark is None or _written_at(commit) < oldest:
            break
        if _model(state) != _model(newest.state):
            break
        chosen, until = int(commit["version"]), state.watermark
    lists = newest if chosen == newest.version else lakehouse.open(newest.id, version=chosen)
    return Judged(lists, datetime.fromisoformat(until))


def _written_at(commit: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(int(commit["timestamp"]) / 1000, UTC)


def _model(state: State) -> str | None:
    return state.inputs.get(input_name(RECOMMENDER))
