"""What the recommender's benchmarks learn from: Online Retail II by the protocol, a generated log, and the sample with many customers.

The protocol: lines with a customer, no invoice that begins with C, quantity and price above zero, a stock code that begins with five digits,
upper-cased; lines of the second sheet whose invoice stands in the first are dropped. An event is a (customer, invoice, item); `line` is its
first line in the file, which gives the order within an invoice.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.measure import ROOT

TEST = datetime(2011, 11, 11)
VALIDATION = datetime(2011, 10, 14)
_LINES = """
CREATE OR REPLACE TEMP TABLE line AS
WITH cleaned AS (
    SELECT "Customer ID"::BIGINT AS customer, "Invoice"::VARCHAR AS basket, upper("StockCode"::VARCHAR) AS item,
           "InvoiceDate"::TIMESTAMP AS time, "Price"::DOUBLE AS price, "Description" AS description, "Country" AS country,
           "SourceSheet" AS sheet, file_row_number AS line
    FROM read_parquet({file}, file_row_number => true)
    WHERE "Customer ID" IS NOT NULL AND NOT starts_with("Invoice"::VARCHAR, 'C') AND "Quantity" > 0 AND "Price" > 0
      AND regexp_matches("StockCode"::VARCHAR, '^[0-9]{{5}}')
), first AS (SELECT min(sheet) AS sheet FROM cleaned)
SELECT * FROM cleaned
WHERE sheet = (SELECT sheet FROM first)
   OR basket NOT IN (SELECT "Invoice"::VARCHAR FROM read_parquet({file}) WHERE "SourceSheet" = (SELECT sheet FROM first))
"""
_EVENTS = """
SELECT customer, basket, item, min(time) AS time, min(country) AS country, min(line) AS line
FROM line GROUP BY customer, basket, item ORDER BY time, customer, basket, item
"""
# The text and the price as they were known before a moment: a later text would leak.
_ITEMS = """
SELECT item, arg_max(trim(description), time) AS description, median(price) AS price FROM line WHERE time < ? GROUP BY item ORDER BY item
"""


@dataclass(frozen=True)
class Retail:
    """Online Retail II by the protocol: number of lines, the events, and the items as known at the start of the test window."""

    lines: int
    events: pa.Table
    items: pa.Table


def retail_file() -> Path | None:
    """The shared file of Online Retail II: in PLINTH_DATA, or ../shared/data beside the repository; None where it is not."""
    file = Path(os.environ.get("PLINTH_DATA") or ROOT.parent / "shared" / "data") / "online_retail_ii.parquet"
    return file if file.is_file() else None


def read_retail(file: Path, at: datetime = TEST) -> Retail:
    """The data of the protocol; items are described as known before `at`."""
    with duckdb.connect(config={"threads": 2}) as con:
        con.execute(_LINES.format(file=f"'{file}'"))
        lines = con.execute("SELECT count(*) FROM line").fetchone()
        events = con.execute(_EVENTS).to_arrow_table()
        items = con.execute(_ITEMS, [at]).to_arrow_table()
    return Retail(int(lines[0]) if lines else 0, events, items)
