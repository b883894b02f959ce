"""Newly made rows against those that a table holds: are they the same, and if not, how many differ, few enough to merge?

What belongs here: telling that nothing changed, so that nothing is published and nothing downstream starts, and how much did. What does not:
the merge itself (`merge`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plinth.engine import quote
from plinth.lakehouse.files import is_damage, is_plain, read_files
from plinth.lakehouse.merge import Changes, Rewrite, merge
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import TableVersion

if TYPE_CHECKING:
    import duckdb

_UPSERTS, _DELETES = "plinth_differing_rows", "plinth_gone_rows"
# Where more rows than this share differ, new files cost less than a merge that would rewrite most of the old ones anyway, and
# downstream a full read costs less than so many row changes.
_REPLACE_SHARE = 0.3


def merge_difference(
    con: duckdb.DuckDBPyConnection,
    base: TableVersion,
    columns: Sequence[DeltaColumn],
    rows: str,
    key: Sequence[str],
    *,
    feed: bool = False,
) -> Rewrite | None:
    """Stages the merge that turns a table into `rows`; None where so much differs that new files are better, or the old ones cannot be read.

    Args:
        rows: SQL that yields all rows of the new version, as often as wanted.
        key: columns that identify a row.
        feed: whether others ask what changed in the table, see `plinth.lakehouse.feed`.

    Raises:
        StorageFailure: as `merge`.
    """
    held = _held_digest(con, base, columns)
    if held is None:
        return None
    if held == _digest(con, rows, columns):
        # Hashes of both cost a fraction of the set difference, and a full refresh mostly finds what is there already.
        return Rewrite()
    old, names = read_files(base.files, columns), ", ".join(quote(name) for name in key)
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_UPSERTS} AS ({rows}) EXCEPT ({old})")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {_DELETES} AS SELECT {names} FROM ({old}) ANTI JOIN ({rows}) USING ({names})"
    )
    found = con.execute(f"SELECT (SELECT count(*) FROM {_UPSERTS}) + (SELECT count(*) FROM {_DELETES})").fetchone()
    if found is not None and found[0] > _REPLACE_SHARE * max(base.rows, 1):
        return None
    return merge(con, base, columns, Changes(tuple(key), _UPSERTS, _DELETES, may_repeat="false", feed=feed))


@dataclass(frozen=True)
class Counts:
    """How many rows differ between two versions of a table, by its key."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0


def count_difference(
    con: duckdb.DuckDBPyConnection, base: TableVersion, columns: Sequence[DeltaColumn], rows: str, key: Sequence[str]
) -> Counts | None:
    """How `rows` differ from those of a table whose files they replace all; None where the table's rows cannot be told apart, or not read.

    Rows and keys are compared by their hashes, so that what is held for each key is 50 bytes whatever the key (and is spilled beyond the
    connection's memory): of 10 million keys, two have the same hash with a chance of about 3 in a million, which makes the count wrong by one.
    """
    if not key or not set(key) <= {column.name for column in base.columns} or not is_plain(base):
        return None
    import duckdb

    names, all_names = (", ".join(quote(each) for each in listed) for listed in (key, [c.name for c in columns]))
    side = f"SELECT hash({names}) AS k, hash({all_names}) AS r, %d AS new FROM (%s)"
    sides = f"{side % (1, rows)} UNION ALL {side % (0, read_files(base.files, columns))}"
    sql = (
        "SELECT sum(greatest(n - o, 0)), count(*) FILTER (WHERE n > 0 AND o > 0 AND x <> 0), sum(greatest(o - n, 0)) "
        f"FROM (SELECT k, sum(new) AS n, count(*) - sum(new) AS o, bit_xor(r) AS x FROM ({sides}) GROUP BY k)"
    )
    try:
        found = con.execute(sql).fetchone()
    except duckdb.Error as error:
        if not is_damage(error, base):
            raise
        return None
    return Counts(*(int(each or 0) for each in found or ()))


def same_rows(con: duckdb.DuckDBPyConnection, base: TableVersion, columns: Sequence[DeltaColumn], rows: str) -> bool:
    """Whether `rows` yields just the rows of a table, each as often, in whatever order; a table whose files cannot be read has others.

    By sums of two row hashes with different seeds: a change is taken for none with a chance of about 2^-128.
    """
    return _digest(con, rows, columns) == _held_digest(con, base, columns)


def _held_digest(con: duckdb.DuckDBPyConnection, base: TableVersion, columns: Sequence[DeltaColumn]) -> object | None:
    """None where a file of the table is damaged: who has all rows replaces it, and needs nothing of it."""
    import duckdb

    try:
        return _digest(con, read_files(base.files, columns), columns)
    except duckdb.Error as error:
        if not is_damage(error, base):
            raise
        return None


def _digest(con: duckdb.DuckDBPyConnection, rows: str, columns: Sequence[DeltaColumn]) -> object:
    names = ", ".join(quote(column.name) for column in columns)
    return con.execute(f"SELECT count(*), sum(hash({names})), sum(hash('plinth', {names})) FROM ({rows})").fetchone()
