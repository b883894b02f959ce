"""Values of a contract as DuckDB SQL text, for its rules.

What belongs here: the type in which a column is compared, and literals of that type. What does not: quoting (`plinth.engine`).
"""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from plinth.contracts.model import Column
from plinth.contracts.physical import parse_physical_type
from plinth.contracts.types import decimal_digits
from plinth.engine import literal

_BY_LOGICAL = {
    "date": "date",
    "timestamp": "timestamp_ntz",
    "integer": "long",
    "number": "double",
    "boolean": "boolean",
    "time": "string",
}


def column_type(column: Column) -> str:
    """The Delta type in which a column's values are compared: its own where the contract fixes it, else what its physical or, failing
    that, its logical type makes of it. What can't be known is compared as text."""
    if column.delta_type is not None:
        return column.delta_type
    if column.physical_type is not None:
        physical = parse_physical_type(column.physical_type)
        if physical.delta is not None and column.logical_type in (None, physical.logical):
            return physical.delta
    return _BY_LOGICAL.get(column.logical_type or "", "string")


def typed_literal(value: Any, delta_type: str) -> str:
    """A value of the contract as SQL, of the type that a column of `delta_type` is compared with.

    Raises:
        ValueError: the value is not of that type; the message says what is expected.
    """
    if delta_type == "date":
        return f"DATE '{_day(value).isoformat()}'"
    if delta_type in ("timestamp", "timestamp_ntz"):
        return _timestamp(_moment(value), delta_type)
    if delta_type == "boolean":
        if not isinstance(value, bool):
            raise ValueError(f"true or false is expected, found {value!r}")
        return "true" if value else "false"
    if delta_type in ("long", "integer", "short", "byte", "float", "double") or decimal_digits(delta_type):
        return _number(value)
    if isinstance(value, bool) or value is None:
        raise ValueError(
            f"text is expected, found {value!r}: quote it (YAML reads no, off, yes, on, null and ~ as something else)"
        )
    return literal(str(value))


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"a number is expected, found {value!r}")
    # Plain digits: DuckDB takes 1e-05 for a DOUBLE, and would compare a decimal column as double.
    return format(Decimal(repr(value)), "f")


def _day(value: Any) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"a date such as 2000-01-31 is expected, found {value!r}") from None


def _moment(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"a time stamp such as 2000-01-31T08:00:00 is expected, found {value!r}") from None


def _timestamp(moment: datetime, delta_type: str) -> str:
    text = moment.isoformat(sep=" ")
    if delta_type == "timestamp":
        return f"TIMESTAMPTZ '{text}'" if moment.tzinfo else f"TIMESTAMPTZ '{text}+00:00'"
    if moment.tzinfo:
        raise ValueError(f"a time stamp without zone is expected for a timestamp_ntz column, found {text!r}")
    return f"TIMESTAMP '{text}'"
