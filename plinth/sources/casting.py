"""From the type in which a value reaches DuckDB to the type in which it lands, without changing it.

What belongs here: SQL expressions that cast, and fail where a cast would round, cut off or guess. DuckDB's own casts round decimals to the
target's scale, read '5.7' as the integer 6, cut the time off a date and shift a time stamp with an offset, all silently. What does not:
how the values get to DuckDB (each dialect's `types`).
"""

from __future__ import annotations

from dataclasses import dataclass

from plinth.contracts.types import decimal_digits

RAW = "{raw}"
_WHOLE = {"byte": "TINYINT", "short": "SMALLINT", "integer": "INTEGER", "long": "BIGINT"}
_DUCKDB = {
    **_WHOLE,
    "string": "VARCHAR",
    "float": "FLOAT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "binary": "BLOB",
    "date": "DATE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "timestamp_ntz": "TIMESTAMP",
}
# The digits that a whole-number type needs, signed and unsigned.
_DIGITS = {
    "TINYINT": 3, "SMALLINT": 5, "INTEGER": 10, "BIGINT": 19, "UTINYINT": 3, "USMALLINT": 5, "UINTEGER": 10, "UBIGINT": 20,
}  # fmt: skip
_SIZE = {
    "TINYINT": 1,
    "SMALLINT": 2,
    "INTEGER": 4,
    "BIGINT": 8,
    "UTINYINT": 1.5,
    "USMALLINT": 2.5,
    "UINTEGER": 4.5,
    "UBIGINT": 8.5,
}
_PLAIN_TIME = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6}0*)?)?)?$"
_ZONED_TIME = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6}0*)?)?)? ?(Z|[+-]\d\d(:?\d\d)?)?$"
_NO_EXPONENT = f"NOT contains({RAW}, 'e') AND NOT contains({RAW}, 'E')"
# Nineteen bytes that end in `:SS` have no room for an offset.
_SECONDS = f"(strlen({RAW}) = 19 AND {RAW}[17] = ':')"
_MIDNIGHT = r"^\d{4}-\d\d-\d\d([ T]00:00(:00(\.0*)?)?)?$"


@dataclass(frozen=True)
class Cast:
    """Two forms of one cast, as SQL over `{raw}`.

    Attributes:
        value: raises duckdb.ConversionException where the value does not fit.
        attempt: gives null there.
        sure: whether it cannot fail, so that nobody need look.
    """

    value: str
    attempt: str
    sure: bool = False

    def over(self, raw: str) -> Cast:
        """The cast of another expression."""
        return Cast(self.value.replace(RAW, raw), self.attempt.replace(RAW, raw), self.sure)


def duckdb_type(delta: str) -> str:
    """DuckDB's name of a Delta type."""
    if delta.startswith("array<"):
        return f"{duckdb_type(delta[6:-1])}[]"
    return _DUCKDB.get(delta) or delta.upper()


def cast(raw: str, delta: str) -> Cast | None:
    """The cast from DuckDB's type `raw` to the Delta type; None where there is no sensible one (a date to a number)."""
    target = duckdb_type(delta)
    if raw == target:
        return Cast(RAW, RAW, sure=True)
    if raw.endswith("[]") or delta.startswith("array<"):
        return _list(raw, delta)
    if delta == "string":
        return _sure("VARCHAR") if raw != "BLOB" else Cast(f"decode({RAW})", f"TRY(decode({RAW}))")
    if raw == "VARCHAR":
        return from_text(delta)
    if raw == "BLOB":
        return None
    return _between(raw, delta)


