"""Lines and orders as they were booked, and the rows of the trials, read from the lakehouse.

What belongs here: what the models of promotions read of silver at pinned versions. What does not: learning, and the plan's inputs (`plinth.serving`).

Everything is as it was on the day: silver/invoice_lines keeps a sale as it was booked, and its cancellation as a line of its own time. Gold takes what
was cancelled off the sale, however much later that came, so a feature of gold would know at a cut-off what nobody knew then. The feature views read
the same rows for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from plinth.engine import quote
from plinth.lakehouse.tables import TableId, TableVersion
from plinth.promote.trial import Shop, trial_rows

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

INVOICE_LINES = TableId("silver", "invoice_lines")
LINES = """
SELECT customer_no::BIGINT AS customer, invoice_no AS basket, item_code AS item, invoiced_at AS time, known_at AS known, quantity, unit_price AS price
FROM {scan} WHERE line_type = 'sale' AND item_kind = 'goods' AND customer_no IS NOT NULL
"""
# The sum is of decimals, so that it does not depend on the order of the rows. An item counts from its first line on.
ORDERS = """
WITH sold AS MATERIALIZED (SELECT customer, basket, item, time, known, quantity, price FROM {lines}),
parts AS (
    SELECT customer, basket, known, min(time) AS time, count(*) AS lines, sum(quantity) AS units, sum(quantity * price) AS value
    FROM sold GROUP BY customer, basket, known
), fresh AS (
    SELECT customer, basket, known, count(*) AS items
    FROM (SELECT customer, basket, item, min(known) AS known FROM sold GROUP BY customer, basket, item) GROUP BY customer, basket, known
)
SELECT p.customer, p.basket, min(p.time) OVER w AS time, p.known, lead(p.known) OVER (PARTITION BY p.customer, p.basket ORDER BY p.known) AS superseded,
       sum(p.lines) OVER w AS lines, sum(coalesce(f.items, 0)) OVER w AS items, (sum(p.units) OVER w)::BIGINT AS units, (sum(p.value) OVER w)::DOUBLE AS value
FROM parts p LEFT JOIN fresh f ON f.customer = p.customer AND f.basket = p.basket AND f.known = p.known
WINDOW w AS (PARTITION BY p.customer, p.basket ORDER BY p.known ROWS UNBOUNDED PRECEDING)
"""
_SHOP = Shop("plinth_orders", "plinth_contacts", "plinth_promotions", "plinth_customers")


def make_lines(con: duckdb.DuckDBPyConnection, name: str, scan: str) -> None:
    """Makes a temporary table of the goods that customers bought, as they were booked: customer, basket, item, time, known, quantity, price.

    Args:
        scan: what to read silver/invoice_lines by.
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE {quote(name)} AS {LINES.format(scan=scan)}")


def make_orders(con: duckdb.DuckDBPyConnection, name: str, lines: str) -> None:
    """Makes a temporary table of the orders of such lines, as `history` wants them. It is read several times, so it is no view.

    An order has a row for each instant at which lines of it became known, which holds until the next one: most have one row.
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE {quote(name)} AS {ORDERS.format(lines=lines)}")


def trials(
    con: duckdb.DuckDBPyConnection, versions: Mapping[str, TableVersion], *, ended_from: date | None = None
) -> pa.Table:
    """The rows of all trials that ended by the day of the last order, for `train_uplift`.

    Orders of the last days that are booked late are not in the tables yet; they count in the next round.

    Args:
        con: a DuckDB with the delta extension.
        versions: of silver/invoice_lines, silver/campaign_contacts, silver/promotions and silver/customers, by name.
        ended_from: only those that ended on this day or later.
    """
    make_orders(con, _SHOP.orders, f"({LINES.format(scan=versions[str(INVOICE_LINES)].scan)})")
    for name, table in (
        (_SHOP.contacts, "silver/campaign_contacts"),
        (_SHOP.promotions, "silver/promotions"),
        (_SHOP.customers, "silver/customers"),
    ):
        con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM {versions[table].scan}")
    last = con.execute(f"SELECT max(time)::DATE + 1 FROM {_SHOP.orders}").fetchone()
    return trial_rows(con, _SHOP, ended_before=last[0] if last else None, ended_from=ended_from)
