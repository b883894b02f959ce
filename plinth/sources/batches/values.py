"""What drivers hand over, as Arrow batches of text and bytes.

What belongs here: one text for each Python value that casts back to exactly the value. What does not: SQL.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def as_text(value: Any) -> str | None:
    """The value as text: digits without exponent for decimals, ISO 8601 for times and durations, JSON for what has parts.

    Raises:
        UnicodeDecodeError: bytes stand where a text was expected, and are no UTF-8.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode()
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=as_text)
    return str(value)


def as_bytes(value: Any) -> bytes | None:
    """The value as bytes."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return str(as_text(value)).encode()


def schema(kinds: Sequence[str]) -> pa.Schema:
    """The Arrow schema for columns that come as `VARCHAR` or `BLOB`."""
    import pyarrow as pa

    fields = {"VARCHAR": pa.string(), "BLOB": pa.binary()}
    return pa.schema([(f"c{index}", fields[kind]) for index, kind in enumerate(kinds)])


def batch(rows: Sequence[Sequence[Any]], kinds: Sequence[str]) -> pa.RecordBatch:
    """One Arrow batch of some rows, at least one."""
    import pyarrow as pa

    target = schema(kinds)
    converters = [as_bytes if kind == "BLOB" else as_text for kind in kinds]
    columns = [list(map(convert, values)) for convert, values in zip(converters, zip(*rows, strict=True), strict=True)]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, target, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=target)


def next_size(made: pa.RecordBatch, target: int, most: int) -> int:
    """How many rows the next batch may have so that it takes about `target` bytes."""
    fitting = target * int(made.num_rows) // max(int(made.nbytes), 1)
    return max(1, min(most, fitting))


def _duration(value: timedelta) -> str:
    sign, value = ("-", -value) if value < timedelta() else ("", value)
    seconds = f"{value.seconds % 60}.{value.microseconds:06d}".rstrip("0").rstrip(".")
    return f"{sign}P{value.days}DT{value.seconds // 3600}H{value.seconds // 60 % 60}M{seconds}S"
