"""What information_schema says of the tables of a MySQL or MariaDB database.

What belongs here: queries of information_schema. What does not: reading rows. A schema is a database there; the one of the URL is looked at,
or another where a contract names it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from plinth.sources.catalogue import ForeignKey, SourceColumn, SourceTable

Query = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""Runs a query with its parameters."""

_TABLES = """
SELECT table_name, table_comment, CASE WHEN table_type = 'VIEW' THEN NULL ELSE table_rows END, table_type = 'VIEW'
FROM information_schema.tables
WHERE table_schema = %s AND table_type IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED') ORDER BY table_name
"""
_COLUMNS = """
SELECT table_name, column_name, column_type, is_nullable, column_comment, column_default, data_type, character_set_name
FROM information_schema.columns WHERE table_schema = %s ORDER BY table_name, ordinal_position
"""
_INDEXES = """
SELECT table_name, index_name, non_unique, column_name, sub_part FROM information_schema.statistics
WHERE table_schema = %s ORDER BY table_name, index_name, seq_in_index
"""
_FOREIGN_KEYS = """
SELECT table_name, constraint_name, column_name, referenced_table_schema, referenced_table_name, referenced_column_name
FROM information_schema.key_column_usage WHERE table_schema = %s AND referenced_table_name IS NOT NULL
ORDER BY table_name, constraint_name, ordinal_position
"""


def names(query: Query, schema: str) -> list[tuple[str | None, str]]:
    """Schema and name of every table and view of one database."""
    return [(schema, row[0]) for row in query(_TABLES, (schema,))]


def describe(query: Query, schema: str, name: str | None) -> tuple[SourceTable, ...]:
    """All tables and views of one database, or the one of that name."""

    def rows(text: str) -> list[tuple[Any, ...]]:
        if name is None:
            return query(text, (schema,))
        # A name as a constant lets the server open that one table only.
        return query(text.replace("table_schema = %s", "table_schema = %s AND table_name = %s"), (schema, name))

    # Where the server's names know no case (on Windows), `=` finds more than asked for.
    tables = [row for row in rows(_TABLES) if name is None or row[0] == name]
    if not tables:
        return ()
    columns, indexes, foreign = _columns(rows(_COLUMNS)), _indexes(rows(_INDEXES)), _foreign_keys(rows(_FOREIGN_KEYS))
    return tuple(_table(schema, row, tuple(columns[row[0]]), indexes[row[0]], tuple(foreign[row[0]])) for row in tables)


def _columns(rows: Sequence[tuple[Any, ...]]) -> dict[str, list[SourceColumn]]:
    found: dict[str, list[SourceColumn]] = defaultdict(list)
    for table, name, kind, nullable, comment, default, base, _ in rows:
        listed = _members(kind) if base in ("enum", "set") else ()
        # MariaDB says 'NULL' for a default of null.
        shown = None if default in (None, "NULL") else str(default)
        found[table].append(SourceColumn(name, kind, nullable == "YES", comment or None, listed, shown))
    return found


def _members(kind: str) -> tuple[str, ...]:
    """The texts of `enum('a','it''s')`."""
    return tuple(each.replace("''", "'") for each in re.findall(r"'((?:[^']|'')*)'", kind))


def _indexes(rows: Sequence[tuple[Any, ...]]) -> dict[str, dict[str, tuple[bool, list[str | None]]]]:
    found: dict[str, dict[str, tuple[bool, list[str | None]]]] = defaultdict(dict)
    for table, index, not_unique, column, part in rows:
        # An index over the first letters of a text, or over an expression, says nothing of the column as a whole.
        found[table].setdefault(index, (not int(not_unique), []))[1].append(None if part else column)
    return found


def _foreign_keys(rows: Sequence[tuple[Any, ...]]) -> dict[str, list[ForeignKey]]:
    grouped: dict[tuple[str, str, str, str], list[tuple[str, str]]] = defaultdict(list)
    for table, name, column, to_schema, to_table, to_column in rows:
        grouped[table, name, to_schema, to_table].append((column, to_column))
    found: dict[str, list[ForeignKey]] = defaultdict(list)
    for (table, _, to_schema, to_table), pairs in grouped.items():
        own, other = zip(*pairs, strict=True)
        found[table].append(ForeignKey(own, to_schema, to_table, other))
    return found


def _table(
    schema: str,
    row: tuple[Any, ...],
    columns: tuple[SourceColumn, ...],
    indexes: dict[str, tuple[bool, list[str | None]]],
    foreign: tuple[ForeignKey, ...],
) -> SourceTable:
    name, comment, estimate, view = row
    plain = {
        index: (unique, tuple(str(each) for each in own)) for index, (unique, own) in indexes.items() if None not in own
    }
    key = plain.get("PRIMARY", (False, ()))[1]
    return SourceTable(
        schema=schema,
        name=name,
        columns=columns,
        key=key,
        key_enforced=bool(key),
        unique=tuple(own for index, (unique, own) in plain.items() if unique and index != "PRIMARY"),
        indexed=tuple(own for _, own in plain.values()),
        foreign_keys=foreign,
        comment=comment if comment and comment != "VIEW" else None,
        row_estimate=None if estimate is None else int(estimate),
        view=bool(int(view)),
    )
