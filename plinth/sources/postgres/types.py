"""How each of PostgreSQL's types is read, so that DuckDB's scanner changes no value.

What belongs here: which types the scanner reads exactly, what is sent as text instead, and which values need a look on the server first.
Tried with DuckDB 1.5.5 on PostgreSQL 15: `numeric(p,s)` that is NaN comes as 0, `numeric` without precision as a double, time stamps
after the year 294246 wrap around, arrays of several dimensions abort the read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from plinth.contracts.model import Column
from plinth.contracts.physical import parse_physical_type
from plinth.engine import quote
from plinth.sources.casting import RAW, Cast, from_json
from plinth.sources.catalogue import SourceColumn
from plinth.sources.reading import Reading, cast_or_refuse, landed

# Types that a scan of the table and a query give alike.
_NATIVE = {
    "smallint": "SMALLINT", "integer": "INTEGER", "bigint": "BIGINT", "real": "FLOAT", "double precision": "DOUBLE",
    "boolean": "BOOLEAN", "text": "VARCHAR", "character varying": "VARCHAR", "character": "VARCHAR", "bpchar": "VARCHAR",
    "name": "VARCHAR", "json": "VARCHAR", "jsonb": "VARCHAR", "xml": "VARCHAR", "bytea": "BLOB", "date": "DATE",
    "timestamp without time zone": "TIMESTAMP", "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
    "time without time zone": "TIME", "time with time zone": "TIME WITH TIME ZONE", "uuid": "UUID", "inet": "VARCHAR",
    "cidr": "VARCHAR", "macaddr": "VARCHAR", "tsvector": "VARCHAR", "bit": "VARCHAR", "bit varying": "VARCHAR",
}  # fmt: skip
_LISTS = {
    "smallint[]": "SMALLINT[]", "integer[]": "INTEGER[]", "bigint[]": "BIGINT[]", "real[]": "FLOAT[]",
    "double precision[]": "DOUBLE[]", "boolean[]": "BOOLEAN[]", "text[]": "VARCHAR[]", "character varying[]": "VARCHAR[]",
}  # fmt: skip
_TIMES = ("timestamp without time zone", "timestamp with time zone")
_LAST, _FIRST = "294246-01-01", "4715-01-01 (BC)"
"""DuckDB's microseconds since 1970 end in this year, PostgreSQL's since 2000 thirty years later; what lies between comes as a year long before
PostgreSQL's first one."""


@dataclass(frozen=True)
class Doubt:
    """Values that a plain read would change.

    Attributes:
        condition: SQL on the server that holds for them.
        note: what the contract's leave to change them is counted under; empty where there is none.
        instead: how the column is read where there are some.
    """

    condition: str
    note: str = ""
    instead: Reading | None = None


@dataclass(frozen=True)
class Doubtful(Reading):
    """A reading that is exact unless the server holds certain values."""

    doubts: tuple[Doubt, ...] = ()


def send(column: Column, source: SourceColumn, delta: str) -> Reading:
    """How one column is read at first: a table of ordinary dates is scanned without a look at them, and any other date fails like a cast."""
    reading = send_patiently(column, source, delta)
    if not isinstance(reading, Doubtful) or reading.is_no_date is None:
        return reading
    strange = f"({RAW} IS NOT NULL AND (NOT isfinite({RAW}) OR {RAW} < {reading.raw} '{_FIRST}'))"
    alike = reading.cast.value == RAW
    return replace(reading, is_no_date=strange, zero_dates="quarantine", doubts=(), by_extremes=alike)


def send_patiently(column: Column, source: SourceColumn, delta: str) -> Reading:
    """How one column is read when some value did not fit; see `plinth.sources.reading.Sender`."""
    name = quote(column.physical_name)
    kind = parse_physical_type(source.physical_type, "postgresql")
    base = "enum" if source.enum_values else kind.base
    if base in ("numeric", "decimal"):
        return _numeric(column, source, delta, name, kind.arguments)
    if base.endswith("[]"):
        return _array(column, source, delta, name)
    if base in _TIMES or base == "date":
        return _time(column, source, delta, name, base)
    if base == "enum":
        return _plain(column, source, delta, name, "ENUM")
    if base in _NATIVE:
        return _plain(column, source, delta, name, _NATIVE[base])
    if base == "oid":
        return _sent(column, source, delta, f"{name}::bigint", "BIGINT")
    if base == "money" and delta != "string":
        return _sent(column, source, delta, f"{name}::numeric::text", "VARCHAR")
    note = {"interval": "ISO 8601 duration"}.get(base, "as text")
    return _sent(column, source, delta, f"{name}::text", "VARCHAR", note)


