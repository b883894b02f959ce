"""Reading a legacy table within one consistent snapshot: all of it, or what changed since a cursor value."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from plinth.contracts.drift import UNREVIEWED
from plinth.contracts.model import Table
from plinth.engine import quote
from plinth.errors import SourceUnavailable
from plinth.ingest.held_back import HELD_BACK, known_keys
from plinth.ingest.landing import Landing, in_files, in_table
from plinth.ingest.plan import Plan, reconcile_due, reshaped
from plinth.ingest.verify import REJECTS
from plinth.ingest.watermark import highest_seen
from plinth.lakehouse.door import authorise
from plinth.lakehouse.files import damage_told, read_files
from plinth.lakehouse.merge import overlapping
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.staging import StagedFile, stage
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion

if TYPE_CHECKING:
    import duckdb

    from plinth.sources.snapshot import BronzeColumn, Relation, Snapshot
    from plinth.sources.source import Probe


# Two threads of DuckDB that share few rows wait for each other by spinning: 100,000 changed rows of 10 million cost 1.1 to 1.4 CPU seconds
# with two threads and 0.85 with one, in as much time. A connection so starts with one thread (`ingest`).
_ROWS_FOR_ONE_THREAD = 1_000_000
# Changes that lie all over a table have every file of it written anew (1.9 s of 5 million rows by one thread, 1.5 by two, on a busy machine):
# in a table that large the spinning is nothing beside the files.
_ROWS_OF_A_LARGE_TABLE = 50_000_000

Opener = Callable[["duckdb.DuckDBPyConnection", "tuple[Table, ...]"], "AbstractContextManager[Snapshot]"]
"""What opens a snapshot for some tables: `Source.snapshot`, or a way through another engine (`plinth.ingest.by_spark`)."""

LANDED = "plinth.landed"
"""Metadata of a bronze column that landed before its contract named it."""


@dataclass(frozen=True)
class Target:
    """Where a load goes: the bronze table, the version that it starts from, and a folder of its own for intermediate files.

    `expected_bytes` is about how large the table will be, which decides the size of its files; `threads` are the profile's.
    """

    lakehouse: Lakehouse
    table: Table
    id: TableId
    base: TableVersion | None
    scratch: Path
    expected_bytes: int = 0
    threads: int = 1

    @property
    def uri(self) -> str:
        """The folder of the bronze table."""
        return self.lakehouse.uri_of(self.id, self.table.zone)


@dataclass(frozen=True)
class Read:
    """What one read of the source gave, all from one snapshot.

    Attributes:
        columns: columns of the bronze table.
        landing: the rows, where they wait: staged files below the table's folder for a read of all rows, else a table of the connection.
        complete: whether all rows of the source were read.
        reshapes: whether the table's files have to be replaced by these.
        rejects: whether these rows have the column `_rejects`, since a cast failed.
        watermark: highest cursor value seen, canonical text.
        source_rows: rows of the source.
        probe: the look at the source that this read answers, as text.
        keys: staged keys of the whole source, where a comparison is due.
        notes: counts from the reading, e.g. zero dates that became null.
    """

    columns: tuple[DeltaColumn, ...]
    landing: Landing
    complete: bool
    reshapes: bool
    rejects: bool
    watermark: str | None
    source_rows: int
    probe: str
    keys: tuple[StagedFile, ...] | None = None
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows that were read."""
        return self.landing.rows


@contextmanager
def scratch_folder(lakehouse: Lakehouse) -> Iterator[Path]:
    """A folder for one load's intermediate files, removed at the end; a killed load's is removed by maintenance."""
    folder = lakehouse.platform.path(lakehouse.platform.stores.scratch) / f"load-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Reshaped(Exception):
    """All files of the table have to be replaced, and only a part of the rows was to be read."""


def read(con: duckdb.DuckDBPyConnection, opener: Opener, target: Target, plan: Plan, probe: Probe | None) -> Read:
    """Reads what the plan asks for.

    The casts are strict first. Where a value does not cast, or the extremes of a date prove nothing, the whole read is repeated with casts that
    put such rows aside: a clean source pays nothing for the possibility.

    Args:
        probe: the look that was taken before; None where the snapshot takes it.

    Raises:
        Reshaped: all rows have to be read instead.
        SourceUnavailable, SourceUnreadable, StorageFailure, SchemaDrift, ResidencyViolation: see `ingest`.
    """
    import duckdb

    try:
        return _read(con, opener, target, plan, probe, strict=True)
    except (duckdb.ConversionException, _StrangeDates):
        return _read(con, opener, target, plan, probe, strict=False)


