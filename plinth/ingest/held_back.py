"""How many rows of the source are in quarantine instead of the table, after an increment.

What belongs here: the count that, with the table's own rows, comes to the source's. What does not: holding rows (`plinth.lakehouse.quarantine`), and
the counts of whoever sees all rows or all keys: those are a subtraction.

An increment reads some rows, and a broken one of the last days again and again. So it tells by their keys which were counted before: one that stands in
quarantine is counted, unless the table has its key, as an update that broke leaves the older row where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from plinth.contracts.model import Table
from plinth.engine import quote
from plinth.ingest.verify import BROKEN, KEY_RULE
from plinth.lakehouse.files import read_files, rows_of
from plinth.lakehouse.merge import overlapping
from plinth.lakehouse.quarantine import DROPPED, HELD, REFUSED, quarantine_id, row_id
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import Lakehouse, TableVersion

if TYPE_CHECKING:
    import duckdb

HELD_BACK = "held_back"
"""Note in a commit's state: rows of the source that are in quarantine and so not in the table."""

_KNOWN, _NEW = "plinth_known_keys", "plinth_broken_keys"


def known_keys(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, table: Table, keys: Sequence[DeltaColumn]
) -> str | None:
    """Name of a table with the keys that stand in quarantine; None where there is no quarantine.

    A row that only repeats a key is not in it: its key says nothing of it.

    Args:
        keys: the key columns, in the key's order.
    """
    held = lakehouse.find(quarantine_id(table), zone=table.zone)
    if held is None:
        return None
    where = f"status IN ('{HELD}', '{DROPPED}') AND rule <> '{KEY_RULE}'"
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_KNOWN} AS {_typed(f'{rows_of(held)} WHERE {where}', keys)}")
    return _KNOWN


def held_back(
    con: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    table: Table,
    base: TableVersion,
    columns: Sequence[DeltaColumn],
    good: str,
    *,
    broken: bool,
) -> int:
    """The count after an increment; to be asked before its broken rows are put into quarantine.

    Args:
        good: SQL for the rows that are right.
        broken: whether `BROKEN` has any rows.
    """
    before = base.state.notes.get(HELD_BACK, 0)
    keys = [next(column for column in columns if column.name == name) for name in table.key]
    known, names = known_keys(con, lakehouse, table, keys), ", ".join(quote(name) for name in table.key)
    fixed = 0
    if known is not None:
        waiting = f"SELECT {names} FROM {known} SEMI JOIN ({good}) USING ({names})"
        fixed = _absent(con, base, keys, waiting, names)
    if not broken:
        return max(0, before - fixed)
    identified = f"rule <> '{KEY_RULE}' AND {' AND '.join(f'{_part(place)} IS NOT NULL' for place in range(len(keys)))}"
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_NEW} AS {_typed(f'{BROKEN} WHERE {identified}', keys)}")
    new = f"SELECT {names} FROM {_NEW}"
    if known is not None:
        new += f" ANTI JOIN {known} USING ({names})"
    others = f"SELECT DISTINCT {row_id(table)} AS id FROM {BROKEN} WHERE NOT ({identified})"
    held = lakehouse.find(quarantine_id(table), zone=table.zone)
    if held is not None:
        others += f" EXCEPT SELECT id FROM {rows_of(held)} WHERE status <> '{REFUSED}'"
    return max(0, before - fixed + _absent(con, base, keys, new, names) + _count(con, others))


def _part(place: int) -> str:
    return f"json_extract_string(\"key\", '$[{place}]')"


def _typed(rows: str, keys: Sequence[DeltaColumn]) -> str:
    """SQL for the different keys of rows that have them as text."""
    values = ", ".join(
        f"TRY_CAST({_part(place)} AS {column.duckdb_type}) AS {quote(column.name)}" for place, column in enumerate(keys)
    )
    return f"SELECT DISTINCT {values} FROM {rows}"


def _absent(
    con: duckdb.DuckDBPyConnection, base: TableVersion, keys: Sequence[DeltaColumn], rows: str, names: str
) -> int:
    """How many of some keys the table has not."""
    files = overlapping(con, base, keys, [column.name for column in keys], rows)
    return _count(con, f"SELECT * FROM ({rows}) ANTI JOIN ({read_files(files, keys)}) USING ({names})")


def _count(con: duckdb.DuckDBPyConnection, rows: str) -> int:
    row = con.execute(f"SELECT count(*) FROM ({rows})").fetchone()
    return int(row[0]) if row else 0
