"""The retail protocol as a lakehouse: silver as the declared feature views read it, so that a benchmark asks the store that the models ask.

What belongs here: silver/invoice_lines from the file or a sample, and silver/campaign_contacts without a row, as the data set has no campaigns. What
does not: the protocol's filter and its cut-offs (`retail_protocol`). Sales are the protocol's lines, one for one. Cancellations and what is no goods
stand beside them, of customers only, as features may use them: they happened before the cut-off like the sales.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import ROOT
from benchmarks.retail_protocol import retail_file
from plinth.engine import literal
from plinth.features import load_views, training_set
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.schema import columns_of
from plinth.lakehouse.staging import stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.platform import load_platform
from plinth.promote import labels
from plinth.training.propensity import FEATURE_VIEWS

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_PROFILE = "memory"
"""Of platform.yaml: what a model's training is given."""
_SALES = """
SELECT row_number() OVER () AS line_id, basket AS invoice_no, item AS item_code, 'goods' AS item_kind, 'sale' AS line_type, quantity::INTEGER AS quantity,
    price::DECIMAL(12, 4) AS unit_price, (quantity * price::DECIMAL(12, 4))::DECIMAL(18, 4) AS line_value, time AS invoiced_at, time AS known_at,
    customer::INTEGER AS customer_no FROM lines
"""
_OTHERS = """
SELECT -row_number() OVER () AS line_id, "Invoice" AS invoice_no, upper("StockCode") AS item_code,
    if(regexp_matches(upper("StockCode"), '^[0-9]{{5}}'), 'goods', 'other') AS item_kind,
    if(starts_with(upper("Invoice"), 'C'), 'cancellation', 'adjustment') AS line_type, "Quantity"::INTEGER AS quantity,
    "Price"::DECIMAL(12, 4) AS unit_price, ("Quantity" * "Price"::DECIMAL(12, 4))::DECIMAL(18, 4) AS line_value, "InvoiceDate"::TIMESTAMP AS invoiced_at,
    "InvoiceDate"::TIMESTAMP AS known_at, "Customer ID"::INTEGER AS customer_no
FROM read_parquet({file}) WHERE "Customer ID" IS NOT NULL
    AND NOT (NOT starts_with(upper("Invoice"), 'C') AND "Quantity" > 0 AND "Price" > 0 AND regexp_matches(upper("StockCode"), '^[0-9]{{5}}'))
    AND ("SourceSheet" = (SELECT min("SourceSheet") FROM read_parquet({file}))
         OR "Invoice" NOT IN (SELECT "Invoice" FROM read_parquet({file}) WHERE "SourceSheet" = (SELECT min("SourceSheet") FROM read_parquet({file}))))
"""
_CONTACTS = (
    "SELECT 0::INTEGER AS promotion_id, 0::INTEGER AS customer_no, NULL::DATE AS contacted_on, 'none' AS trial_group, false AS is_redeemed, "
    "NULL::DATE AS redeemed_on, NULL::TIMESTAMP AS known_at WHERE false"
)


def retail_lakehouse(con: duckdb.DuckDBPyConnection, folder: Path, file: Path | None = None) -> Lakehouse:
    """A lakehouse below a folder whose silver holds the table `lines` of the connection.

    Args:
        file: where cancellations and other lines are read too; only the sales are there without it.
    """
    (folder / "platform.yaml").write_text(
        f"zones:\n  on_prem: {{root: {folder}/on_prem}}\n  cloud: {{root: {folder}/cloud}}\n"
        f"stores: {{report: {folder}/report.json, scratch: {folder}/scratch}}\n"
    )
    house = Lakehouse(load_platform(ROOT / "platform.yaml", folder / "platform.yaml"))
    others = "" if file is None else f" UNION ALL {_OTHERS.format(file=literal(str(file)))}"
    tables = {"invoice_lines": f"{_SALES}{others}", "campaign_contacts": _CONTACTS}
    for name, sql in tables.items():
        table, columns = TableId("silver", name), columns_of(con, sql)
        commit(house, table, Write(None, columns, State(data_version=1), stage(con, sql, house.uri_of(table), columns)))
    return house


def retail_examples(con: duckdb.DuckDBPyConnection, house: Lakehouse, cutoffs: Sequence[datetime]) -> pa.Table:
    """Every customer of each cut-off with his label and the features of the declared views, as a propensity's round has them."""
    con.execute("CREATE OR REPLACE TEMP VIEW plinth_known AS SELECT customer, time, time AS known FROM lines")
    rows, views = labels(con, "plinth_known", cutoffs), load_views(ROOT / "feature_views.yaml")
    return training_set(house, views, rows, FEATURE_VIEWS, tables={}, profile=house.platform.profile(_PROFILE))


def file_of(data: Path | None) -> Path:
    """The data set's file, or the one given."""
    return data or retail_file()
