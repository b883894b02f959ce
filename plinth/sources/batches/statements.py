"""The statements of a batch read, in SQLAlchemy's expressions, so that each dialect quotes and spells them its own way.

What belongs here: tables, columns and what a server is asked to turn into text because its driver would change it. What does not: running
them (`snapshot`) and casting what comes (`plinth.sources.casting`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import quoted_name

from plinth.contracts.model import Column, Table
from plinth.contracts.physical import parse_physical_type
from plinth.sources.casting import RAW, Cast, from_json, from_text
from plinth.sources.catalogue import SourceColumn, SourceTable
from plinth.sources.horizon import horizon, nevers
from plinth.sources.reading import Reading, cursor_of, landed

if TYPE_CHECKING:
    from plinth.sources.snapshot import Watermark

# Types that drivers give exactly; every other is sent as text by the server where the dialect has a cast to text.
_EXACT = {
    "postgresql": {
        "smallint", "integer", "bigint", "boolean", "text", "varchar", "character varying", "bytea", "uuid",
    },
    "mysql": {
        "tinyint", "smallint", "mediumint", "int", "integer", "bigint", "varchar", "char", "text", "tinytext", "mediumtext", "longtext",
        "decimal", "numeric", "double", "enum", "set", "year", "bit",
    },
}  # fmt: skip
_INEXACT = {
    "mssql": {
        "xml": "nvarchar(max)",
        "sql_variant": "nvarchar(4000)",
        "hierarchyid": "nvarchar(4000)",
        "datetimeoffset": "varchar(34)",
    },
}
_SPATIAL = (
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
)
_TEXT_BYTES = ("bytea", "blob", "tinyblob", "mediumblob", "longblob", "binary", "varbinary", "image", "raw")
"""Bytes that may hold a text, where the contract says so."""
_NO_DATE = f"({RAW} LIKE '____-00-__%' OR {RAW} LIKE '____-__-00%' OR {RAW} LIKE '%infinity')"


def send(column: Column, source: SourceColumn, delta: str, dialect: str, *, strict: bool) -> Reading:
    """How one column is read: as text, but for bytes, and for texts in a lenient read, whose bytes may be no UTF-8."""
    kind = parse_physical_type(source.physical_type, dialect)
    name = column.physical_name
    if is_bytes(kind.base, dialect):
        return _bytes(column, source, delta, kind.base)
    note = (
        "to the microsecond"
        if dialect in ("mssql", "oracle") and kind.arguments[:1] > (6,) and kind.zoned is not None
        else ""
    )
    bronze = landed(column, source, delta, note)
    if delta == "string" and not strict:
        decoded = Cast(f"decode({RAW})", f"TRY(decode({RAW}))")
        return Reading(bronze, name, "BLOB", decoded, text=f"'\\x' || hex({RAW})")
    if delta.startswith("array<"):
        return Reading(bronze, name, "VARCHAR", from_json(delta))
    if delta in ("date", "timestamp", "timestamp_ntz"):
        return Reading(bronze, name, "VARCHAR", from_text(delta), is_no_date=_NO_DATE, zero_dates=column.zero_dates)
    return Reading(bronze, name, "VARCHAR", from_text(delta))


def _bytes(column: Column, source: SourceColumn, delta: str, base: str) -> Reading:
    wanted = "binary" if delta == "string" and base not in _TEXT_BYTES else delta
    if wanted == "binary":
        return Reading(landed(column, source, wanted), column.physical_name, "BLOB", Cast(RAW, RAW, sure=True))
    number = f"CAST(CAST('0x' || hex({RAW}) AS UBIGINT) AS VARCHAR)"
    through = Cast(f"decode({RAW})", f"TRY(decode({RAW}))") if wanted == "string" else from_text(wanted).over(number)
    return Reading(landed(column, source, wanted), column.physical_name, "BLOB", through, text=f"hex({RAW})")


def is_bytes(base: str, dialect: str) -> bool:
    """Whether the server has bytes in a column of this type, and no text."""
    return parse_physical_type(base, dialect).delta == "binary" or (dialect == "mysql" and base in (*_SPATIAL, "bit"))


def table_of(found: SourceTable, dialect: sa.Dialect) -> sa.TableClause:
    """The table with its columns. Names are quoted as they are, but for Oracle, whose lower-case names SQLAlchemy means as any case."""
    columns: list[sa.ColumnClause[Any]] = [sa.column(_name(column.name, dialect)) for column in found.columns]
    schema = None if found.schema is None else _name(found.schema, dialect)
    return sa.table(_name(found.name, dialect), *columns, schema=schema)


def _name(name: str, dialect: sa.Dialect) -> str:
    return name if dialect.requires_name_normalize else quoted_name(name, quote=True)


def rows_of(
    table: Table, found: SourceTable, readings: tuple[Reading, ...], dialect: sa.Dialect, since: Watermark | None
) -> sa.Select[Any]:
    """The SELECT for a batch read; columns come in the order of the readings that have a remote column."""
    target = table_of(found, dialect)
    by_name = {column.name: column for column in found.columns}
    listed = [
        _sent(target.c[each.remote], by_name[each.remote], dialect).label(f"c{index}")
        for index, each in enumerate(readings)
        if each.remote is not None
    ]
    statement = sa.select(*(listed or [sa.literal_column("1").label("nothing")])).select_from(target)
    if since is None:
        return statement
    return statement.where(cursor_column(table, found, target) >= _bound(table, found, dialect, since))


def cursor_column(table: Table, found: SourceTable, target: sa.TableClause) -> sa.ColumnClause[Any]:
    """The contract's cursor as a column of the table."""
    return target.c[cursor_of(table).physical_name]


