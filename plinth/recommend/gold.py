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

# As booked: gold/interactions leaves out what was cancelled, however much later that came, so at a past moment it would know what nobody knew then. It
# says how far the tables go; whatever they hold was known by then, so that at the newest moment no purchase waits for its correction's time.
_LINES = """
WITH newest AS (SELECT max(bought_at) AS "at" FROM {interactions}), lines AS (
    SELECT line_id, customer_no, invoice_no, item_code, description, unit_price, invoiced_at AS time,
           greatest(invoiced_at, least(coalesce(known_at, invoiced_at), (SELECT "at" FROM newest))) AS known
    FROM {lines} WHERE line_type = 'sale' AND item_kind = 'goods' AND invoiced_at < $at
)
"""
_EVENTS = """
SELECT l.customer_no::BIGINT AS customer, l.invoice_no AS basket, l.item_code AS item, min(l.time) AS time, min(o.country) AS country,
       min(l.known) AS known
FROM lines l LEFT JOIN {orders} o ON o.customer_no = l.customer_no AND o.order_no = l.invoice_no
WHERE l.customer_no IS NOT NULL AND l.known < $at
GROUP BY l.customer_no, l.invoice_no, l.item_code
ORDER BY time, customer, basket, item
"""
# The catalogue has today's text, list price and status alone. They count at a moment that is later than all that the tables hold; at an earlier one
# an item is what its lines said by then. Staff notes have no capital letter.
_ITEMS = """
, booked AS (
    SELECT item_code, median(unit_price)::DOUBLE AS price,
           arg_max(description, (time, line_id)) FILTER (WHERE regexp_matches(description, '[A-Z]')) AS description
    FROM lines WHERE known < $at GROUP BY item_code
)
SELECT c.item_code AS item,
       CASE WHEN n.today THEN coalesce(c.description, b.description) ELSE b.description END AS description,
       coalesce(b.price, CASE WHEN n.today THEN c.list_price END)::DOUBLE AS price,
       coalesce(c.introduced_on <= CAST($at AS DATE), n.today OR b.item_code IS NOT NULL)
           AND NOT (coalesce(c.status, '') = 'discontinued' AND (n.today OR coalesce(c.discontinued_on <= CAST($at AS DATE), false))) AS sellable
FROM {catalog} c LEFT JOIN booked b ON b.item_code = c.item_code, (SELECT coalesce("at" < $at, false) AS today FROM newest) n
ORDER BY c.item_code
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
    """Who bought what in which basket, before a moment and known before it: customer, basket, item, time, country, known.

    A purchase counts as it was booked, also where it was cancelled later. `known` is when its line was taken on as it stands, so that one read serves
    all earlier moments (`train_recommender`, `moved`).

    Args:
        con: a DuckDB with the delta extension.
        lakehouse: where gold lies.
        before: the first moment that is left out.
        versions: what to read (`inputs`); the newest where not given.

    Raises:
        TableMissing: no run has made a table yet.
    """
    read = versions or inputs(lakehouse)
    return _read(con, _EVENTS, read, before)


def items_from_lakehouse(
    con: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    at: datetime,
    *,
    versions: dict[str, TableVersion] | None = None,
) -> pa.Table:
    """The items as they were known at a moment: item, description, price, and sellable: whether one was on sale.

    The price is the median of the lines known by then, and the text that of the newest of them. Text, list price and status of the catalogue, which
    keeps no past, count at a moment after all purchases of the tables; before that an item was on sale until its `discontinued_on`.

    Raises:
        TableMissing: as `events_from_lakehouse`.
    """
    read = versions or inputs(lakehouse)
    return _read(con, _ITEMS, read, at)


def _read(con: duckdb.DuckDBPyConnection, query: str, read: dict[str, TableVersion], at: datetime) -> pa.Table:
    sql = (_LINES + query).format(
        interactions=read[str(INTERACTIONS)].scan,
        lines=read[str(LINES)].scan,
        orders=read[str(ORDERS)].scan,
        catalog=read[str(CATALOG)].scan,
    )
    return con.execute(sql, {"at": at.replace(tzinfo=None)}).to_arrow_table()
