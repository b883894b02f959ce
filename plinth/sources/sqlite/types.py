"""How SQLite's values are read: their type is the value's, the column's is only a wish.

What belongs here: what SQLite sends for a column, always as text, and how that is cast. What does not: the casts themselves
(`plinth.sources.casting`). SQLite prints a double with 15 digits, which is what a decimal stored as double needs (19.99) and too little
for a double; that one is sent with 18 (with 17, doubles beyond 1e200 come back one off).
"""

from __future__ import annotations

from dataclasses import replace

from plinth.contracts.model import Column
from plinth.contracts.types import decimal_digits
from plinth.engine import literal, quote
from plinth.sources.casting import RAW, Cast, from_text
from plinth.sources.catalogue import SourceColumn
from plinth.sources.reading import Reading, landed, through_bytes

_TEXT_DIGITS = 15
_FIRST_JULIAN, _LAST_JULIAN = 0, 5373485
"""Days since 4714 BC: what SQLite takes a REAL in a date for, up to the year 9999."""
_NO_DATE = f"({RAW} = '' OR {RAW} LIKE '____-00-__%' OR {RAW} LIKE '____-__-00%')"


def send(column: Column, source: SourceColumn, delta: str) -> Reading:
    """How one column is read at first: a clean one costs next to nothing extra, any other fails the cast and is read by `send_patiently`."""
    bronze = landed(column, source, delta)
    name = quote(column.physical_name)
    if delta == "binary":
        unhex = f"from_hex({RAW})"
        return Reading(bronze, _hex(name), "VARCHAR", Cast(unhex, unhex, sure=True))
    text = _text(name, delta, source)
    if delta == "string":
        # Bytes that are no UTF-8 must fail here; see `plinth.sources.reading.through_bytes`.
        valid = f"decode(encode({RAW}))"
        return Reading(bronze, text, "VARCHAR", Cast(valid, valid))
    # Other types are spelled in ASCII; what is not fits none of them, and is sent as something that DuckDB can be given.
    guarded = f"CASE WHEN typeof({name}) IN ('text', 'blob') AND {name} GLOB '*[^ -~]*' THEN 'x' || hex({name}) ELSE {text} END"
    return Reading(bronze, guarded, "VARCHAR", from_text(delta))


def send_patiently(column: Column, source: SourceColumn, delta: str) -> Reading:
    """How one column is read when some value did not fit: bytes that are no UTF-8 do not abort the read, and blank or zero dates follow the
    contract's rule."""
    if delta == "binary":
        return send(column, source, delta)
    plain = Reading(landed(column, source, delta), None, "VARCHAR", from_text(delta))
    if delta in ("date", "timestamp", "timestamp_ntz"):
        plain = replace(plain, is_no_date=_NO_DATE, zero_dates=column.zero_dates)
    text = _text(quote(column.physical_name), delta, source)
    return through_bytes(plain, _hex(text), "VARCHAR", f"from_hex({RAW})")


def blank_dates(name: str) -> str:
    """SQLite's condition for dates that are none, as `_NO_DATE`."""
    return f"({name} = '' OR {name} LIKE '____-00-__%' OR {name} LIKE '____-__-00%')"


def at_least(name: str, delta: str, since: str) -> str:
    """SQLite's condition, which an index can serve, for all rows with a cursor of `since` or later, and perhaps some more.

    Times stand as text in several spellings, as seconds since 1970 (INTEGER) or as Julian days (REAL), so the caller has to filter what
    comes by its cast value.
    """
    if delta in ("date", "timestamp", "timestamp_ntz"):
        day = literal(since[:10])
        before = f"date({day}, '-1 day')" if delta == "timestamp" else day
        return (
            f"({name} >= {before} OR ({name} >= julianday({before}) AND {name} < {_LAST_JULIAN}) "
            f"OR ({name} >= CAST(strftime('%s', {before}) AS INTEGER) AND {name} < ''))"
        )
    if delta == "string":
        return f"({name} >= {literal(since)} OR {name} < '')"
    return f"{name} >= CAST({literal(since)} AS NUMERIC)"


def _text(name: str, delta: str, source: SourceColumn) -> str:
    """SQLite's expression for the value as text that casts exactly."""
    exact = f"CASE WHEN typeof({name}) = 'real' THEN printf('%!.18g', {name}) ELSE {name} END"
    as_real = f"CAST(CAST({name} AS TEXT) AS REAL)"
    shortest = (
        f"CASE WHEN typeof({name}) = 'real' AND {as_real} <> {name} THEN printf('%!.17g', {name}) ELSE {name} END"
    )
    digits = decimal_digits(delta)
    if delta in ("double", "float"):
        return exact
    if digits is not None:
        return name if digits[0] <= _TEXT_DIGITS else shortest
    if delta == "string":
        # A column of text affinity never holds a number.
        declared = source.physical_type.lower()
        has_text_affinity = "int" not in declared and any(part in declared for part in ("char", "clob", "text"))
        return name if has_text_affinity else shortest
    if delta in ("date", "timestamp", "timestamp_ntz"):
        # A number out of SQLite's range gives null there; it is sent as it is, and fails the cast.
        return (
            f"CASE typeof({name}) WHEN 'integer' THEN coalesce(datetime({name}, 'unixepoch'), {name}) "
            f"WHEN 'real' THEN coalesce(strftime('%Y-%m-%d %H:%M:%f', {name}), {name}) ELSE {name} END"
        )
    return name


def _hex(expression: str) -> str:
    return f"CASE WHEN {expression} IS NOT NULL THEN hex({expression}) END"  # of null it would be an empty text
