"""Plinth's own settings, which ODCS has no keys for: they stand in `customProperties`.

What belongs here: the names, which of them may stand where, and the parsing of their values. What does not: what follows from them.

    customProperties:
      - {property: mode, value: incremental}
      - {property: lookback, value: P3D}

A custom property without a vendor (or with the vendor `plinth`) is ours and must be known; one of another tool names its vendor.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from enum import Enum
from typing import Any

from open_data_contract_standard.model import CustomProperty

from plinth.contracts.document import At, Document
from plinth.contracts.model import Drift, Mode, Severity
from plinth.contracts.naming import near
from plinth.contracts.types import parse_delta_type

VENDOR = "plinth"


def duration(text: Any) -> timedelta:
    """An ISO 8601 duration of fixed length (weeks, days, hours, minutes, seconds).

    Raises:
        ValueError: it is none, or it counts in months or years, whose length varies.
    """
    match = re.fullmatch(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", str(text))
    if match is None or not any(match.groups()):
        raise ValueError(
            "an ISO 8601 duration of weeks, days, hours, minutes or seconds such as P3D or PT6H is expected"
        )
    weeks, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


def lookback(value: Any) -> timedelta | int:
    """A duration for a time cursor, a whole number for a whole-number cursor."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("a number of 0 or more is expected")
        return value
    try:
        return duration(value)
    except ValueError:
        raise ValueError(
            "an ISO 8601 duration such as P3D, or a whole number for a whole-number cursor, is expected"
        ) from None


def zero_dates(value: Any) -> str:
    """`null`, `quarantine` or an ISO date."""
    if value is None or value in ("null", "quarantine"):
        return str(value or "null")  # YAML reads a bare null as none
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise ValueError("null, quarantine or a date such as 1900-01-01 is expected") from None


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError("a share from 0 to 1 is expected (0.01 is one row in a hundred)")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a name is expected")
    return value


def _one_of(kind: type[Enum]) -> Callable[[Any], Any]:
    def parse(value: Any) -> Enum:
        for member in kind:
            if member.value == value:
                return member
        allowed = [member.value for member in kind]
        raise ValueError(f"one of {', '.join(allowed)} is expected{near(str(value), allowed)}")

    return parse


parse_severity = _one_of(Severity)

TABLE: dict[str, Callable[[Any], Any]] = {
    "mode": _one_of(Mode),
    "cursor": _text,
    "lookback": lookback,
    "reconcileEvery": duration,
    "drift": _one_of(Drift),
    "quarantineShare": _share,
    "historyTolerance": _share,
    "zone": _text,
    "profile": _text,
}
"""The settings of a table, by name, with their parsers."""

CONTRACT = {
    name: TABLE[name] for name in ("reconcileEvery", "drift", "quarantineShare", "historyTolerance", "zone", "profile")
}
"""Those that may also stand at the root of the contract, as the default of its tables."""

COLUMN: dict[str, Callable[[Any], Any]] = {
    "deltaType": lambda value: parse_delta_type(str(value)),
    "zeroDates": zero_dates,
}
"""The settings of a column."""

RELATIONSHIP: dict[str, Callable[[Any], Any]] = {"severity": parse_severity}
"""The settings of a foreign key."""


def read_settings(
    document: Document,
    properties: list[CustomProperty] | None,
    at: At,
    known: dict[str, Callable[[Any], Any]],
) -> dict[str, Any]:
    """Our settings among the custom properties at `at`, parsed; every wrong one is noted as a fault of the document."""
    found: dict[str, Any] = {}
    for index, item in enumerate(properties or ()):
        place = (*at, "customProperties", index)
        if item.vendor not in (None, VENDOR):
            continue
        name = item.property or ""
        if name not in known:
            document.fault(place, _unknown(name, known))
        elif name in found:
            document.fault(place, f"{name} is set twice")
        else:
            try:
                found[name] = known[name](item.value)
            except ValueError as error:
                document.fault((*place, "value"), f"{error}{_found(error, item.value)}")
    return found


def _unknown(name: str, known: dict[str, Any]) -> str:
    elsewhere = [
        kind
        for kind, names in (("a table", TABLE), ("a column", COLUMN), ("a relationship", RELATIONSHIP))
        if name in names
    ]
    hint = f"; it is a setting of {elsewhere[0]}" if elsewhere else near(name, known)
    return (
        f"unknown setting {name!r}; settings here: {', '.join(known) or 'none'}{hint}. "
        "A property of another tool names it as its vendor (`vendor: soda`)"
    )


def _found(error: ValueError, value: Any) -> str:
    return "" if "found" in str(error) else f", found {value!r}"
