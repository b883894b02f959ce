"""The log of events: durable before it answers, each event once, in an order that a reader can follow without missing any.

A batch is one transaction. Its numbers come from a counter's row that is held until the commit, so a number never becomes visible after a
higher one: whoever reads on from the last number that it has seen gets everything. Numbers may have gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql import Executable

from plinth.online.batches import ROWS, by_number
from plinth.online.database import Database
from plinth.online.errors import EventRefused
from plinth.online.model import AppendResult, Event, StoredEvent, from_microseconds, now, storable, to_microseconds
from plinth.online.reading import Reading
from plinth.online.schema import EVENT_COUNTER

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


def append(database: Database, events: Sequence[Event]) -> AppendResult:
    """Stores a batch, and returns once it is durable; see `OnlineStore.append_events`."""
    rows: dict[str, dict[str, Any]] = {}
    for event in events:
        _check(event)
        rows.setdefault(event.event_id, _row(event))

    def work(connection: Connection) -> set[str]:
        known: set[str] = set()
        for ids in by_number(rows):
            known.update(connection.execute(database.writes.known_events, {"ids": list(ids)}).scalars())
        new = [row for name, row in rows.items() if name not in known]
        if new:
            last = database.take_numbers(connection, EVENT_COUNTER, len(new))
            at = now()
            numbered = [
                {**row, "sequence": last - len(new) + place, "appended_at": at} for place, row in enumerate(new, 1)
            ]
            connection.execute(database.writes.append_event, numbered)
        return known

    known = database.transact(work) if rows else set()
    accepted: list[str] = []
    repeated: list[str] = []
    for event in events:
        (repeated if event.event_id in known else accepted).append(event.event_id)
        known.add(event.event_id)
    return AppendResult(accepted, repeated)


def after(reading: Reading, sequence: int, limit: int) -> list[StoredEvent]:
    """The next events of the log."""
    return [_stored(row) for row in reading.rows("events_after", {"after": sequence, "limit": limit})]


def of(
    reading: Reading, customer: str | None, session: str | None, since: datetime | None, limit: int
) -> list[StoredEvent]:
    """The newest events of a customer or a session, oldest first."""
    name, whose = ("events_of_customer", customer) if customer is not None else ("events_of_session", session)
    if whose is None or not storable(whose):
        return []
    values = {"whose": whose, "since": to_microseconds(since or _BEGINNING), "limit": limit}
    return [_stored(row) for row in reversed(reading.rows(name, values))]


def forget(database: Database, up_to: int, before: datetime) -> int:
    """Removes events up to a number that were stored before a time, in short transactions; gives how many."""
    return _remove(database, database.writes.forget_events, up_to=up_to, before=to_microseconds(before))


def erase(database: Database, customer: str) -> int:
    """Removes all events of a customer, and those of his sessions from before he was known; gives how many."""
    database.set_up()

    def found(connection: Connection) -> list[str]:
        rows = connection.execute(database.writes.sessions_of, {"whose": customer})
        return [row.session for row in rows if row.session is not None]

    # The customer's own come last: whoever is ended in between finds the sessions again.
    removed = sum(
        _remove(database, database.writes.erase_of_session, whose=session) for session in database.transact(found)
    )
    return removed + _remove(database, database.writes.erase_of_customer, whose=customer)


def _remove(database: Database, statement: Executable, **values: Any) -> int:
    removed = 0
    while True:
        found = database.transact(lambda connection: connection.execute(statement, {**values, "limit": ROWS}).rowcount)
        removed += found
        if found < ROWS:
            return removed


def _check(event: Event) -> None:
    texts = {"event_id": event.event_id, "item": event.item, "kind": event.kind}
    wrong = [name for name, text in texts.items() if not text or not storable(text)]
    wrong += [
        name
        for name, text in (("customer", event.customer), ("session", event.session))
        if text is not None and not storable(text)
    ]
    if event.at.tzinfo is None:
        wrong.append("at")
    if wrong:
        raise EventRefused(
            f"an event cannot be stored: {', '.join(wrong)}",
            expected="an event_id, an item, a kind and a time with its zone; texts without NUL, of at most 512 characters",
            found=f"event {event.event_id[:40]!r}",
            remedy="mend the event; nothing of its batch was stored",
        )


def _row(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "customer": event.customer,
        "session": event.session,
        "item": event.item,
        "kind": event.kind,
        "at": to_microseconds(event.at),
        "body": event.body,
    }


def _stored(row: tuple[Any, ...]) -> StoredEvent:
    sequence, event_id, customer, session, item, kind, at, body, appended_at = row
    return StoredEvent(
        sequence,
        event_id,
        customer,
        session,
        item,
        kind,
        from_microseconds(at),
        body,
        from_microseconds(appended_at),
    )