def from_text(delta: str) -> Cast:
    """The cast of a text to a Delta type; it takes exactly the texts that stand for a value of the type."""
    target = duckdb_type(delta)
    if delta == "string":
        return Cast(RAW, RAW, sure=True)
    if delta == "binary":
        return Cast(f"encode({RAW})", f"encode({RAW})", sure=True)
    if delta in _WHOLE:
        return _guarded(target, f"NOT contains({RAW}, '.') AND {_NO_EXPONENT}", r"^\s*[+-]?\d+\.0*\s*$")
    digits = decimal_digits(delta)
    if digits is not None:
        scale = digits[1]
        quick = f"{_NO_EXPONENT} AND (instr({RAW}, '.') = 0 OR strlen({RAW}) - instr({RAW}, '.') <= {scale})"
        # With an exponent (SQLite prints 0.00001 as 1.0e-05) it fits where it is the same double; 17 digits tell doubles apart.
        double = f"TRY_CAST({RAW} AS DOUBLE)"
        same = f"(NOT ({_NO_EXPONENT}) AND strlen({RAW}) <= 23 AND TRY_CAST(TRY_CAST({RAW} AS {target}) AS DOUBLE) = {double})"
        return _guarded(target, f"({quick}) OR {same}", rf"^\s*[+-]?\d*\.\d{{0,{scale}}}0*\s*$")
    if delta == "date":
        # DuckDB knows the words infinity and epoch as well.
        return _guarded(target, f"strlen({RAW}) <= 10 AND ascii(ltrim({RAW})) BETWEEN 48 AND 57", _MIDNIGHT)
    if delta == "timestamp_ntz":
        return _guarded(target, _SECONDS, _PLAIN_TIME)
    if delta == "timestamp":
        return _guarded(target, _SECONDS, _ZONED_TIME)
    return Cast(f"CAST({RAW} AS {target})", f"TRY_CAST({RAW} AS {target})")


def from_json(delta: str) -> Cast:
    """The cast of a JSON text to a list type; a list within the list, where the type has none, does not fit."""
    target = duckdb_type(delta)
    element = from_text(delta[6:-1]).over("x")
    items = f"from_json({RAW}, '[\"VARCHAR\"]')"
    nested = f"starts_with(ltrim({RAW}), '[[')"
    failing = f"CAST([CAST({RAW} || ' has several dimensions' AS BIGINT)]::VARCHAR[] AS {target})"
    lost = f"len(list_filter({items}, x -> x IS NOT NULL AND ({element.attempt}) IS NULL)) > 0"
    return Cast(
        f"CASE WHEN {nested} THEN {failing} ELSE list_transform({items}, x -> {element.value}) END",
        f"CASE WHEN NOT {nested} AND NOT ({lost}) THEN list_transform({items}, x -> {element.attempt}) END",
    )


def instant(raw: str) -> Cast | None:
    """The cast of a naive time stamp (of DuckDB's type `raw`) that stands for UTC to an instant."""
    return Cast(f"({RAW} AT TIME ZONE 'UTC')", f"({RAW} AT TIME ZONE 'UTC')", sure=True) if raw == "TIMESTAMP" else None


def _guarded(target: str, quick: str, pattern: str) -> Cast:
    """A cast of those texts only that pass the quick test or match the pattern.

    The others are cast with a remark before them that makes the cast fail: so every failure is a ConversionException with the value in
    it. (Behind them it would not: DuckDB takes the first ten letters of a text for a date.)
    """
    fits = f"({quick}) OR regexp_matches({RAW}, '{pattern}')"
    return Cast(
        f"CAST(CASE WHEN {fits} THEN {RAW} ELSE 'does not fit: ' || {RAW} END AS {target})",
        f"CASE WHEN {fits} THEN TRY_CAST({RAW} AS {target}) END",
    )


