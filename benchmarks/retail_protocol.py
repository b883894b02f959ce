"""Online Retail II as the benchmarks of the AI product read it: one filter, checked against its known counts, and the cut-offs.

What belongs here: which lines count, the cut-offs of training, validation and test, and the small form on the sample. What does not: models and
measures. The filter: lines with a customer, no `C` invoice, quantity and price above zero, a stock code that begins with five digits, upper-cased;
lines of the second sheet whose invoice stands in the first are dropped. 788,187 lines, 5,852 customers, 4,619 items and 36,594 invoices remain.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import ROOT
from plinth.engine import literal

if TYPE_CHECKING:
    import duckdb

VALIDATION = datetime(2011, 10, 14)
TEST = datetime(2011, 11, 11)
WINDOW = timedelta(days=28)
KNOWN = "https://doi.org/10.24432/C5CG6D (UCI 502, CC BY 4.0)"

_LINES = """
CREATE OR REPLACE TABLE lines AS
WITH booked AS (
    SELECT "Customer ID" AS customer, "Invoice" AS basket, upper("StockCode") AS item, "InvoiceDate" AS time, "Quantity" AS quantity,
           "Price" AS price, "Description" AS description, "Country" AS country, "SourceSheet" AS sheet,
           file_row_number AS line
    FROM read_parquet({file}, file_row_number => true)
), first_sheet AS (
    SELECT DISTINCT basket FROM booked WHERE sheet = (SELECT min(sheet) FROM booked)
)
SELECT customer::BIGINT AS customer, basket, item, time, quantity, price::DOUBLE AS price, trim(description) AS description, country,
    line
FROM booked
WHERE customer IS NOT NULL AND NOT starts_with(upper(basket), 'C') AND quantity > 0 AND price > 0
    AND regexp_matches(item, '^[0-9]{{5}}')
    AND (sheet = (SELECT min(sheet) FROM booked) OR basket NOT IN (FROM first_sheet))
ORDER BY time, basket, item, quantity, price
"""


class ProtocolError(RuntimeError):
    """The file is not Online Retail II as it is published, or it cannot be found."""


@dataclass(frozen=True)
class Counts:
    """What stands in a table of lines."""

    lines: int
    customers: int
    items: int
    invoices: int


PUBLISHED = Counts(lines=788_187, customers=5_852, items=4_619, invoices=36_594)


def retail_file() -> Path:
    """Where the data set is looked for: in PLINTH_DATA, or ../shared/data beside the repository."""
    return Path(os.environ.get("PLINTH_DATA") or ROOT.parent / "shared" / "data") / "online_retail_ii.parquet"


def load_lines(con: duckdb.DuckDBPyConnection, path: str | Path | None = None) -> Counts:
    """Makes the table `lines` (customer, basket, item, time, quantity, price, description, country, line) of the filtered file, in order of time;
    `line` is the line's place in the file, which gives the order within an invoice.

    Raises:
        ProtocolError: there is no such file, or what is left of it is not what the protocol says.
    """
    file = Path(path) if path is not None else retail_file()
    if not file.is_file():
        raise ProtocolError(f"no file {file}: give its path, or set PLINTH_DATA to its folder; the data set is {KNOWN}")
    con.execute(_LINES.format(file=literal(str(file))))
    counts = count_lines(con)
    if counts != PUBLISHED:
        raise ProtocolError(f"{file} leaves {counts}, but the protocol says {PUBLISHED}")
    return counts


def count_lines(con: duckdb.DuckDBPyConnection) -> Counts:
    """Counts the table `lines`."""
    row = con.execute(
        "SELECT count(*), count(DISTINCT customer), count(DISTINCT item), count(DISTINCT basket) FROM lines"
    ).fetchone()
    assert row is not None
    return Counts(*row)


def load_sample_lines(
    con: duckdb.DuckDBPyConnection, folder: Path, *, customers: int = 400, days: int = 540
) -> datetime:
    """Makes the table `lines` of a generated sample, for the quick form of a benchmark; gives the end of the data.

    The sample's dirt is filtered by the same rule; its invoices know no second sheet.
    """
    from plinth.engine import load_extension
    from plinth.sample import SampleSpec, write_sample

    database = folder / "sample.sqlite"
    write_sample(f"sqlite:///{database}", SampleSpec(customers=customers, days=days))
    load_extension(con, "sqlite_scanner")
    con.execute(f"ATTACH {literal(str(database))} AS sample (TYPE sqlite, READ_ONLY)")
    con.execute(
        'CREATE OR REPLACE TABLE lines AS SELECT l."CUSTNO"::BIGINT AS customer, l."INVNO" AS basket, upper(trim(l."ITEMNO")) AS item, '
        'l."INVTS"::TIMESTAMP AS time, l."QTY" AS quantity, l."UNITPR"::DOUBLE AS price, trim(l."DESCR") AS description, '
        'l."CNTRY" AS country FROM sample."INVLINE" l WHERE l."CUSTNO" IS NOT NULL AND NOT starts_with(upper(l."INVNO"), \'C\') '
        'AND l."QTY" > 0 AND l."UNITPR" > 0 AND regexp_matches(upper(trim(l."ITEMNO")), \'^[0-9]{5}\') ORDER BY time, basket, item, quantity, price'
    )
    row = con.execute("SELECT max(time)::DATE + 1 FROM lines").fetchone()
    con.execute("DETACH sample")
    assert row is not None
    return datetime.combine(row[0], datetime.min.time())
