"""What the recommender's benchmarks learn from: the events and items of Online Retail II by its protocol (`retail_protocol`).

An event is a (customer, invoice, item); `line` is its first line in the file, which gives the order within an invoice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.retail_protocol import TEST, load_lines

_EVENTS = """
SELECT customer, basket, item, min(time) AS time, min(country) AS country, min(line) AS line
FROM lines GROUP BY customer, basket, item ORDER BY time, customer, basket, item
"""
# The text and the price as they were known before a moment: a later text would leak.
_ITEMS = """
SELECT item, arg_max(description, time) AS description, median(price) AS price FROM lines WHERE time < ? GROUP BY item ORDER BY item
"""


@dataclass(frozen=True)
class Retail:
    """Online Retail II by the protocol: number of lines, the events, and the items as known at the start of the test window."""

    lines: int
    events: pa.Table
    items: pa.Table


def read_retail(file: Path, at: datetime = TEST) -> Retail:
    """The data of the protocol; items are described as known before `at`.

    Raises:
        ProtocolError: there is no such file, or what is left of it is not what the protocol says.
    """
    with duckdb.connect(config={"threads": 2}) as con:
        lines = load_lines(con, file).lines
        events = con.execute(_EVENTS).to_arrow_table()
        items = con.execute(_ITEMS, [at]).to_arrow_table()
    return Retail(lines, events, items)
