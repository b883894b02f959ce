"""Cheap looks at legacy tables: which of them have changed since their last load?

What belongs here: looking at some tables of one source, in turn, and naming what was seen. What does not: what a look costs and can see
(`plinth.sources`, probe), and what is done about it (`sensors`, `jobs`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from plinth.contracts.model import Drift, Table
from plinth.errors import PlinthError
from plinth.ingest.load import bronze_id, landed_columns
from plinth.ingest.plan import fingerprint, reconcile_due, whole_due

if TYPE_CHECKING:
    from plinth.lakehouse.tables import Lakehouse, TableVersion
    from plinth.sources import Source


@dataclass(frozen=True)
class Look:
    """What a look at one table saw.

    Attributes:
        table: name of the table.
        reason: why it should be loaded; empty where it holds what the source holds.
        token: names the state of the source and of the bronze table; equal tokens mean that nothing has happened in between.
        fault: why the table could not be looked at, as a whole text for people.
    """

    table: str
    reason: str = ""
    token: str = ""
    fault: str = ""


def look(table: Table, source: Source, lakehouse: Lakehouse, *, may_read: bool) -> Look:
    """Looks at one table.

    Args:
        may_read: whether a table is read where nothing else tells of a change (`Source.probe`); else it is taken for unchanged until it
            is due to be read as a whole.

    Raises:
        SourceUnavailable: the source did not answer.
    """
    base = lakehouse.find(bronze_id(table), zone=table.zone)
    try:
        probe = source.probe(table) if may_read else source.glance(table)
    except PlinthError as error:
        if error.transient:
            raise
        return Look(table.name, fault=str(error))
    version, seen = base.version if base is not None else -1, probe.as_text() if probe is not None else None
    token = f"{version}-{hashlib.sha256((seen or '').encode()).hexdigest()[:12]}"
    if base is None:
        return Look(table.name, "never loaded", token)
    if seen is not None and base.state.probe != seen:
        return Look(table.name, "the source changed", token)
    code = _code(table, base)
    if base.state.code != code:
        return Look(table.name, "the contract changed", f"{token}-{code}")
    if reconcile_due(table, base):
        return Look(table.name, "its keys are due to be compared", f"{token}-reconcile")
    every = lakehouse.platform.source(table.source).read_whole_every
    if (probe is None or not probe.sure) and whole_due(table, base, every):
        reason = f"it was not read as a whole for {every:,} s, and a look can miss a change"
        return Look(table.name, reason, f"{token}-whole")
    return Look(table.name, "", token)


def _code(table: Table, base: TableVersion) -> str:
    """The fingerprint that a load would give the table now, where the source's columns are those of the last one: with the columns that landed
    before the contract named them, unless it discards them."""
    landed = () if table.drift is Drift.DISCARD else landed_columns(base)
    return fingerprint(table, replace(table, columns=(*table.columns, *landed)))


def in_turn(tables: Sequence[Table], first: str | None, count: int) -> tuple[tuple[Table, ...], str | None]:
    """At most `count` tables from `first` on, round and round, and the name to begin with the next time.

    A name that is gone begins from the start.
    """
    if not tables:
        return (), None
    names = [table.name for table in tables]
    start = names.index(first) if first in names else 0
    ordered = [*tables[start:], *tables[:start]]
    return tuple(ordered[:count]), names[(start + min(count, len(names))) % len(names)]
