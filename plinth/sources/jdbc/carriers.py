"""In what form a value travels: what the server makes of it, the type that Spark has for it, and how DuckDB gets its own value back.

Spark has no unsigned numbers, no infinite or very early dates (Java's calendar before 1582 is another one), no times, no UUIDs, and NaN in no decimal.
So a value travels as a number, a text or bytes, which pass through unchanged: dates as days, times as microseconds since 1970, the rest as the text
that the server has for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from plinth.contracts.physical import parse_physical_type
from plinth.sources.casting import RAW
from plinth.sources.catalogue import SourceColumn
from plinth.sources.reading import Reading

# Of a number these stand for the two infinities, as in DuckDB's own storage.
_DAYS_END, _MICROS_END = 2**31 - 1, 2**63 - 1
_LAST = "294246-01-01"
"""As in `plinth.sources.postgres.types`: later times have no place in DuckDB. A strict read takes them for infinite, which ends it."""


@dataclass(frozen=True)
class Carrier:
    """How the values of one column travel.

    Attributes:
        sent: SQL of the server.
        spark: Spark's type, as in a DDL.
        back: SQL of DuckDB over `{raw}` that gives what its scanner would have given.
    """

    sent: str
    spark: str
    back: str = RAW

    def restored(self, name: str) -> str:
        """SQL of DuckDB that gives the value of the landed column `name`."""
        return self.back.replace(RAW, name)


_POSTGRES_NUMBERS = {
    "SMALLINT": "SMALLINT",
    "INTEGER": "INT",
    "BIGINT": "BIGINT",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "BLOB": "BINARY",
}


def postgres_carrier(reading: Reading) -> Carrier:
    """How PostgreSQL sends what a reading asks for."""
    remote, raw = str(reading.remote), reading.raw
    if raw in _POSTGRES_NUMBERS or raw.startswith("DECIMAL"):
        return Carrier(remote, _POSTGRES_NUMBERS.get(raw, raw))
    if raw == "DATE":
        days = f"CASE {remote} WHEN 'infinity' THEN {_DAYS_END} WHEN '-infinity' THEN -{_DAYS_END} ELSE {remote} - DATE '1970-01-01' END"
        return Carrier(days, "INT", _or_infinite(f"DATE '1970-01-01' + {RAW}", "DATE", _DAYS_END))
    if raw in ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"):
        make = "make_timestamp" if raw == "TIMESTAMP" else "make_timestamptz"
        return Carrier(_micros(remote), "BIGINT", _or_infinite(f"{make}({RAW})", raw, _MICROS_END))
    if raw.endswith("[]"):
        items = f"from_json({RAW}, '[\"VARCHAR\"]')"
        back = items if raw == "VARCHAR[]" else f"CAST({items} AS {raw})"
        return Carrier(f"array_to_json(({remote})::text[])::text", "STRING", back)
    known = f"CAST({RAW} AS {raw})" if raw in ("UUID", "TIME", "TIME WITH TIME ZONE") else RAW
    return Carrier(f"({remote})::text", "STRING", known)


def _micros(value: str) -> str:
    """Microseconds since 1970, exactly: before release 14 the whole would be a double. Seconds and their parts are doubles without loss."""
    whole = f"extract(epoch FROM date_trunc('second', {value}))::bigint * 1000000"
    part = f"extract(microseconds FROM {value})::bigint % 1000000"
    ends = f"WHEN {value} > '{_LAST}' THEN {_MICROS_END} WHEN {value} = '-infinity' THEN -{_MICROS_END}"
    return f"CASE {ends} ELSE {whole} + {part} END"


def _or_infinite(value: str, kind: str, end: int) -> str:
    return f"CASE {RAW} WHEN {end} THEN 'infinity'::{kind} WHEN -{end} THEN '-infinity'::{kind} ELSE {value} END"


_DECIMALS = ("decimal", "numeric", "dec", "fixed")


def mysql_carrier(reading: Reading, source: SourceColumn, name: str, *, binary: bool) -> Carrier:
    """How MySQL sends the column `name` of a batch read (`plinth.sources.batches.statements`), whose readings are over text and bytes.

    Args:
        binary: whether the server has bytes there, and no text.
    """
    kind = parse_physical_type(source.physical_type, "mysql")
    base = kind.base
    if base == "bit":
        # The driver gives the digits as text; bytes have the column's width.
        width = ((*kind.arguments, 1)[0] + 7) // 8
        return Carrier(f"LPAD(HEX({name} + 0), {2 * width}, '0')", "STRING", f"unhex({RAW})")
    if binary:
        return Carrier(name, "BINARY")
    if base in ("tinyint", "smallint", "mediumint", "int", "integer", "bigint", "year"):
        # A sum, so that neither flags nor leading zeros are made of them.
        wide = base == "bigint" and "unsigned" in source.physical_type.lower()
        return _as_text(reading, f"{name} + 0", "DECIMAL(20,0)" if wide else "BIGINT")
    if base in ("float", "double", "real"):
        return _as_text(reading, name, "DOUBLE")
    # What the driver calls a CHAR is filled up with blanks by Spark.
    sent = f"CAST({name} AS CHAR)" if base in (*_DECIMALS, "char", "enum", "set") else name
    return Carrier(sent, "STRING", f"encode({RAW})" if reading.raw == "BLOB" else RAW)


def _as_text(reading: Reading, sent: str, spark: str) -> Carrier:
    text = f"CAST({RAW} AS VARCHAR)"
    return Carrier(sent, spark, f"encode({text})" if reading.raw == "BLOB" else text)