def _plain(column: Column, source: SourceColumn, delta: str, name: str, raw: str) -> Reading:
    if delta == "string" and raw in ("ENUM", "UUID", "TIME", "TIME WITH TIME ZONE"):
        as_text = Cast(f"CAST({RAW} AS VARCHAR)", f"CAST({RAW} AS VARCHAR)", sure=True)
        return Reading(landed(column, source, delta), name, raw, as_text, plain=True)
    if raw in ("ENUM", "UUID", "TIME", "TIME WITH TIME ZONE"):
        return _sent(column, source, delta, f"{name}::text", "VARCHAR")
    if delta == "string" and raw in ("FLOAT", "DOUBLE"):
        return _sent(column, source, delta, f"{name}::text", "VARCHAR")
    return Reading(landed(column, source, delta), name, raw, cast_or_refuse(raw, delta, column, source), plain=True)


def _sent(column: Column, source: SourceColumn, delta: str, remote: str, raw: str, note: str = "") -> Reading:
    """A column that the server turns into something that comes over exactly."""
    return Reading(landed(column, source, delta, note), remote, raw, cast_or_refuse(raw, delta, column, source))


def _numeric(column: Column, source: SourceColumn, delta: str, name: str, arguments: tuple[int, ...]) -> Reading:
    if delta in ("double", "float"):
        return _sent(column, source, delta, f"{name}::float8", "DOUBLE")
    exact = _sent(column, source, delta, f"{name}::text", "VARCHAR", "exact decimal text" if delta == "string" else "")
    precision, scale = (*arguments, 0)[:2] if arguments else (0, 0)
    if not (0 < precision <= 38 and 0 <= scale <= precision) or delta == "string":
        return exact
    raw = f"DECIMAL({precision},{scale})"
    whole = cast_or_refuse(raw, delta, column, source)
    return Doubtful(
        landed(column, source, delta), name, raw, whole, plain=True, doubts=(Doubt(f"{name} = 'NaN'", instead=exact),)
    )


def _time(column: Column, source: SourceColumn, delta: str, name: str, base: str) -> Reading:
    if delta == "string":
        return _sent(column, source, delta, f"{name}::text", "VARCHAR")
    raw = _NATIVE[base]
    note = "" if column.zero_dates == "quarantine" else f"{column.name}.infinite_dates"
    doubts = [Doubt(f"{name} IN ('infinity', '-infinity')", note=note)]
    reading = Reading(
        landed(column, source, delta),
        name,
        raw,
        cast_or_refuse(raw, delta, column, source),
        plain=True,
        is_no_date=f"({RAW} IS NOT NULL AND NOT isfinite({RAW}))",
        zero_dates=column.zero_dates,
    )
    if base in _TIMES:
        as_text = replace(
            _sent(column, source, delta, f"{name}::text", "VARCHAR"),
            is_no_date=f"{RAW} IN ('infinity', '-infinity')",
            zero_dates=column.zero_dates,
        )
        doubts.append(Doubt(f"{name} > '{_LAST}' AND {name} < 'infinity'", instead=as_text))
    return Doubtful(**{**vars(reading), "doubts": tuple(doubts)})


def _array(column: Column, source: SourceColumn, delta: str, name: str) -> Reading:
    shown = re.sub(r"\(.*?\)", "", source.physical_type)
    if not delta.startswith("array<") or shown.endswith("[][]"):
        return _sent(
            column, source, "string" if shown.endswith("[][]") else delta, f"{name}::text", "VARCHAR", "as text"
        )
    # Of several dimensions although declared with one: JSON tells them apart, and such a value does not fit.
    kind = landed(column, source, delta)
    apart = Reading(kind, f"array_to_json({name})::text", "VARCHAR", from_json(delta))
    doubt = Doubt(f"array_ndims({name}) > 1", instead=apart)
    if shown in _LISTS:
        whole = cast_or_refuse(_LISTS[shown], delta, column, source)
        return Doubtful(kind, name, _LISTS[shown], whole, plain=True, doubts=(doubt,))
    whole = cast_or_refuse("VARCHAR[]", delta, column, source)
    return Doubtful(kind, f"{name}::text[]", "VARCHAR[]", whole, doubts=(doubt,))
