"""Whether a contract fits together: names, keys, cursors and partitions.

What belongs here: what can be told from the contract alone. What does not: the shape of the file (`document`), and what only the
database (`drift`) or the platform (zones, profiles: `plinth.platform`) can tell.
"""

from __future__ import annotations

from collections.abc import Iterable

from plinth.contracts.document import At, Document
from plinth.contracts.model import Column, Mode, Table
from plinth.contracts.naming import NAME, near
from plinth.contracts.sql import column_type
from plinth.contracts.types import decimal_digits

_TIMES = ("date", "timestamp", "timestamp_ntz")
_WHOLE = ("long", "integer", "short", "byte")


def check_contract(document: Document, tables: tuple[Table, ...]) -> None:
    """Notes a fault of the document for everything in it that cannot work."""
    _check_unique(document, [table.name for table in tables], ("schema",), "name", "table")
    physical = [".".join(filter(None, (table.physical_schema, table.physical_name))) for table in tables]
    _check_unique(document, physical, ("schema",), "physicalName", "table")
    for index, table in enumerate(tables):
        at = ("schema", index)
        _check_names(document, table, at)
        _check_cursor(document, table, at)
        _check_partitions(document, table, at)


def _check_names(document: Document, table: Table, at: At) -> None:
    if not table.columns:
        document.fault((*at, "properties"), "at least one column is expected")
    _check_name(document, table.name, at)
    for index, column in enumerate(table.columns):
        _check_name(document, column.name, (*at, "properties", index))
    _check_unique(document, [column.name for column in table.columns], (*at, "properties"), "name", "column")
    _check_unique(
        document,
        [column.physical_name for column in table.columns],
        (*at, "properties"),
        "physicalName",
        "column",
    )


def _check_name(document: Document, name: str, at: At) -> None:
    if not NAME.fullmatch(name):
        rule = "a name of lower-case letters, digits and underscores that begins with a letter is expected"
        document.fault((*at, "name"), f"{rule}, found {name!r}; the legacy system's own name goes into physicalName")


def _check_unique(document: Document, names: Iterable[str], at: At, key: str, what: str) -> None:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in first:
            line = document.line((*at, first[name]))
            document.fault((*at, index, key), f"{name!r} is the {key} of another {what} too, in line {line}")
        first.setdefault(name, index)


def _check_cursor(document: Document, table: Table, at: At) -> None:
    known = [column.name for column in table.columns]
    if table.cursor is not None and table.cursor not in known:
        document.fault(
            _setting(document, at, "cursor"),
            f"there is no column {table.cursor!r}{near(table.cursor, known)}",
        )
        return
    if table.mode is Mode.SNAPSHOT:
        return
    if not table.key:
        document.fault(
            at,
            "mode incremental needs a key: give a column primaryKey: true, or read the table as a snapshot",
        )
    if table.cursor is None:
        document.fault(
            at,
            "mode incremental needs a cursor: name the column of the last change, or read the table as a snapshot",
        )
        return
    kind = _cursor_kind(table.column(table.cursor))
    if kind is None:
        expected = "a date, time stamp or whole number is expected as cursor"
        remedy = "give it a logicalType or deltaType that is one"
        document.fault(
            _setting(document, at, "cursor"),
            f"{expected}, found {column_type(table.column(table.cursor))}: {remedy}",
        )
        return
    stated = _stated(document, at, "lookback")
    if kind == "time" and isinstance(stated, int) and stated != 0:
        document.fault(
            _setting(document, at, "lookback"),
            f"the cursor is a time: a duration such as P3D is expected, found {stated}",
        )
    if kind == "number" and isinstance(stated, str):
        document.fault(
            _setting(document, at, "lookback"),
            f"the cursor is a number: a whole number is expected, found {stated!r}",
        )


def _cursor_kind(column: Column) -> str | None:
    kind = column_type(column)
    digits = decimal_digits(kind)
    if kind in _TIMES:
        return "time"
    return "number" if kind in _WHOLE or (digits is not None and digits[1] == 0) else None


def _check_partitions(document: Document, table: Table, at: At) -> None:
    """A partition by a fraction or bytes would make a folder for nearly every row, and Delta writes its value as text."""
    for index, column in enumerate(table.columns):
        kind = column_type(column)
        if column.name in table.partition_by and kind in (
            "float",
            "double",
            "binary",
            "timestamp",
            "timestamp_ntz",
        ):
            expected = "a date, whole number or text of few values is expected as partition"
            document.fault((*at, "properties", index, "partitioned"), f"{expected}, found {kind}")
    if len(table.partition_by) == len(table.columns) and table.columns:
        document.fault(at, "a table needs a column besides those it is partitioned by")


def _properties(document: Document, at: At) -> list[dict[str, object]]:
    table = document.values["schema"][at[1]]
    return table.get("customProperties") or []


def _setting(document: Document, at: At, name: str) -> At:
    """The place of a setting's value."""
    for index, item in enumerate(_properties(document, at)):
        if item.get("property") == name:
            return (*at, "customProperties", index, "value")
    return at


def _stated(document: Document, at: At, name: str) -> object:
    """The value of a setting as it was written, before it was parsed."""
    return next((item.get("value") for item in _properties(document, at) if item.get("property") == name), None)
