"""How each of MySQL's types is read, so that DuckDB's scanner changes no value.

What belongs here: which types a scan gives exactly, and which columns it cannot give at all. Tried with DuckDB 1.5.5 on MariaDB 10.11 and the
settings of `snapshot`: `0000-00-00` comes as null, `2020-00-00` fails, decimals beyond 38 digits come as double, unsigned whole numbers,
bits, years and floats come exactly, instants in the session's zone (UTC).
"""

from __future__ import annotations

from plinth.contracts.model import Column
from plinth.contracts.physical import parse_physical_type
from plinth.contracts.types import decimal_digits
from plinth.engine import quote
from plinth.sources.casting import RAW, Cast, cast
from plinth.sources.catalogue import SourceColumn
from plinth.sources.reading import Reading, cast_or_refuse, landed

_NATIVE = {
    "tinyint": "TINYINT", "smallint": "SMALLINT", "mediumint": "INTEGER", "int": "INTEGER", "bigint": "BIGINT", "year": "INTEGER",
    "float": "FLOAT", "double": "DOUBLE", "real": "DOUBLE", "date": "DATE", "datetime": "TIMESTAMP", "timestamp": "TIMESTAMP",
}  # fmt: skip
_BYTES = (
    "blob", "tinyblob", "mediumblob", "longblob", "binary", "varbinary", "geometry", "point", "linestring", "polygon", "multipoint",
    "multilinestring", "multipolygon", "geometrycollection", "geomcollection",
)  # fmt: skip
TIMES = ("date", "datetime", "timestamp")


def send(column: Column, source: SourceColumn, delta: str) -> Reading | None:
    """How one column is read by a scan; None where a scan cannot give it exactly."""
    name = quote(column.physical_name)
    kind = parse_physical_type(source.physical_type, "mysql")
    if kind.base in ("decimal", "numeric", "dec", "fixed"):
        precision, scale = (*kind.arguments, 0)[:2] if kind.arguments else (10, 0)
        return _plain(column, source, delta, name, f"DECIMAL({precision},{scale})") if precision <= 38 else None
    if kind.base == "bit":
        return _bits(column, source, delta, name)
    if kind.base in _NATIVE:
        raw = _NATIVE[kind.base]
        if delta == "string" and (raw in ("FLOAT", "DOUBLE") or kind.base in TIMES):
            return None
        unsigned = "unsigned" in source.physical_type.lower() and raw not in ("FLOAT", "DOUBLE")
        return _plain(column, source, delta, name, f"U{raw}" if unsigned else raw)
    return _plain(column, source, delta, name, "BLOB" if kind.base in _BYTES else "VARCHAR")


def is_time(source: SourceColumn) -> bool:
    """Whether the column may hold `0000-00-00`."""
    return parse_physical_type(source.physical_type, "mysql").base in TIMES


def _plain(column: Column, source: SourceColumn, delta: str, name: str, raw: str) -> Reading:
    bronze = landed(column, source, default_type(source, delta))
    return Reading(bronze, name, raw, cast_or_refuse(raw, bronze.delta_type, column, source), plain=True)


def default_type(source: SourceColumn, delta: str) -> str:
    """The Delta type for values that have none of their own: spatial values are bytes."""
    base = parse_physical_type(source.physical_type, "mysql").base
    return "binary" if delta == "string" and base in _BYTES[6:] else delta


def _bits(column: Column, source: SourceColumn, delta: str, name: str) -> Reading:
    """Bits come as bytes, most significant first; where the contract asks for a number or a flag, as that number."""
    if delta in ("binary", "string"):
        return Reading(landed(column, source, "binary"), name, "BLOB", Cast(RAW, RAW, sure=True), plain=True)
    number = f"CAST('0x' || hex({RAW}) AS UBIGINT)"
    through = cast("UBIGINT", delta) if decimal_digits(delta) or delta != "boolean" else None
    if delta == "boolean":
        is_set = f"(CASE WHEN {number} <= 1 THEN {number} = 1 ELSE CAST({number} || ' is no flag' AS BOOLEAN) END)"
        through = Cast(is_set, f"CASE WHEN {number} <= 1 THEN {number} = 1 END")
        return Reading(landed(column, source, delta), name, "BLOB", through, plain=True, text=f"hex({RAW})")
    if through is None:
        return Reading(
            landed(column, source, delta), name, "BLOB", cast_or_refuse("BLOB", delta, column, source), plain=True
        )
    return Reading(landed(column, source, delta), name, "BLOB", through.over(number), plain=True, text=f"hex({RAW})")
