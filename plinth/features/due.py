"""Which weekly snapshots of a view have to be made: those that are missing, and those that a change of the inputs reaches.

What belongs here: telling that from the Delta log and the changed rows alone. What does not: making them (`store`). A changed row reaches a
snapshot when it counts there, by both clocks and the window, and only as far as a column that the view uses differs: a sale whose line is
rewritten because of a later cancellation reaches none.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from plinth.engine import quote
from plinth.errors import StorageFailure
from plinth.features.declare import SNAPSHOT, FeatureSource, FeatureView, FeatureViews
from plinth.features.query import instant, source_rows
from plinth.features.rows import Inputs, end_of, explained, session
from plinth.lakehouse.changes import changes_since
from plinth.lakehouse.feed import CHANGE
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableVersion
from plinth.objects.files import files_below, read_text

if TYPE_CHECKING:
    import duckdb

WEEK = timedelta(weeks=1)
_COMMIT = re.compile(r"/\d{20}\.json$")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Due:
    """What there is to do.

    Attributes:
        missing: Mondays of the refresh's weeks without a snapshot.
        touched: Mondays whose snapshots no longer follow from the inputs, or may not.
        reason: why they were touched, in words.
    """

    missing: tuple[date, ...]
    touched: tuple[date, ...]
    reason: str

    @property
    def mondays(self) -> tuple[date, ...]:
        """All of them, in order."""
        return tuple(sorted({*self.missing, *self.touched}))


def due_snapshots(
    con: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    inputs: Inputs,
    held: TableVersion | None,
    views: FeatureViews,
    today: date | None,
) -> Due:
    """What a refresh has to make.

    Args:
        held: the feature table; None where there is none yet.
        today: rows of later days have wrong dates and reach nothing; None to look for touched ones only.
    """
    there = mondays_of(held)
    touched, reason = touched_snapshots(con, lakehouse, inputs, held, there)
    if today is None:
        return Due((), touched, reason)
    wanted = newest_mondays(inputs.newest(con, end_of(today)), views.since, inputs.view.refresh_weeks)
    return Due(tuple(day for day in wanted if day not in set(there)), touched, reason)


def newest_mondays(span: tuple[datetime, datetime] | None, since: date, weeks: int) -> tuple[date, ...]:
    """The newest Mondays that are worth a snapshot: from the first that any row counts on to the last that the data reach.

    A Monday after the newest row is none of them: nobody knows yet what happens before it. What has happened since the last one is for the
    online values.
    """
    if span is None:
        return ()
    first, last = max(since, monday_after(span[0])), monday_of(span[1].date())
    days = [last - WEEK * number for number in range(weeks)]
    return tuple(sorted(day for day in days if day >= first))


def reach_of(con: duckdb.DuckDBPyConnection, inputs: Inputs, today: date | None = None) -> date | None:
    """The last Monday that the data of a view reach; None where there is no row."""
    span = inputs.newest(con, end_of(today or datetime.now(UTC).date()))
    return None if span is None else monday_of(span[1].date())


def last_reached(lakehouse: Lakehouse, view: FeatureView) -> date | None:
    """The last Monday that the data of a view reach today.

    Raises:
        TableMissing: a table of the view has not been made yet.
    """
    with session(lakehouse) as con, explained(view):
        return reach_of(con, Inputs.open(lakehouse, view))


def last_told(lakehouse: Lakehouse, views: FeatureViews) -> date | None:
    """The last Monday that the data of any view reached when its table was written, as the newest commit says.

    Definitions ask at each load, and load no engine: so this reads the files of the log itself. None where there is no table, and where the
    object store in which it lies does not answer: definitions have to load then too.
    """
    said = (_watermark(f"{lakehouse.uri_of(view.table)}/_delta_log") for view in views.views.values())
    try:
        return max((date.fromisoformat(text) for text in said if text is not None), default=None)
    except StorageFailure as fault:
        _logger.warning("The last week of the features is not known: %s", fault)
        return None


def _watermark(log: str) -> str | None:
    for file in sorted((file for file in files_below(log) if _COMMIT.search(file)), reverse=True):
        for line in read_text(file).splitlines():
            state = State.from_metadata(json.loads(line).get("commitInfo", {}))
            if state is not None:
                return state.watermark
    return None


def touched_snapshots(
    con: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    inputs: Inputs,
    held: TableVersion | None,
    there: Sequence[date],
) -> tuple[tuple[date, ...], str]:
    """Which of the snapshots that there are do not follow from the inputs any more, and why."""
    if held is None or not there:
        return (), "there is no snapshot yet"
    if held.foreign or held.state.code != inputs.view.fingerprint:
        return tuple(there), "another tool changed the table" if held.foreign else "the declaration changed"
    touched: set[date] = set()
    for source in inputs.view.sources.values():
        version = inputs.versions[source.table_id]
        seen = held.state.inputs.get(source.table)
        if seen == version.content:
            continue
        changes = changes_since(lakehouse, version, seen) if seen is not None else None
        if changes is None:
            return tuple(there), f"what changed in {source.table} since then cannot be told"
        touched |= _reached(con, source, changes.sql, there)
    return tuple(sorted(touched)), "rows that count there changed" if touched else "no row that counts there changed"


def _reached(con: duckdb.DuckDBPyConnection, source: FeatureSource, changes: str, there: Sequence[date]) -> set[date]:
    columns = ", ".join(quote(name) for name in (*source.columns, "event_time", "known_time"))
    side = [
        f"({source_rows(source, f'(SELECT * FROM ({changes}) WHERE {CHANGE} = {kind!r})')})"
        for kind in ("insert", "delete")
    ]
    changed = (
        f"SELECT event_time, known_time FROM (SELECT {columns}, 1 AS plinth_side FROM {side[0]} UNION ALL SELECT {columns}, -1 FROM {side[1]}) "
        f"GROUP BY {columns} HAVING sum(plinth_side) <> 0"
    )
    since = f" AND event_time >= moment - INTERVAL {source.window.days} DAY" if source.window is not None else ""
    instants = ", ".join(f"({instant(instant_of(day))})" for day in there)
    found = con.execute(
        f"WITH changed AS MATERIALIZED ({changed}) SELECT CAST(moment AS DATE) FROM (VALUES {instants}) AS snapshots(moment) "
        f"WHERE EXISTS (SELECT 1 FROM changed WHERE event_time < moment AND known_time < moment{since})"
    ).fetchall()
    return {row[0] for row in found}


def mondays_of(held: TableVersion | None) -> tuple[date, ...]:
    """The snapshots that a feature table has, from its log."""
    if held is None:
        return ()
    return tuple(sorted({as_date(file.partition[SNAPSHOT]) for file in held.files}))


def as_date(value: object) -> date:
    """A partition's value as a date; the log may give it as text."""
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def instant_of(monday: date) -> datetime:
    """The instant that the snapshot of a Monday is as of: its first moment."""
    return datetime.combine(monday, time())


def monday_of(day: date) -> date:
    """The Monday of a day's week."""
    return day - timedelta(days=day.weekday())


def monday_after(moment: datetime) -> date:
    """The first Monday at whose first moment something of that moment has happened."""
    return monday_of(moment.date()) + WEEK


def in_order(days: Iterable[date]) -> tuple[date, ...]:
    """Each day once, in order."""
    return tuple(sorted(set(days)))
