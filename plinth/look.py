"""Cheap looks at legacy tables: which of them have changed since their last load?

What belongs here: looking at some tables of one source, in turn, and naming what was seen. What does not: what a look costs and can see
(`plinth.sources`, probe), and what is done about it (`sensors`, `jobs`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plinth.contracts.model import Table
from plinth.errors import PlinthError
from plinth.ingest.load import bronze_id
from plinth.ingest.plan import fingerprint, reconcile_due

if TYPE_CHECKING:
    from plinth.lakehouse.tables import Lakehouse
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


def look(table: Table, source: Source, lakehouse: Lakehouse) -> Look:
    """Looks at one table.

    Raises:
        SourceUnavailable: the source did not answer.
    """
    base = lakehouse.find(bronze_id(table), zone=table.zone)
    try:
        probe = source.probe(table).as_text()
    except PlinthError as error:
        if error.transient:
            raise
        return Look(table.name, fault=str(error))
    version = base.version if base is not None else -1
    token = f"{version}-{hashlib.sha256(probe.encode()).hexdigest()[:12]}"
    if base is None:
        return Look(table.name, "never loaded", token)
    if base.state.probe != probe:
        return Look(table.name, "the source changed", token)
    if base.state.code != fingerprint(table):
        return Look(table.name, "the contract changed", f"{token}-{fingerprint(table)}")
    if reconcile_due(table, base):
        return Look(table.name, "its keys are due to be compared", f"{token}-reconcile")
    return Look(table.name, "", token)


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
