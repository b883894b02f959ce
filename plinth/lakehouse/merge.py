"""Row-wise changes to a table by copy on write: only files that hold a changed row are written anew.

A changed row stays in its file (or the one that replaces it), new rows go to new files: so the order of the first load, and with it
the pruning by file statistics, survives. Source of the method: copy-on-write merge as in Delta Lake, with the row diff done first, so that rows
which arrive unchanged (the overlap of a lookback window) cost no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from plinth.engine import literal, quote
from plinth.lakehouse.changes import difference
from plinth.lakehouse.feed import CHANGE, stage_feed, worth_writing
from plinth.lakehouse.files import FILENAME, damage_told, read_files, require_plain
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.scopes import in_scopes, row_column
from plinth.lakehouse.staging import StagedFile, file_bytes, stage
from plinth.lakehouse.tables import DataFile, TableVersion

if TYPE_CHECKING:
    import duckdb

# Below this share of the target size a file counts as small; this many of them are folded into the next rewrite.
_SMALL_SHARE = 0.25
_SMALL_FILES = 12


@dataclass(frozen=True)
class Rewrite:
    """What a merge would publish: staged files, the files that they replace, and how many rows differ.

    `feed` are staged files with those rows themselves, where they are few (`plinth.lakehouse.feed`).
    """

    add: tuple[StagedFile, ...] = ()
    remove: tuple[DataFile, ...] = ()
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    feed: tuple[StagedFile, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether any row differs."""
        return self.inserted + self.updated + self.deleted > 0

    @property
    def staged(self) -> tuple[StagedFile, ...]:
        """All files that were written for it."""
        return (*self.add, *self.feed)


@dataclass(frozen=True)
class Changes:
    """Rows to merge, as relations that the connection knows.

    Attributes:
        key: columns that identify a row.
        upserts: name of a table or view with all columns, unique by key.
        deletes: name of a table or view with the key columns of rows to take out, or None.
        may_repeat: SQL predicate over `upserts` for rows that may stand in the table unchanged; only these are compared. None: all.
        feed: whether to write a feed, for tables of which others ask what changed.
        known: name of a table with the rows that differ and `_change`, where that is known already; for the feed.
    """

    key: tuple[str, ...]
    upserts: str
    deletes: str | None = None
    may_repeat: str | None = None
    feed: bool = False
    known: str | None = None


def merge(
    con: duckdb.DuckDBPyConnection, base: TableVersion, columns: Sequence[DeltaColumn], changes: Changes
) -> Rewrite:
    """Stages the files that bring `changes` into a version; nothing is visible until the door commits them.

    Cost: the key columns of the files whose key range overlaps are read; files that hold a changed row are read and written.

    Raises:
        StorageFailure: the staged files could not be written, another tool made the table unreadable for merges, or a file of it is damaged.
    """
    require_plain(base)
    with damage_told(base):
        return _merged(con, base, columns, changes)


def _merged(
    con: duckdb.DuckDBPyConnection, base: TableVersion, columns: Sequence[DeltaColumn], changes: Changes
) -> Rewrite:
    _drop_unchanged(con, base, columns, changes)
    inserted, updated, deleted, touched = _locate(con, base, columns, changes)
    if inserted + updated + deleted == 0:
        return Rewrite()
    groups = _rewrite_groups(base, touched)
    add: list[StagedFile] = []
    for group in groups:
        rewritten = _rewritten_rows(group, columns, changes)
        alone = len(group) == 1 and not base.partition_by
        add += stage(con, rewritten, base.uri, columns, base.partition_by, table_bytes=base.size, one_file=alone)
    if inserted:
        rows = f"SELECT u.* FROM {quote(changes.upserts)} u ANTI JOIN plinth_matched m USING ({_names(changes.key)})"
        add += stage(con, rows, base.uri, columns, base.partition_by, table_bytes=base.size)
    removed = tuple(file for group in groups for file in group)
    feed: tuple[StagedFile, ...] = ()
    if changes.feed and worth_writing(base, columns, inserted + updated + deleted):
        rows = (
            f"SELECT * FROM {changes.known}"
            if changes.known
            else _differing(base, columns, changes, touched, inserted=inserted > 0)
        )
        feed = stage_feed(con, rows, base.uri, columns)
    return Rewrite(tuple(add), removed, inserted, updated, deleted, feed)


def _names(columns: Sequence[str]) -> str:
    return ", ".join(quote(name) for name in columns)