def _between(raw: str, delta: str) -> Cast | None:
    """Casts between numbers, times and booleans."""
    target = duckdb_type(delta)
    digits = decimal_digits(delta)
    own = decimal_digits(raw.lower())
    through_text = from_text(delta).over(f"CAST({RAW} AS VARCHAR)")
    if raw in _SIZE and delta in _WHOLE:
        return _sure(target) if _holds(raw, target) else _checked(target)
    if raw in _SIZE and digits is not None:
        return _sure(target) if digits[0] - digits[1] >= _DIGITS[raw] else _checked(target)
    if raw in _SIZE and delta in ("double", "float"):
        return _sure(target) if _DIGITS[raw] <= (15 if delta == "double" else 7) else _exactly(raw, target)
    if own is not None and digits is not None:
        if digits[1] < own[1]:
            return through_text
        return _sure(target) if digits[0] - digits[1] >= own[0] - own[1] else _checked(target)
    if own is not None and delta in ("double", "float"):
        return _sure(target)
    if own is not None and delta in _WHOLE:
        return _checked(target) if own[1] == 0 else through_text
    if raw == "FLOAT" and delta == "double":
        return _sure(target)
    if raw == "DOUBLE" and delta == "float":
        return _exactly(raw, target)
    if raw in ("FLOAT", "DOUBLE") and (digits is not None or delta in _WHOLE):
        return through_text
    if raw == "BOOLEAN" and delta in _WHOLE:
        return _sure(target)
    if raw in _SIZE and delta == "boolean":
        return through_text
    if raw == "DATE" and delta == "timestamp_ntz":
        return _sure(target)
    if raw == "DATE" and delta == "timestamp":
        return instant("TIMESTAMP").over(f"CAST({RAW} AS TIMESTAMP)")  # type: ignore[union-attr]
    if raw in ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE") and delta == "date":
        naive = RAW if raw == "TIMESTAMP" else f"({RAW} AT TIME ZONE 'UTC')"
        return from_text(delta).over(f"CAST({naive} AS VARCHAR)")
    if raw == "TIMESTAMP" and delta == "timestamp":
        return instant(raw)
    if raw == "TIMESTAMP WITH TIME ZONE" and delta == "timestamp_ntz":
        return Cast(f"({RAW} AT TIME ZONE 'UTC')", f"({RAW} AT TIME ZONE 'UTC')", sure=True)
    return None


def _list(raw: str, delta: str) -> Cast | None:
    if not (raw.endswith("[]") and delta.startswith("array<")):
        return _sure("VARCHAR") if delta == "string" else None
    inner = cast(raw[:-2], delta[6:-1])
    if inner is None:
        return None
    target = duckdb_type(delta)
    if inner.sure:
        return _sure(target)
    element = inner.over("x")
    # An element that does not fit must reject the whole value, not become null within it.
    lost = f"len(list_filter({RAW}, x -> x IS NOT NULL AND ({element.attempt}) IS NULL)) > 0"
    tried = f"CASE WHEN NOT ({lost}) THEN list_transform({RAW}, x -> {element.attempt}) END"
    return Cast(f"list_transform({RAW}, x -> {element.value})", tried)


def _holds(raw: str, target: str) -> bool:
    """Whether every value of a whole-number type stands in another: UINTEGER in BIGINT, not in INTEGER."""
    return _SIZE[raw] <= _SIZE[target]


def _exactly(raw: str, target: str) -> Cast:
    """A cast that fails where casting back gives another value."""
    same = f"CAST(CAST({RAW} AS {target}) AS {raw}) = {RAW}"
    tried = f"TRY_CAST(TRY_CAST({RAW} AS {target}) AS {raw}) = {RAW}"
    failing = f"CAST('does not fit: ' || CAST({RAW} AS VARCHAR) AS {target})"
    return Cast(
        f"CASE WHEN {RAW} IS NULL THEN NULL WHEN {same} THEN CAST({RAW} AS {target}) ELSE {failing} END",
        f"CASE WHEN {tried} THEN TRY_CAST({RAW} AS {target}) END",
    )


def _sure(target: str) -> Cast:
    return Cast(f"CAST({RAW} AS {target})", f"CAST({RAW} AS {target})", sure=True)


def _checked(target: str) -> Cast:
    return Cast(f"CAST({RAW} AS {target})", f"TRY_CAST({RAW} AS {target})")