def before(
    table: Table, found: SourceTable, target: sa.TableClause, dialect: sa.Dialect, value: Watermark
) -> sa.ColumnElement[bool]:
    """Whether a row's cursor is lower than a value."""
    earlier: sa.ColumnElement[bool] = cursor_column(table, found, target) < _bound(table, found, dialect, value)
    return earlier


def not_ahead(
    table: Table, found: SourceTable, target: sa.TableClause, dialect: sa.Dialect, value: Watermark
) -> sa.ColumnElement[bool]:
    """Whether a row's cursor is not ahead of the clock, as `value` is."""
    numbers = [_bound(table, found, dialect, number) for number in nevers(value)]
    if not numbers:
        return before(table, found, target, dialect, horizon())
    earlier: sa.ColumnElement[bool] = cursor_column(table, found, target).not_in(numbers)
    return earlier


def no_dates(target: sa.TableClause, name: str, dialect: sa.Dialect) -> sa.ColumnElement[int]:
    """How many values of a column are dates that are none."""
    text = sa.cast(target.c[name], _text_type(dialect))
    none = sa.or_(text.like("____-00-__%"), text.like("____-__-00%"), text.like("%infinity"))
    return sa.func.sum(sa.case((none, 1), else_=0))


def _sent(column: sa.ColumnElement[Any], source: SourceColumn, dialect: sa.Dialect) -> sa.ColumnElement[Any]:
    base = "enum" if source.enum_values else parse_physical_type(source.physical_type, dialect.name).base
    if dialect.name == "mysql" and base == "float":
        return column + sa.literal_column("0e0")  # as text it has six digits, as a double it has all
    if dialect.name == "mysql" and base == "time":
        plain, full = (sa.func.time_format(column, each) for each in ("%H:%i:%s", "%H:%i:%s.%f"))
        trimmed = sa.func.trim(sa.literal_column("TRAILING '0' FROM ").op("")(full))
        return sa.case((sa.func.microsecond(column) == 0, plain), else_=trimmed)  # as the scanner prints it
    if dialect.name in _EXACT:
        exact = not base or base in _EXACT[dialect.name] or base.endswith("[]") or is_bytes(base, dialect.name)
        return column if exact else sa.cast(column, _text_type(dialect))
    if base in _INEXACT.get(dialect.name, {}):
        return sa.cast(column, _Raw(_INEXACT[dialect.name][base]))
    return column


class _Raw(sa.types.UserDefinedType[Any]):
    """A type by its name."""

    cache_ok = True

    def __init__(self, spelling: str) -> None:
        self.spelling = spelling

    def get_col_spec(self, **_: Any) -> str:
        """What stands in a CAST."""
        return self.spelling


def _text_type(dialect: sa.Dialect) -> Any:
    return sa.CHAR() if dialect.name == "mysql" else sa.Text()


def _bound(table: Table, found: SourceTable, dialect: sa.Dialect, since: Watermark) -> Any:
    """The lower bound as the driver takes it; one that the database can use an index for."""
    name = cursor_of(table).physical_name
    source = next(column for column in found.columns if column.name == name)
    kind = parse_physical_type(source.physical_type, dialect.name)
    if dialect.name in ("postgresql", "sqlite"):
        return sa.cast(sa.literal(since), _Raw(source.physical_type)) if dialect.name == "postgresql" else _plain(since)
    if kind.logical == "timestamp":
        moment = datetime.fromisoformat(since)
        if kind.zoned:
            return sa.literal(moment if moment.tzinfo and dialect.name != "mysql" else moment.replace(tzinfo=None))
        return sa.literal(moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment)
    if kind.logical == "date":
        return sa.literal(date.fromisoformat(since[:10]))
    return _plain(since) if kind.logical in ("integer", "number") else sa.literal(since)


def _plain(since: Watermark) -> Any:
    if since.lstrip("-").isdigit():
        return sa.literal(int(since))
    if since.lstrip("-").replace(".", "", 1).isdigit():
        return sa.literal(Decimal(since))
    return sa.literal(since)
