"""From judged rows to one commit: the first load, a replaced snapshot, or an increment with its deletes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from plinth.engine import quote
from plinth.ingest.held_back import HELD_BACK
from plinth.ingest.landing import LANDED_ROWS
from plinth.ingest.plan import overlap, whole_due
from plinth.ingest.read import Read, Target
from plinth.lakehouse.compare import Counts, count_difference, merge_difference, same_rows
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.files import read_files, rows_of
from plinth.lakehouse.merge import Changes, Rewrite, merge
from plinth.lakehouse.quarantine import DROPPED, HELD, key_as_text, quarantine_id
from plinth.lakehouse.schema import DeltaColumn, restated
from plinth.lakehouse.staging import discard, stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import TableVersion

if TYPE_CHECKING:
    import duckdb

UPSERTS, DELETES = "plinth_changed_rows", "plinth_gone_keys"


class RowsBehind(Exception):
    """Keys of the source that neither the table nor the increment has: rows that came later than the lookback reaches."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        super().__init__(f"{rows} rows of the source are behind the watermark by more than the lookback")


@dataclass(frozen=True)
class Marks:
    """What a commit's state says beside what was read: the run and the contract's fingerprint."""

    run: str | None
    code: str


@dataclass(frozen=True)
class Published:
    """What a load published: the version, and how many rows differ from the one before; None where that cannot be told."""

    version: TableVersion
    counts: Counts | None


def publish(
    con: duckdb.DuckDBPyConnection, target: Target, found: Read, good: str | None, marks: Marks, held_back: int
) -> Published:
    """Publishes one read.

    Args:
        good: SQL for the rows that are right, None where all that were read are.
        held_back: rows of the source that are in quarantine and so not published.

    Raises:
        RowsBehind: an increment cannot explain all keys of the source; the caller reads all rows.
        CommitConflict, StorageFailure, ResidencyViolation: as the door; the table is as it was.
    """
    if found.complete:
        rewrite, counts = _snapshot(con, target, found, good)
    else:
        rewrite = _increment(con, target, found, good)
        counts = _counts_of(rewrite)
        if found.keys is not None and target.base is not None:
            # All keys were seen: what the table has not of them is held back.
            rows = target.base.rows + rewrite.inserted - rewrite.deleted
            held_back = max(0, sum(file.rows for file in found.keys) - rows)
    return Published(_commit(target, found, rewrite, marks, held_back), counts)


def _counts_of(rewrite: Rewrite) -> Counts:
    return Counts(rewrite.inserted, rewrite.updated, rewrite.deleted)


def _snapshot(
    con: duckdb.DuckDBPyConnection, target: Target, found: Read, good: str | None
) -> tuple[Rewrite, Counts | None]:
    base, staged = target.base, found.landing.files
    absent = _absent(target) if base is not None and target.table.key else []
    if good is not None or found.rejects or absent:
        names = ", ".join(quote(column.name) for column in found.columns)
        rows_sql = _with_history(target, good or f"SELECT {names} FROM ({found.landing.sql})", found.columns, absent)
        by = target.table.partition_by
        staged = stage(con, rows_sql, target.uri, found.columns, by, table_bytes=target.expected_bytes)
        found.landing.give_up()
    rows = sum(file.rows for file in staged)
    if base is None:
        return Rewrite(staged), Counts(inserted=rows)
    new = read_files([file.uri for file in staged], found.columns)
    if found.reshapes:
        return Rewrite(staged, base.files), count_difference(con, base, found.columns, new, target.table.key)
    if target.table.key:
        rewrite = merge_difference(con, base, found.columns, new, target.table.key, feed=True)
    else:
        rewrite = Rewrite() if rows == base.rows and same_rows(con, base, found.columns, new) else None
    if rewrite is not None:
        discard(staged)
        return rewrite, _counts_of(rewrite)
    return Rewrite(staged, base.files), count_difference(con, base, found.columns, new, target.table.key)


def _increment(con: duckdb.DuckDBPyConnection, target: Target, found: Read, good: str | None) -> Rewrite:
    assert target.base is not None
    if good is None and not found.rejects:
        # All that landed is right, in a table that nobody else reads any more.
        con.execute(f"DROP TABLE IF EXISTS {UPSERTS}")
        con.execute(f"ALTER TABLE {LANDED_ROWS} RENAME TO {UPSERTS}")
    else:
        names = ", ".join(quote(column.name) for column in found.columns)
        con.execute(f"CREATE OR REPLACE TEMP TABLE {UPSERTS} AS SELECT {names} FROM ({good or found.landing.sql})")
    _keep_history(con, target, found.columns)
    deletes = _deletes(con, target, found) if found.keys is not None else None
    repeat = overlap(target.table, found.columns, target.base.state.watermark)
    changes = Changes(target.table.key, UPSERTS, deletes, may_repeat=repeat, feed=True)
    return merge(con, target.base, found.columns, changes)