def _drop_unchanged(
    con: duckdb.DuckDBPyConnection, base: TableVersion, columns: Sequence[DeltaColumn], changes: Changes
) -> None:
    """Takes out of `upserts` the rows that the table holds already, value for value."""
    where = f"WHERE {changes.may_repeat}" if changes.may_repeat else ""
    con.execute(f"CREATE OR REPLACE TEMP TABLE plinth_overlap AS SELECT * FROM {quote(changes.upserts)} {where}")
    candidates = overlapping(con, base, columns, changes.key, "FROM plinth_overlap")
    if not candidates:
        return
    same = " AND ".join(f"t.{quote(column.name)} IS NOT DISTINCT FROM u.{quote(column.name)}" for column in columns)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE plinth_same AS SELECT {', '.join(f'u.{quote(name)}' for name in changes.key)} "
        f"FROM ({read_files(candidates, columns)}) t JOIN plinth_overlap u USING ({_names(changes.key)}) WHERE {same}"
    )
    con.execute(f"DELETE FROM {quote(changes.upserts)} u USING plinth_same s WHERE {_equal('u', 's', changes.key)}")
    con.execute("DROP TABLE plinth_same; DROP TABLE plinth_overlap")


def _equal(left: str, right: str, key: Sequence[str]) -> str:
    return " AND ".join(f"{left}.{quote(name)} = {right}.{quote(name)}" for name in key)


def _locate(
    con: duckdb.DuckDBPyConnection, base: TableVersion, columns: Sequence[DeltaColumn], changes: Changes
) -> tuple[int, int, int, set[str]]:
    """Finds the files that hold the keys to change: rows inserted, updated, deleted, and the addresses of the files."""
    keys = [column for column in columns if column.name in changes.key]
    names = _names(changes.key)
    files = overlapping(con, base, columns, changes.key, f"FROM {quote(changes.upserts)}")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE plinth_matched AS SELECT {names}, {FILENAME} "
        f"FROM ({read_files(files, keys, with_filename=True)}) SEMI JOIN {quote(changes.upserts)} USING ({names})"
    )
    total, updated = (
        _number(con, f"SELECT count(*) FROM {quote(changes.upserts)}"),
        _number(con, "SELECT count(*) FROM plinth_matched"),
    )
    touched = _texts(con, f"SELECT DISTINCT {FILENAME} FROM plinth_matched")
    deleted = 0
    if changes.deletes is not None:
        files = overlapping(con, base, columns, changes.key, f"FROM {quote(changes.deletes)}")
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE plinth_deleted AS SELECT {names}, {FILENAME} "
            f"FROM ({read_files(files, keys, with_filename=True)}) SEMI JOIN {quote(changes.deletes)} USING ({names})"
        )
        deleted = _number(con, "SELECT count(*) FROM plinth_deleted")
        touched |= _texts(con, f"SELECT DISTINCT {FILENAME} FROM plinth_deleted")
    return total - updated, updated, deleted, touched


def _differing(
    base: TableVersion, columns: Sequence[DeltaColumn], changes: Changes, touched: set[str], *, inserted: bool
) -> str:
    """SQL for the rows that a merge takes out of the files and puts in, with `_change`; as often as they stand in the files."""
    names, gone = _names(changes.key), f"SELECT {_names(changes.key)} FROM plinth_matched"
    values = _names([column.name for column in columns])
    kept = ""
    if changes.deletes is not None:
        gone += f" UNION ALL SELECT {names} FROM plinth_deleted"
        kept = f"ANTI JOIN plinth_deleted d USING ({names})"
    old = read_files([file for file in base.files if file.uri in touched], columns)
    updates = f"SELECT u.* FROM {quote(changes.upserts)} u JOIN plinth_matched m ON {_equal('u', 'm', changes.key)}"
    inserts = f"SELECT u.* FROM {quote(changes.upserts)} u ANTI JOIN plinth_matched m USING ({names})"
    parts = [
        f"SELECT {values}, 'delete' AS {CHANGE} FROM ({old}) SEMI JOIN ({gone}) USING ({names})",
        f"SELECT {values}, 'insert' FROM ({updates}) {kept}",
    ]
    # A join that finds nothing costs a hash table of all keys all the same.
    parts += [f"SELECT {values}, 'insert' FROM ({inserts})"] if inserted else []
    return " UNION ALL ".join(parts)


def _rewritten_rows(files: Sequence[DataFile], columns: Sequence[DeltaColumn], changes: Changes) -> str:
    """SQL for the rows of the files after the merge: those that stay as they are, and after them the changed ones, as often as they stood there."""
    names, values = _names(changes.key), _names([column.name for column in columns])
    # Only the rows that belong here: a hash table of all of them for each of 50 files cost more than the files.
    here = f"SELECT {names} FROM plinth_matched WHERE {FILENAME} IN ({', '.join(literal(file.uri) for file in files)})"
    same = _equal("u", "h", changes.key)
    rows = (
        f"SELECT {values} FROM ({read_files(files, columns)}) ANTI JOIN ({here}) USING ({names}) "
        f"UNION ALL SELECT {', '.join(f'u.{quote(column.name)}' for column in columns)} FROM {quote(changes.upserts)} u JOIN ({here}) h ON {same}"
    )
    if changes.deletes is not None:
        rows = f"SELECT r.* FROM ({rows}) r ANTI JOIN plinth_deleted d USING ({names})"
    return rows


