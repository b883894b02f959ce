"""What PostgreSQL's catalogue says of its tables.

What belongs here: queries of pg_catalog (information_schema hides what the user does not own, and comments). What does not: reading rows.
Source: PostgreSQL's documentation, chapter "System Catalogs".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from plinth.sources.catalogue import ForeignKey, SourceColumn, SourceTable

Query = Callable[[str], Sequence[tuple[Any, ...]]]
"""Runs a query, through a driver or through DuckDB; the latter wants every column to have a name of its own."""

_RELATIONS = """
SELECT c.oid::bigint AS oid, n.nspname::text AS schema, c.relname::text AS name, obj_description(c.oid, 'pg_class') AS comment,
       CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS estimate, c.relkind IN ('v', 'm') AS view
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname !~ '^pg_(toast|temp)' {wanted}
ORDER BY n.nspname, c.relname
"""
# A domain is followed to the type that it rests on: a domain over numeric(6,2) holds numbers, not text.
_COLUMNS = """
WITH RECURSIVE bases AS (
    SELECT oid AS domain, typbasetype AS base, typtypmod AS modifier FROM pg_type WHERE typtype = 'd'
    UNION ALL
    SELECT b.domain, t.typbasetype, CASE WHEN b.modifier = -1 THEN t.typtypmod ELSE b.modifier END
    FROM bases b JOIN pg_type t ON t.oid = b.base WHERE t.typtype = 'd'
), ends AS (SELECT b.* FROM bases b JOIN pg_type t ON t.oid = b.base WHERE t.typtype <> 'd')
SELECT a.attrelid::bigint AS oid, a.attname::text AS name, format_type(coalesce(e.base, a.atttypid), coalesce(e.modifier, a.atttypmod)) AS kind,
       NOT a.attnotnull AS nullable, col_description(a.attrelid, a.attnum) AS comment, coalesce(e.base, a.atttypid)::bigint AS type_oid,
       a.attndims::int AS dimensions, pg_get_expr(d.adbin, d.adrelid) AS given
FROM pg_attribute a
LEFT JOIN ends e ON e.domain = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid IN ({oids}) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum
"""
_SCANNABLE = """
SELECT (c.relkind IN ('r', 'm')
   AND NOT EXISTS (SELECT FROM pg_class o WHERE o.relnamespace = c.relnamespace AND o.oid <> c.oid AND lower(o.relname) = lower(c.relname))
   AND NOT EXISTS (SELECT FROM pg_namespace o WHERE o.oid <> n.oid AND lower(o.nspname) = lower(n.nspname))
   AND (SELECT count(*) = count(DISTINCT lower(a.attname)) AND bool_and(t.typtype <> 'd') FROM pg_attribute a
        JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) AS scannable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {schema} AND c.relname = {name}
"""
_ENUMS = "SELECT enumtypid::bigint AS oid, array_agg(enumlabel::text ORDER BY enumsortorder) AS labels FROM pg_enum GROUP BY 1"
_INDEXES = """
SELECT i.indrelid::bigint AS oid, i.indisprimary AS main, i.indisunique AND i.indimmediate AND i.indpred IS NULL AS alone,
       i.indisvalid AND i.indpred IS NULL AS valid, array_agg(a.attname::text ORDER BY k.place) AS names
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indrelid IN ({oids}) AND k.place <= i.indnkeyatts GROUP BY i.indexrelid, 1, 2, 3, 4 ORDER BY i.indexrelid
"""
_FOREIGN_KEYS = """
SELECT c.conrelid::bigint AS oid, n.nspname::text AS schema, f.relname::text AS name,
       array(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k(n, i)
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n ORDER BY k.i) AS own,
       array(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k(n, i)
             JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.n ORDER BY k.i) AS other
FROM pg_constraint c JOIN pg_class f ON f.oid = c.confrelid JOIN pg_namespace n ON n.oid = f.relnamespace
WHERE c.contype = 'f' AND c.conrelid IN ({oids}) ORDER BY c.conname
"""


def text(value: str) -> str:
    """A text as the server reads it, also one whose setting takes a backslash in a plain literal for more than itself (standard_conforming_strings)."""
    doubled = value.replace("\\", "\\\\").replace("'", "''")
    return f"E'{doubled}'" if "\\" in value else f"'{doubled}'"


def describe(query: Query, schema: str | None, name: str | None) -> tuple[SourceTable, ...]:
    """All tables, views and foreign tables of the database, or those of one schema or name; partitions stand within their parent."""
    wanted = [f"AND n.nspname = {text(schema)}"] if schema is not None else []
    wanted += [f"AND c.relname = {text(name)}"] if name is not None else []
    relations = query(_RELATIONS.format(wanted=" ".join(wanted)))
    if not relations:
        return ()
    oids = ", ".join(str(row[0]) for row in relations)
    columns, indexes = _columns(query, oids), _by_table(query(_INDEXES.format(oids=oids)))
    foreign = _by_table(query(_FOREIGN_KEYS.format(oids=oids)))
    return tuple(_table(row, columns[row[0]], indexes[row[0]], foreign[row[0]]) for row in relations)


def names(query: Query) -> list[tuple[str | None, str]]:
    """Schema and name of every table and view."""
    return [(row[1], row[2]) for row in query(_RELATIONS.format(wanted=""))]


def scannable(query: Query, schema: str | None, name: str) -> bool:
    """Whether DuckDB's scanner reads the table itself right: a table or materialised view of its own pages, without domains (whose values
    it gives as text), under names that differ by more than case from all others (DuckDB knows no case)."""
    rows = query(_SCANNABLE.format(schema=text(schema or ""), name=text(name)))
    return bool(rows and rows[0][0])


def _columns(query: Query, oids: str) -> dict[int, list[SourceColumn]]:
    enums = {row[0]: tuple(row[1]) for row in query(_ENUMS)}
    found: dict[int, list[SourceColumn]] = defaultdict(list)
    for oid, name, kind, nullable, comment, type_oid, dimensions, default in query(_COLUMNS.format(oids=oids)):
        shown = kind + "[]" * (dimensions - 1) if dimensions > 1 and kind.endswith("[]") else kind
        found[oid].append(SourceColumn(name, shown, nullable, comment, enums.get(type_oid, ()), default))
    return found


def _by_table(rows: Sequence[Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        found[row[0]].append(row[1:])
    return found


def _table(relation: Any, columns: list[SourceColumn], indexes: list[Any], foreign: list[Any]) -> SourceTable:
    _, schema, name, comment, estimate, view = relation
    # An index over an expression has no column name there, so it says nothing about columns.
    plain = [(primary, unique, valid, tuple(names)) for primary, unique, valid, names in indexes if None not in names]
    key = next((names for primary, _, _, names in plain if primary), ())
    return SourceTable(
        schema=schema,
        name=name,
        columns=tuple(columns),
        key=key,
        key_enforced=any(primary and unique for primary, unique, _, _ in plain),
        unique=tuple(names for primary, unique, valid, names in plain if unique and valid and not primary),
        indexed=tuple(names for _, _, valid, names in plain if valid),
        foreign_keys=tuple(ForeignKey(tuple(own), to, table, tuple(other)) for to, table, own, other in foreign),
        comment=comment,
        row_estimate=estimate,
        view=view,
    )
