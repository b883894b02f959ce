"""Events back into the lakehouse: `bronze/online_events` takes what the store's log has beyond what it holds.

The last number that was taken stands in the commit that brought the rows, so rows and number are published together: whoever is killed in
between loses nothing and repeats nothing. Which log it was stands there as well, since another log begins at 1 again.

What belongs here: the copy. What does not: the log (`events`), and what is made of the events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from plinth.engine import connect
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.staging import StagedFile, stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.online.model import StoredEvent

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from plinth.online import OnlineStore

TABLE = TableId("bronze", "online_events")
PARTITION = "arrived_on"
COLUMNS = (
    DeltaColumn("sequence", "long", comment="Place in the store's log."),
    DeltaColumn("event_id", "string", comment="The sender's name for the event; no two rows have the same."),
    DeltaColumn("customer", "string", "confidential", "Customer, where one was known."),
    DeltaColumn("session", "string", "confidential", "Visit that it belongs to."),
    DeltaColumn("item", "string", comment="Item that it is about."),
    DeltaColumn("kind", "string", comment="view, cart, purchase or another kind of the sender's."),
    DeltaColumn("at", "timestamp", comment="When it happened, by the sender's clock."),
    DeltaColumn("arrived_at", "timestamp", comment="When the store took it."),
    DeltaColumn("body", "string", "confidential", "The event as it was sent."),
    # By the store's clock: a sender's may say any day.
    DeltaColumn(PARTITION, "date", comment="Day on which the store took it, UTC."),
)
DESCRIPTION = "What visitors and customers did, as the API took it: one row for each event."

_PAGE = 10_000
_COMMIT_ROWS = 200_000
_DOUBTFUL = "read_again_up_to"


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("sequence", pa.int64()),
            ("event_id", pa.string()),
            ("customer", pa.string()),
            ("session", pa.string()),
            ("item", pa.string()),
            ("kind", pa.string()),
            ("at", pa.timestamp("us", "UTC")),
            ("arrived_at", pa.timestamp("us", "UTC")),
            ("body", pa.string()),
        ]
    )


@dataclass(frozen=True)
class Archived:
    """What a copy came to: the version of the table, rows added, and the last number of the log that it holds."""

    version: TableVersion
    added: int
    watermark: int
    commits: int
    seconds: float


def archive(
    lakehouse: Lakehouse, store: OnlineStore, *, run: str | None = None, tell: Callable[[str], object] = lambda _: None
) -> Archived:
    """Appends the events that the table does not have yet, in commits of a bounded size.

    Raises:
        StoreUnavailable: the store does not answer; what was committed stays.
        CommitConflict, StorageFailure, ResidencyViolation: as the door.
    """
    began = time.perf_counter()
    store.set_up()
    platform = lakehouse.platform
    con = connect(platform.profile(), scratch=platform.path(platform.stores.scratch))
    added = commits = 0
    try:
        version = lakehouse.find(TABLE) or _create(lakehouse, run)
        place = _place(version, store)
        for events in _portions(store, place.cursor):
            staged = _stage(con, lakehouse, events, version if events[0].sequence <= place.doubtful else None)
            place = replace(place, cursor=events[-1].sequence)
            state = version.state.next(
                changed=bool(staged), run=run, watermark=str(place.cursor), probe=place.log, notes=place.notes
            )
            version = commit(lakehouse, TABLE, Write(version, COLUMNS, state, staged, partition_by=(PARTITION,)))
            added, commits = added + sum(file.rows for file in staged), commits + 1
            tell(f"{added:,} events appended, up to number {place.cursor:,} of the log")
    finally:
        con.close()
    return Archived(version, added, place.cursor, commits, round(time.perf_counter() - began, 3))


@dataclass(frozen=True)
class _Place:
    """Where the copy stands: in which log, after which number, and up to which number a row may be here under another number."""

    log: str
    cursor: int
    doubtful: int

    @property
    def notes(self) -> dict[str, int]:
        return {_DOUBTFUL: self.doubtful} if self.doubtful else {}


def _place(version: TableVersion, store: OnlineStore) -> _Place:
    log, newest, state = store.log_name(), store.last_event(), version.state
    cursor = int(state.watermark or 0)
    if state.probe in (None, log) and cursor <= newest:
        return _Place(log, cursor, state.notes.get(_DOUBTFUL, 0))
    # A new store, or one that was restored from an older copy: its numbers begin anew or are given a second time. All of it is read again,
    # and what is here already is told by its event's id.
    return _Place(log, 0, newest)


def _create(lakehouse: Lakehouse, run: str | None) -> TableVersion:
    state = State().next(changed=True, asset=str(TABLE), run=run)
    return commit(lakehouse, TABLE, Write(None, COLUMNS, state, partition_by=(PARTITION,)))


def _portions(store: OnlineStore, cursor: int) -> Iterator[list[StoredEvent]]:
    portion: list[StoredEvent] = []
    while page := store.events(cursor, _PAGE):
        portion += page
        cursor = page[-1].sequence
        if len(portion) >= _COMMIT_ROWS:
            yield portion
            portion = []
    if portion:
        yield portion


def _stage(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, events: Sequence[StoredEvent], held: TableVersion | None
) -> tuple[StagedFile, ...]:
    con.register("plinth_events", _table(events))
    here = "" if held is None else f" WHERE event_id NOT IN (SELECT event_id FROM {rows_of(held)})"
    sql = f"SELECT *, CAST(arrived_at AS DATE) AS {PARTITION} FROM plinth_events{here} ORDER BY sequence"
    staged = stage(con, sql, lakehouse.uri_of(TABLE), COLUMNS, (PARTITION,))
    con.unregister("plinth_events")
    return staged


def _table(events: Sequence[StoredEvent]) -> pa.Table:
    import pyarrow as pa

    columns = {
        "sequence": [event.sequence for event in events],
        "event_id": [event.event_id for event in events],
        "customer": [event.customer for event in events],
        "session": [event.session for event in events],
        "item": [event.item for event in events],
        "kind": [event.kind for event in events],
        "at": [event.at for event in events],
        "arrived_at": [event.appended_at for event in events],
        "body": [event.body.decode("utf-8", "replace") for event in events],
    }
    return pa.table(columns, schema=_schema())
