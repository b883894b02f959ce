"""What the recommender learns from, read from the lakehouse.

What belongs here: the SQL over gold and silver that makes the tables of events and items. What does not: learning.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion

if TYPE_CHECKING:
    import duckdb

INTERACTIONS = TableId("gold", "interactions")
ORDERS = TableId("gold", "customer_orders")
CATALOG = TableId("gold", "item_catalog")
LINES = TableId("silver", "invoice_lines")

# gold/interactions has no basket: the line's invoice is in silver, the order's country in gold.
_EVENTS = """
SELECT i.customer_no::BIGINT AS customer, l.invoice_no AS basket, i.item_code AS item, min(i.bought_at) AS time, min(o.country) AS country
FROM {interactions} i
JOIN {lines} l ON l.line_id = i.line_id
LEFT JOIN {orders} o ON o.customer_no = i.customer_no AND o.order_no = l.invoice_no
WHERE i.bought_at < ?
GROUP BY i.customer_no, l.invoice_no, i.item_code
ORDER BY time, customer, basket, item
"""
_ITEMS = """
SELECT item_code AS item, description, coalesce(list_price, average_price)::DOUBLE AS price,
       coalesce(status, '') <> 'discontinued' AND (introduced_on IS NULL OR introduced_on <= CAST(? AS DATE)) AS sellable
FROM {catalog} ORDER BY item_code
"""


def inputs(lakehouse: Lakehouse) -> dict[str, TableVersion]:
    """The versions of the tables that events and items are read from, by `<layer>/<name>`.

    Raises:
        TableMissing: no run has made one of them yet.
    """
    return {str(table): lakehouse.open(table) for table in (INTERACTIONS, LINES, ORDERS, CATALOG)}


def events_from_lakehouse(
    con: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    before: datetime,
    *,
    versions: dict[str, TableVersion] | None = None,
) -> pa.Table:
    """Who bought what in which basket, before a moment: customer, basket, item, time, country.

    Args:
        con: a DuckDB with the delta extension.
        lakehouse: where gold lies.
        before: the first moment that is left out.
        versions: what to read (`inputs`); the newest where not given.

    Raises:
        TableMissing: no run has made a table yet.
    """
    read = versions or inputs(lakehouse)
    sql = _EVENTS.format(
        interactions=read[str(INTERACTIONS)].scan, lines=read[str(LINES)].scan, orders=read[str(ORDERS)].scan
    )
    return con.execute(sql, [before.replace(tzinfo=None)]).to_arrow_table()


def items_from_lakehouse(
    con: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    at: datetime,
    *,
    versions: dict[str, TableVersion] | None = None,
) -> pa.Table:
    """The items: item, description, price, and sellable: whether one is on sale at a moment, as the catalogue says today.

    Raises:
        TableMissing: as `events_from_lakehouse`.
    """
    read = versions or inputs(lakehouse)
    return con.execute(_ITEMS.format(catalog=read[str(CATALOG)].scan), [at.replace(tzinfo=None)]).to_arrow_table()