def _absent(target: Target) -> list[str]:
    return [column.name for column in target.table.columns if column.absent]


def _with_history(target: Target, rows: str, columns: tuple[DeltaColumn, ...], absent: list[str]) -> str:
    """All rows as they were read, with what the table holds of columns that the source has lost."""
    if target.base is None or not absent:
        return rows
    wanted = [column for column in columns if column.name in (*target.table.key, *absent)]
    values = ", ".join(f"{'h' if column.name in absent else 'u'}.{quote(column.name)}" for column in columns)
    same = " AND ".join(f"u.{quote(name)} = h.{quote(name)}" for name in target.table.key)
    return f"SELECT {values} FROM ({rows}) u LEFT JOIN ({read_files(target.base.files, wanted)}) h ON {same}"


def _keep_history(con: duckdb.DuckDBPyConnection, target: Target, columns: tuple[DeltaColumn, ...]) -> None:
    """Rows that are read again keep what the table holds of a column that the source has lost."""
    assert target.base is not None
    absent = _absent(target)
    if not absent:
        return
    wanted = [column for column in columns if column.name in (*target.table.key, *absent)]
    values = ", ".join(f"{quote(name)} = h.{quote(name)}" for name in absent)
    same = " AND ".join(f"u.{quote(name)} = h.{quote(name)}" for name in target.table.key)
    con.execute(f"UPDATE {UPSERTS} u SET {values} FROM ({read_files(target.base.files, wanted)}) h WHERE {same}")


def _deletes(con: duckdb.DuckDBPyConnection, target: Target, found: Read) -> str:
    assert target.base is not None
    assert found.keys is not None
    keys = tuple(column for column in found.columns if column.name in target.table.key)
    names = ", ".join(quote(name) for name in target.table.key)
    source, held = read_files([file.uri for file in found.keys], keys), read_files(target.base.files, keys)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {DELETES} AS SELECT {names} FROM ({held}) ANTI JOIN ({source}) USING ({names})"
    )
    missing = f"SELECT {names} FROM ({source}) ANTI JOIN ({held}) USING ({names})"
    missing = f"SELECT * FROM ({missing}) ANTI JOIN {UPSERTS} USING ({names})"
    quarantined = target.lakehouse.find(quarantine_id(target.table), zone=target.table.zone)
    if quarantined is not None:
        text = key_as_text(target.table.key)
        missing = f"SELECT * FROM ({missing}) WHERE {text} NOT IN (SELECT \"key\" FROM {rows_of(quarantined)} WHERE status IN ('{HELD}', '{DROPPED}'))"
    row = con.execute(f"SELECT count(*) FROM ({missing})").fetchone()
    if row is not None and row[0] > 0:
        raise RowsBehind(int(row[0]))
    return DELETES


def _commit(target: Target, found: Read, rewrite: Rewrite, marks: Marks, held_back: int) -> TableVersion:
    base = target.base
    before = base.state if base is not None else State()
    compared = found.complete or found.keys is not None
    # Files that are all replaced count as a change of content also where only a type grew.
    changed = bool(rewrite.add or rewrite.remove) or base is None
    state = before.next(
        changed=changed,
        watermark=found.watermark,
        probe=found.probe,
        reconciled_at=datetime.now(UTC).isoformat(timespec="seconds") if compared else before.reconciled_at,
        asset=str(target.id),
        run=marks.run,
        code=marks.code,
        notes={**found.notes, **({HELD_BACK: held_back} if held_back else {})},
    )
    if base is not None and not changed and found.keys is None and _says_the_same(target, state, found.columns):
        return base
    by = target.table.partition_by
    write = Write(base, found.columns, state, rewrite.add, rewrite.remove, by, data_change=changed, feed=rewrite.feed)
    return commit(target.lakehouse, target.id, write, zone=target.table.zone)


def _says_the_same(target: Target, state: State, columns: Sequence[DeltaColumn]) -> bool:
    """Whether a commit without rows would tell nothing new; a comparison of all rows alone is no news, unless it was due."""
    base, table = target.base, target.table
    assert base is not None
    if whole_due(table, base, target.lakehouse.platform.source(table.source).read_whole_every):
        return False
    same = replace(base.state, run=state.run, reconciled_at=state.reconciled_at) == state
    known = {column.name for column in columns} <= {column.name for column in base.columns}
    return same and known and not restated(base.columns, columns)
