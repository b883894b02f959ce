"""What an SQLite file says of its tables.

What belongs here: queries of sqlite_master and the table-valued pragmas. What does not: reading rows.
Source: SQLite's documentation, "PRAGMA Statements".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import duckdb

from plinth.engine import literal
from plinth.sources.catalogue import ForeignKey, SourceColumn, SourceTable

Query = Callable[[str], list[tuple[Any, ...]]]
"""Runs a query in SQLite; every value comes as text."""

_OBJECTS = "SELECT name AS n, type AS t FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
# Hidden columns of virtual tables (1) are no columns; generated ones (2, 3) are.
_COLUMNS = (
    'SELECT m.name AS t, x.name AS n, x.type AS k, x."notnull" AS nn, x.pk AS pk, x.dflt_value AS d '
    "FROM sqlite_master m, pragma_table_xinfo(m.name) x WHERE m.type = {kind} AND x.hidden <> 1 AND m.name = {name} ORDER BY x.cid"
)
_INDEXES = (
    'SELECT m.name AS t, l.name AS i, l."unique" AS u, l.origin AS o, l.partial AS p, x.name AS c '
    "FROM sqlite_master m, pragma_index_list(m.name) l, pragma_index_info(l.name) x "
    "WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY m.name, l.seq, x.seqno"
)
_FOREIGN_KEYS = (
    'SELECT m.name AS t, f.id AS i, f."table" AS r, f."from" AS c, f."to" AS o '
    "FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table' ORDER BY m.name, f.id, f.seq"
)


def names(query: Query) -> list[tuple[str | None, str]]:
    """The names of all tables and views; SQLite has no schemas."""
    return sorted((None, row[0]) for row in query(_OBJECTS))


def describe(query: Query, name: str | None) -> tuple[SourceTable, ...]:
    """All tables and views of the file, or the one of that name; a view that is broken stands without columns."""
    objects = [row for row in query(_OBJECTS) if name is None or row[0] == name]
    indexes, foreign, estimates = _indexes(query), _foreign_keys(query), _estimates(query)
    keys: dict[str, tuple[str, ...]] = {}
    columns: dict[str, tuple[SourceColumn, ...]] = {}
    for each, kind in sorted(objects):
        rows = _columns(query, each, kind)
        columns[each] = tuple(
            SourceColumn(row[1], row[2] or "", row[3] == "0" and row[4] == "0", default=row[5]) for row in rows
        )
        keys[each] = tuple(row[1] for row in sorted(rows, key=lambda row: int(row[4])) if row[4] != "0")
    return tuple(
        _table(
            each,
            columns[each],
            keys,
            indexes.get(each, []),
            foreign.get(each, []),
            estimates.get(each),
            view=kind == "view",
        )
        for each, kind in sorted(objects)
    )


def _columns(query: Query, name: str, kind: str) -> list[tuple[Any, ...]]:
    try:
        return query(_COLUMNS.format(kind=literal(kind), name=literal(name)))
    except duckdb.Error:
        if kind == "view":
            return []
        raise


def _indexes(query: Query) -> dict[str, list[tuple[bool, bool, tuple[str | None, ...]]]]:
    grouped: dict[tuple[str, str, str, str], list[str | None]] = defaultdict(list)
    for table, index, unique, origin, partial, column in query(_INDEXES):
        if partial == "0":
            grouped[table, index, unique, origin].append(column)
    found: dict[str, list[tuple[bool, bool, tuple[str | None, ...]]]] = defaultdict(list)
    for (table, _, unique, origin), columns in grouped.items():
        found[table].append((unique == "1", origin == "pk", tuple(columns)))
    return found


def _foreign_keys(query: Query) -> dict[str, list[tuple[str, list[tuple[str, str | None]]]]]:
    grouped: dict[tuple[str, str, str], list[tuple[str, str | None]]] = defaultdict(list)
    for table, number, to, column, to_column in query(_FOREIGN_KEYS):
        grouped[table, number, to].append((column, to_column))
    found: dict[str, list[tuple[str, list[tuple[str, str | None]]]]] = defaultdict(list)
    for (table, _, to), pairs in grouped.items():
        found[table].append((to, pairs))
    return found


def _estimates(query: Query) -> dict[str, int]:
    """Row counts that ANALYZE left behind."""
    if not query("SELECT name AS n FROM sqlite_master WHERE name = 'sqlite_stat1'"):
        return {}
    return {row[0]: int(row[1].split()[0]) for row in query("SELECT tbl AS t, stat AS s FROM sqlite_stat1") if row[1]}


def _table(
    name: str,
    columns: Sequence[SourceColumn],
    keys: dict[str, tuple[str, ...]],
    indexes: Iterable[tuple[bool, bool, tuple[str | None, ...]]],
    foreign: Iterable[tuple[str, list[tuple[str, str | None]]]],
    estimate: int | None,
    *,
    view: bool,
) -> SourceTable:
    key = keys[name]
    plain = [(unique, primary, tuple(str(each) for each in own)) for unique, primary, own in indexes if None not in own]
    return SourceTable(
        schema=None,
        name=name,
        columns=tuple(columns),
        key=key,
        key_enforced=bool(key),
        unique=tuple(own for unique, primary, own in plain if unique and not primary),
        indexed=((key,) if key and not any(primary for _, primary, _ in plain) else ())
        + tuple(own for _, _, own in plain),
        foreign_keys=tuple(
            ForeignKey(
                tuple(own for own, _ in pairs),
                None,
                to,
                tuple(other for _, other in pairs if other is not None) or keys.get(to, ()),
            )
            for to, pairs in foreign
        ),
        comment=None,
        row_estimate=estimate,
        view=view,
    )
