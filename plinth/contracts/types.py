"""Delta's types as text, and which of them holds every value of another.

What belongs here: parsing a `deltaType` and the order of widening. What does not: the type names of legacy databases (`physical`).
The widening pairs are those of the Delta protocol's feature "Type Widening" (byte to long, float to double, whole numbers to double or
decimal where all values fit, decimal growth, date to timestamp_ntz); long to double is not among them, as it loses digits beyond 2^53.
"""

from __future__ import annotations

import re

PRIMITIVES = (
    "string", "long", "integer", "short", "byte", "float", "double", "boolean", "binary", "date", "timestamp", "timestamp_ntz",
)  # fmt: skip

_WHOLE = {"byte": 3, "short": 5, "integer": 10, "long": 20}
"""Whole-number types, from narrow to wide, with the decimal digits that hold them (long: 20, as the Delta protocol has it)."""

_ALIASES = {
    "int": "integer", "int32": "integer", "int4": "integer", "bigint": "long", "int64": "long", "int8": "long", "smallint": "short",
    "int16": "short", "int2": "short", "tinyint": "byte", "text": "string", "varchar": "string", "char": "string", "str": "string",
    "bool": "boolean", "real": "float", "float32": "float", "float64": "double", "double precision": "double", "blob": "binary",
    "bytes": "binary", "bytea": "binary", "datetime": "timestamp_ntz", "timestampntz": "timestamp_ntz", "timestamp without time zone":
    "timestamp_ntz", "timestamptz": "timestamp", "timestamp with time zone": "timestamp", "number": "decimal(38,0)",
    "numeric": "decimal(38,0)", "decimal": "decimal(38,0)",
}  # fmt: skip


def parse_delta_type(text: str) -> str:
    """The Delta type in its one spelling, such as `long` or `decimal(12,4)`.

    Raises:
        ValueError: it is none; the message says which are and which one was probably meant.
    """
    name = " ".join(text.lower().split())
    if name in PRIMITIVES:
        return name
    if name.startswith("array<") and name.endswith(">"):
        return f"array<{parse_delta_type(name[6:-1])}>"
    digits = decimal_digits(name)
    if digits is not None:
        precision, scale = digits
        if not 1 <= precision <= 38 or scale > precision:
            raise ValueError(f"a decimal has 1 to 38 digits, and no more places than digits; found {text!r}")
        return f"decimal({precision},{scale})"
    base = re.sub(r"\(.*", "", name).strip()
    meant = _ALIASES.get(base)
    hint = f" (did you mean {meant!r}?)" if meant else ""
    raise ValueError(
        f"a Delta type is expected, one of {', '.join(PRIMITIVES)}, decimal(p,s), array<…>; found {text!r}{hint}"
    )


def decimal_digits(delta_type: str) -> tuple[int, int] | None:
    """Precision and scale of `decimal(p,s)`, None for any other type."""
    match = re.fullmatch(r"decimal\((\d+)(?:, ?(\d+))?\)", delta_type)
    return (int(match.group(1)), int(match.group(2) or 0)) if match else None


def widens(old: str, new: str) -> bool:
    """Whether every value of the Delta type `old` stands unchanged in `new` (True for equal types).

    Lengths such as `varchar(20)` are understood too, though Delta's own text has none: a longer one widens a shorter one, and
    `string` widens them all.
    """
    if old == new:
        return True
    if old.startswith("array<") and new.startswith("array<"):
        return widens(old[6:-1], new[6:-1])
    old_length, new_length = _text_length(old), _text_length(new)
    if old_length is not None and new_length is not None:
        return new_length >= old_length
    if old in _WHOLE:
        return _whole_widens(old, new)
    was, becomes = decimal_digits(old), decimal_digits(new)
    if was is not None and becomes is not None:
        return becomes[1] >= was[1] and becomes[0] - becomes[1] >= was[0] - was[1]
    return (old, new) in {("float", "double"), ("date", "timestamp_ntz")}


def _whole_widens(old: str, new: str) -> bool:
    if new in _WHOLE:
        return _WHOLE[new] > _WHOLE[old]
    if new == "double":
        return old != "long"
    becomes = decimal_digits(new)
    return becomes is not None and becomes[0] - becomes[1] >= _WHOLE[old]


def _text_length(delta_type: str) -> float | None:
    if delta_type == "string":
        return float("inf")
    match = re.fullmatch(r"(?:var)?char\((\d+)\)", delta_type)
    return int(match.group(1)) if match else None
