"""Every statement that the store runs, written once in SQLAlchemy's language and compiled for each database.

What belongs here: statements, nothing that runs them. They keep to what SQLite, PostgreSQL and CockroachDB share: no advisory locks, no
sequences, no `LOCK TABLE`, no stored procedures; numbers come from a counter's row, conflicts from the primary keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, insert, literal_column, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ColumnElement, Executable, Select
from sqlalchemy.sql.dml import Delete, Insert

from plinth.online.schema import (
    ABANDONED,
    PRUNED,
    PUBLISHED,
    SLOT,
    WRITING,
    counters,
    current,
    documents,
    events,
    versions,
    withheld,
)

MANY = (8, 64, 512)
"""Sizes of key lists that are prepared; a shorter list is filled up with its first key."""


def _text(value: str) -> ColumnElement[str]:
    # A constant of ours in the statement itself: the prepared statement then has only parameters that change.
    return literal_column(f"'{value}'")


# SQLite's dialect would otherwise write an offset as a parameter of its own.
_FROM_FIRST: ColumnElement[int] = literal_column("0")
_CURRENT = select(current.c.version).where(current.c.slot == _text(SLOT)).scalar_subquery()
_PINNED = (
    select(versions.c.id)
    .where(versions.c.id == bindparam("version"), versions.c.state == _text(PUBLISHED))
    .scalar_subquery()
)


def _visible(version: Any) -> ColumnElement[bool]:
    """Picks of each key the row that a version sees, gone or not."""
    other = documents.alias("other")
    newest = select(func.max(other.c.from_version)).where(
        other.c.kind == documents.c.kind, other.c.key == documents.c.key, other.c.from_version <= version
    )
    return documents.c.from_version == newest.correlate(documents).scalar_subquery()


def _shown() -> ColumnElement[bool]:
    """Leaves out what is withheld: in the statement that reads, so that no document slips out between two."""
    hidden = select(withheld.c.key).where(withheld.c.kind == documents.c.kind, withheld.c.key == documents.c.key)
    return ~hidden.correlate(documents).exists()


def _one(version: Any) -> Select[Any]:
    return (
        select(documents.c.body)
        .where(
            documents.c.kind == bindparam("kind"),
            documents.c.key == bindparam("key"),
            documents.c.from_version <= version,
            _shown(),
        )
        .order_by(documents.c.from_version.desc())
        .limit(literal_column("1"))
        .offset(_FROM_FIRST)
    )


def _many(version: Any, size: int) -> Select[Any]:
    keys: list[ColumnElement[str]] = [bindparam(f"key{number}") for number in range(size)]
    return select(documents.c.key, documents.c.body).where(
        documents.c.kind == bindparam("kind"),
        documents.c.key.in_(keys),
        _visible(version),
        documents.c.body.is_not(None),
    )


def _page(*, from_start: bool) -> Select[Any]:
    # Every row of a range of keys, and no picking in here: PostgreSQL takes a condition with a subquery for one that next to no row meets,
    # and then reads and sorts all that is left of the kind for each page (tried: 50,000 documents took 5 s instead of 0.5).
    rows = select(documents.c.key, documents.c.digest).where(documents.c.kind == bindparam("kind"))
    if not from_start:
        rows = rows.where(documents.c.key > bindparam("after"))
    return (
        rows.where(documents.c.from_version <= _PINNED)
        .order_by(documents.c.key, documents.c.from_version)
        .limit(bindparam("limit"))
        .offset(_FROM_FIRST)
    )


READS: Mapping[str, Select[Any]] = {
    "one_current": _one(_CURRENT),
    "one_pinned": _one(_PINNED),
    **{f"many_current_{size}": _many(_CURRENT, size).where(_shown()) for size in MANY},
    **{f"many_pinned_{size}": _many(_PINNED, size).where(_shown()) for size in MANY},
    **{f"many_copied_{size}": _many(_PINNED, size) for size in MANY},
    "page": _page(from_start=False),
    "page_from_start": _page(from_start=True),
    "current_version": select(versions).where(versions.c.id == _CURRENT),
    "published_versions": select(versions).where(versions.c.state == _text(PUBLISHED)).order_by(versions.c.id.desc()),
    "published_version": select(versions).where(
        versions.c.id == bindparam("version"), versions.c.state == _text(PUBLISHED)
    ),
    "withheld": select(withheld.c.key).where(withheld.c.kind == bindparam("kind")).order_by(withheld.c.key),
    "keys_of_kind": select(documents.c.key).where(documents.c.kind == bindparam("kind")).distinct(),
    "next_kind": select(func.min(documents.c.kind)).where(documents.c.kind > bindparam("after")),
    "counter": select(counters.c.value).where(counters.c.name == bindparam("counter")),
    "events_after": select(events)
    .where(events.c.sequence > bindparam("after"))
    .order_by(events.c.sequence)
    .limit(bindparam("limit"))
    .offset(_FROM_FIRST),
    **{
        f"events_of_{column.name}": select(events)
        .where(column == bindparam("whose"), events.c.at >= bindparam("since"))
        .order_by(events.c.at.desc(), events.c.sequence.desc())
        .limit(bindparam("limit"))
        .offset(_FROM_FIRST)
        for column in (events.c.customer, events.c.session)
    },
}
"""What is read outside of a transaction: each is one statement, so it sees one state of the store."""


@dataclass(frozen=True)
class Writes:
    """What runs within transactions. Only the constructor of inserts differs between SQLite and the others; its SQL does not."""

    counted: Executable
    seed_counter: Executable
    take_numbers: Executable
    abandon_drafts: Executable
    newest_published: Executable
    begin_version: Executable
    touch_draft: Executable
    put_document: Executable
    finish_version: Executable
    point: Executable
    verify_version: Executable
    hold_version: Executable
    abandoned: Executable
    page_of_version: Executable
    remove_row: Executable
    remove_older: Executable
    drop_version: Executable
    pointed: Executable
    published_ids: Executable
    mark_pruned: Executable
    unsettled: Executable
    settle_version: Executable
    known_events: Executable
    append_event: Executable
    forget_events: Executable
    sessions_of: Executable
    erase_of_customer: Executable
    erase_of_session: Executable
    withheld_keys: Executable
    withhold: Executable
    release: Executable


@cache
def writes(dialect: str) -> Writes:
    """The statements for a dialect's name."""
    make = sqlite.insert if dialect == "sqlite" else postgresql.insert
    seed, put, point, event, hide = make(counters), make(documents), make(current), make(events), make(withheld)
    row = and_(
        documents.c.kind == bindparam("row_kind"),
        documents.c.key == bindparam("row_key"),
    )
    return Writes(
        counted=select(func.count()).select_from(counters),
        seed_counter=seed.on_conflict_do_nothing(index_elements=["name"]),
        take_numbers=update(counters)
        .where(counters.c.name == bindparam("counter"))
        .values(value=counters.c.value + bindparam("many"))
        .returning(counters.c.value),
        abandon_drafts=update(versions).where(versions.c.state == _text(WRITING)).values(state=_text(ABANDONED)),
        newest_published=select(func.max(versions.c.id)).where(versions.c.state == _text(PUBLISHED)),
        begin_version=insert(versions),
        # Written by each batch, not only read: a publisher that begins anew and this one then meet on the row, at any isolation.
        touch_draft=update(versions)
        .where(versions.c.id == bindparam("version"), versions.c.state == _text(WRITING))
        .values(changed=bindparam("so_far")),
        put_document=put.on_conflict_do_update(
            index_elements=["kind", "key", "from_version"],
            set_={"digest": put.excluded.digest, "body": put.excluded.body},
        ),
        finish_version=update(versions)
        .where(versions.c.id == bindparam("version"), versions.c.state == _text(WRITING))
        .values(
            state=_text(PUBLISHED),
            published_at=bindparam("at"),
            verified_at=bindparam("at"),
            documents=bindparam("counts"),
            changed=bindparam("so_far"),
        ),
        point=_newer_wins(point),
        verify_version=update(versions)
        .where(versions.c.id == bindparam("version"), versions.c.state == _text(PUBLISHED))
        .values(verified_at=bindparam("at")),
        # Changes nothing, but meets a prune that would take the version away.
        hold_version=update(versions)
        .where(versions.c.id == bindparam("version"), versions.c.state == _text(PUBLISHED))
        .values(state=_text(PUBLISHED)),
        abandoned=select(versions.c.id).where(versions.c.state == _text(ABANDONED)).order_by(versions.c.id),
        page_of_version=select(documents.c.kind, documents.c.key, documents.c.digest)
        .where(
            documents.c.from_version == bindparam("version"),
            tuple_(documents.c.kind, documents.c.key) > tuple_(bindparam("after_kind"), bindparam("after_key")),
        )
        .order_by(documents.c.kind, documents.c.key)
        .limit(bindparam("limit"))
        .offset(_FROM_FIRST),
        remove_row=delete(documents).where(row, documents.c.from_version == bindparam("version")),
        remove_older=delete(documents).where(row, documents.c.from_version < bindparam("version")),
        drop_version=delete(versions).where(versions.c.id == bindparam("version")),
        pointed=select(current.c.version).where(current.c.slot == _text(SLOT)),
        published_ids=select(versions.c.id).where(versions.c.state == _text(PUBLISHED)).order_by(versions.c.id.desc()),
        mark_pruned=update(versions)
        .where(versions.c.id < bindparam("floor"), versions.c.state == _text(PUBLISHED))
        .values(state=_text(PRUNED)),
        # One that was the oldest kept before is settled already, and has only to go.
        unsettled=select(versions.c.id, versions.c.state, versions.c.settled)
        .where(
            versions.c.id <= bindparam("floor"),
            or_(
                versions.c.state == _text(PRUNED),
                and_(versions.c.state == _text(PUBLISHED), versions.c.settled == literal_column("0")),
            ),
        )
        .order_by(versions.c.id),
        settle_version=update(versions)
        .where(versions.c.id == bindparam("version"))
        .values(settled=literal_column("1")),
        known_events=select(events.c.event_id).where(events.c.event_id.in_(bindparam("ids", expanding=True))),
        append_event=event.on_conflict_do_nothing(index_elements=["event_id"]),
        forget_events=_delete_some(
            and_(events.c.sequence <= bindparam("up_to"), events.c.appended_at < bindparam("before"))
        ),
        sessions_of=select(events.c.session).where(events.c.customer == bindparam("whose")).distinct(),
        erase_of_customer=_delete_some(events.c.customer == bindparam("whose")),
        erase_of_session=_delete_some(and_(events.c.customer.is_(None), events.c.session == bindparam("whose"))),
        withheld_keys=select(withheld.c.key).where(withheld.c.kind == bindparam("kind")),
        withhold=hide.on_conflict_do_nothing(index_elements=["kind", "key"]),
        release=delete(withheld).where(
            withheld.c.kind == bindparam("row_kind"), withheld.c.key == bindparam("row_key")
        ),
    )


def _delete_some(condition: ColumnElement[bool]) -> Delete:
    """Deletes the first `limit` events that meet a condition."""
    chosen = select(events.c.sequence).where(condition).order_by(events.c.sequence)
    return delete(events).where(
        events.c.sequence.in_(chosen.limit(bindparam("limit")).offset(_FROM_FIRST).scalar_subquery())
    )


def _newer_wins(point: Any) -> Insert:
    """Sets the pointer, unless a newer change has set it already."""
    made: Insert = point.on_conflict_do_update(
        index_elements=["slot"],
        set_={"version": point.excluded.version, "change": point.excluded.change},
        where=current.c.change < point.excluded.change,
    )
    return made


@dataclass(frozen=True)
class Prepared:
    """A read as the driver takes it: text, and the order of its parameters where they have no names."""

    text: str
    order: tuple[str, ...] | None


def prepare(statement: Select[Any], dialect: Dialect) -> Prepared:
    """Compiles a read once; SQLAlchemy's own execution of a small read costs several times the read itself."""
    compiled = statement.compile(dialect=dialect)
    order = getattr(compiled, "positiontup", None)
    return Prepared(str(compiled), tuple(order) if order is not None else None)