def _rewrite_groups(base: TableVersion, touched: set[str]) -> list[list[DataFile]]:
    """The files to write anew, each by itself: a join hands matched rows on late (tried), and over several files at once they would
    end up in the last of them, where their keys would spoil its range.

    Each increment adds a small file; folding many of them into a rewrite that happens anyway keeps their number bounded.
    """
    small = [file for file in base.files if file.size < file_bytes(base.size) * _SMALL_SHARE]
    if len(small) < _SMALL_FILES or base.partition_by:
        small = []
    groups = [[file] for file in base.files if file.uri in touched and file not in small]
    return [*groups, small] if small else groups


def overlapping(
    con: duckdb.DuckDBPyConnection, base: TableVersion, columns: Sequence[DeltaColumn], key: Sequence[str], rows: str
) -> list[DataFile]:
    """The files of a version that may hold a key of `rows` (SQL), by the range of the first key column; all where a range is not known."""
    first = next(column for column in columns if column.name == key[0])
    low, high = con.execute(f"SELECT min({quote(first.name)}), max({quote(first.name)}) FROM ({rows})").fetchone() or (
        None,
        None,
    )
    if low is None:
        return []
    return [file for file in base.files if _may_hold(file, first.name, low, high)]


def _may_hold(file: DataFile, name: str, low: Any, high: Any) -> bool:
    least, most = file.minimum.get(name), file.maximum.get(name)
    if least is None or most is None or type(least) is not type(low):
        return True
    if isinstance(most, datetime):
        # Spark cuts a maximum to whole milliseconds, so the greatest value may lie beyond it. Not added: the end of all dates is in use.
        return bool(least <= high and (most >= low or low - most <= timedelta(milliseconds=1)))
    return bool(least <= high and most >= low)


def _number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    return int(row[0]) if row else 0


def _texts(con: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    return {row[0] for row in con.execute(sql).fetchall()}


def replace_scope(
    con: duckdb.DuckDBPyConnection,
    base: TableVersion,
    columns: Sequence[DeltaColumn],
    *,
    rows: str,
    touched: str,
    scope: Sequence[str],
    key: Sequence[str],
    derived: Mapping[str, str] | None = None,
    changes: str = "plinth_scope_changes",
    feed: bool = False,
) -> Rewrite:
    """Replaces all rows of the touched scopes (partitions, customers, days) by newly computed ones; rows that stay the same cost nothing.

    Args:
        rows: name of a table or view with the new rows of the touched scopes, complete.
        touched: name of a table or view with the `scope` columns of the scopes that were computed anew; a scope in it without rows
            in `rows` is emptied.
        scope: columns that say to which scope a row belongs; nulls equal nulls.
        key: columns that identify a row. A row may move between scopes if both are touched.
        derived: SQL over the table's columns for scope columns that it does not have.
        changes: SQL name of a table to make of the rows that differ, with `_change` as in `plinth.lakehouse.changes`: who reads on
            need not find them out again from the files.
        feed: whether to write them as the table's feed too.

    Raises:
        StorageFailure: as `merge`.
    """
    require_plain(base)
    expressions = {name: (derived or {}).get(name, row_column(name)) for name in scope}
    condition = in_scopes(con, quote(touched), expressions, columns)
    old = f"SELECT t.* FROM ({read_files(base.files, columns)}) t WHERE {condition}"
    with damage_told(base):
        con.execute(f"CREATE OR REPLACE TEMP TABLE plinth_old AS {old}")
    changed = difference(f"SELECT * FROM {quote(rows)}", "SELECT * FROM plinth_old", columns)
    con.execute(f"CREATE OR REPLACE TABLE {changes} AS {changed}")
    con.execute("DROP TABLE plinth_old")
    names = _names(key)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE plinth_upserts AS "
        f"SELECT {_names([column.name for column in columns])} FROM {changes} WHERE {CHANGE} = 'insert'"
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE plinth_deletes AS "
        f"SELECT {names} FROM {changes} ANTI JOIN plinth_upserts USING ({names}) WHERE {CHANGE} = 'delete'"
    )
    found = Changes(tuple(key), "plinth_upserts", "plinth_deletes", may_repeat="false", feed=feed, known=changes)
    return merge(con, base, columns, found)
