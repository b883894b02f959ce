"""How far a table has been read: the highest cursor value among the rows of a load.

What belongs here: the new watermark, and what is none. What does not: from where the next load reads (`plinth.ingest.plan`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from plinth.contracts.model import Table
from plinth.engine import literal, quote
from plinth.ingest.landing import Landing
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import TableVersion
from plinth.sources.horizon import NEVER, horizon, is_ahead

if TYPE_CHECKING:
    import duckdb

_TIMES, _NUMBERS = ("date", "timestamp", "timestamp_ntz"), ("integer", "long", "decimal", "double", "float")
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


def ahead(columns: Sequence[DeltaColumn], cursor: str | None) -> str | None:
    """SQL predicate for rows whose cursor is ahead of the clock: none of them is a watermark, so every load reads them.

    None where the cursor holds neither times, numbers nor texts.
    """
    kind = next((column.type for column in columns if column.name == cursor), "")
    if cursor is None or not kind.startswith((*_TIMES, *_NUMBERS, "string")):
        return None
    column = quote(cursor)
    if kind in _TIMES:
        return f"{column} >= DATE {literal(horizon())}"
    if kind == "string":
        numbers = ", ".join(literal(str(number)) for number in NEVER)
        return f"({column} IN ({numbers}) OR ({column} >= {literal(horizon())} AND regexp_matches({column}, '^\\d{{4}}-\\d\\d-\\d\\d')))"
    decimal = _DECIMAL.match(kind)
    whole = int(decimal[1]) - int(decimal[2]) if decimal else 18
    # What the type cannot hold DuckDB could not compare with it either.
    fitting = [str(number) for number in NEVER if len(str(number)) <= whole]
    return f"{column} IN ({', '.join(fitting)})" if fitting else None


def highest_seen(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    landing: Landing,
    columns: tuple[DeltaColumn, ...],
    base: TableVersion | None,
) -> tuple[str | None, dict[str, int]]:
    """The highest cursor value that was read, never lower than before; and how many rows are ahead of the clock, whose value is none."""
    if table.cursor is None:
        return None, {}
    seen = [part.facts[table.cursor].maximum for part in landing.parts]
    last, notes = base.state.watermark if base is not None else None, {}
    later = ahead(columns, table.cursor)
    if later is not None and any(is_ahead(value) for value in (*seen, last)):
        last = None if is_ahead(last) else last
        row = con.execute(
            f"SELECT CAST(max({quote(table.cursor)}) FILTER (WHERE NOT {later}) AS VARCHAR), count(*) FILTER (WHERE {later}) FROM ({landing.sql})"
        ).fetchone()
        highest, count = row or (None, 0)
        seen, notes = [highest], {f"{table.cursor}.ahead_of_clock": int(count)} if count else {}
    known = [value for value in (*seen, last) if value is not None]
    return max(known, key=_order) if known else None, notes


def _order(value: str) -> tuple[int, str]:
    return (int(value), "") if value.lstrip("-").isdigit() else (0, value)