def _read(
    con: duckdb.DuckDBPyConnection, opener: Opener, target: Target, plan: Plan, probe: Probe | None, *, strict: bool
) -> Read:
    table = target.table
    with opener(con, (table,)) as snapshot:
        relation = snapshot.relation(table, since=plan.since, strict=strict)
        columns = tuple(_delta_column(table, column) for column in relation.columns)
        authorise(target.lakehouse, target.id, columns, zone=table.zone)
        reshapes = reshaped(table, target.base, columns)
        complete = plan.since is None
        if reshapes and not complete:
            raise Reshaped
        if relation.fetch is not None:
            relation.fetch()
        landing = _land(con, relation, target, columns, complete=complete, strict=strict)
        _prove(relation, landing)
        # Counted by the source itself, also where all rows were read: what the reading lost would not be missed otherwise. The look that was
        # taken before has counted already; where it agrees, nobody need count again.
        counted = probe is not None and complete and probe.rows == landing.rows
        source_rows = landing.rows if counted else snapshot.count(table)
        if relation.fetch is not None and landing.rows != source_rows:
            landing.give_up()
            raise _incomplete(table, landing.rows, source_rows)
        probe = probe or snapshot.probe(table)
        keys = None
        if not complete and _compare_keys(con, target, landing, columns, source_rows):
            # All keys of the source, and all of the table beside them: that is work for all threads.
            _use_threads(con, target.threads)
            keys = _stage_keys(con, snapshot, target, columns)
        elif landing.rows > _ROWS_FOR_ONE_THREAD or (
            target.base is not None and target.base.rows > _ROWS_OF_A_LARGE_TABLE
        ):
            _use_threads(con, target.threads)
        watermark, notes = highest_seen(con, table, landing, columns, target.base)
        notes |= snapshot.notes(table)
    if not landing.is_there(con):
        raise SourceUnavailable(
            f"the legacy system went away while rows of {table.physical_name} were read; nothing was published",
            expected="a connection that lasts until all is read",
            where=f"contract of {table.source}, table {table.name}",
            remedy="the next try reads the same rows again",
        )
    return Read(
        columns,
        landing,
        complete,
        reshapes,
        not strict,
        watermark,
        source_rows,
        probe.as_text(),
        keys,
        notes,
    )


def _land(
    con: duckdb.DuckDBPyConnection,
    relation: Relation,
    target: Target,
    columns: tuple[DeltaColumn, ...],
    *,
    complete: bool,
    strict: bool,
) -> Landing:
    table, unproven = target.table, relation.unproven
    sql = relation.sql if unproven is None else unproven.sql
    landed = columns if strict else (*columns, DeltaColumn(REJECTS, "string"))
    _use_threads(con, target.threads if complete else 1)
    if not complete:
        cursor = (table.cursor,) if table.cursor is not None else ()
        return in_table(con, sql, landed, (*cursor, *(unproven.dates if unproven is not None else ())))
    staged = stage(con, sql, target.uri, landed, table.partition_by, table_bytes=target.expected_bytes)
    return in_files(staged, landed)


def _incomplete(table: Table, rows: int, source_rows: int) -> SourceUnavailable:
    """What many sessions have read is only then the table if together they have as many rows as it had at their moment."""
    return SourceUnavailable(
        f"the sessions that read {table.physical_name} did not see the table of one moment; nothing was published",
        expected=f"{source_rows:,} rows, as counted at that moment",
        found=f"{rows:,} rows",
        where=f"contract of {table.source}, table {table.name}",
        remedy="the next try reads from the start; if it comes again, give the table a profile with engine: duckdb",
    )


def _use_threads(con: duckdb.DuckDBPyConnection, number: int) -> None:
    con.execute(f"SET threads = {number}")


class _StrangeDates(Exception):
    """A date is infinite or so long ago that the source's own look has to say what it is."""


def _prove(relation: Relation, landing: Landing) -> None:
    unproven = relation.unproven
    if unproven is None:
        return
    for part in landing.parts:
        facts = [part.facts[name] for name in unproven.dates]
        known = all(fact.maximum is not None or fact.nulls == part.rows for fact in facts)
        if not known or not unproven.proven_by(each for fact in facts for each in (fact.minimum, fact.maximum)):
            landing.give_up()
            raise _StrangeDates


def _delta_column(table: Table, column: BronzeColumn) -> DeltaColumn:
    contract = table.column(column.name)
    metadata = {"plinth.physical_name": contract.physical_name}
    if column.physical_type:
        metadata["plinth.physical_type"] = column.physical_type
    if column.note:
        metadata["plinth.note"] = column.note
    if UNREVIEWED in contract.tags:
        metadata[LANDED] = "true"
    return DeltaColumn(contract.name, column.delta_type, contract.classification, contract.description, metadata)


def _compare_keys(
    con: duckdb.DuckDBPyConnection,
    target: Target,
    landing: Landing,
    columns: tuple[DeltaColumn, ...],
    source_rows: int,
) -> bool:
    """Whether the keys have to be compared: by the contract's schedule, or since the counts already show that rows were deleted."""
    base, table = target.base, target.table
    if base is None or table.reconcile_every is None or not table.key:
        return False
    if reconcile_due(table, base):
        return True
    keys = tuple(next(column for column in columns if column.name == name) for name in table.key)
    names = ", ".join(quote(column.name) for column in keys)
    new = f"SELECT {names} FROM ({landing.sql})"
    old = read_files(overlapping(con, base, keys, table.key, new), keys)
    added = f"SELECT * FROM (SELECT DISTINCT {names} FROM ({new})) ANTI JOIN ({old}) USING ({names})"
    known = known_keys(con, target.lakehouse, table, keys)
    if known is not None:
        # Those that are held back are counted already.
        added = f"SELECT * FROM ({added}) ANTI JOIN {known} USING ({names})"
    with damage_told(base):
        row = con.execute(f"SELECT count(*) FROM ({added})").fetchone()
    return base.rows + int(row[0] if row else 0) != source_rows - base.state.notes.get(HELD_BACK, 0)


def _stage_keys(
    con: duckdb.DuckDBPyConnection, snapshot: Snapshot, target: Target, columns: tuple[DeltaColumn, ...]
) -> tuple[StagedFile, ...]:
    keys = tuple(column for column in columns if column.name in target.table.key)
    return stage(con, snapshot.keys(target.table).sql, str(target.scratch / "keys"), keys)
