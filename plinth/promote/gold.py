"""What the uplift learns from, read from the lakehouse.

What belongs here: the rows of the trials out of silver and gold at pinned versions. What does not: learning, and the plan's inputs (`plinth.serving`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plinth.lakehouse.tables import TableVersion
from plinth.promote.trial import GOLD_ORDERS, Shop, trial_rows

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_SHOP = Shop("plinth_orders", "plinth_contacts", "plinth_promotions", "plinth_customers")


def trials(con: duckdb.DuckDBPyConnection, versions: Mapping[str, TableVersion]) -> pa.Table:
    """The rows of all trials that ended by the day of the last order, for `train_uplift`.

    Orders of the last days that are booked late are not in the tables yet; they count in the next round.

    Args:
        con: a DuckDB with the delta extension.
        versions: of gold/customer_orders, silver/campaign_contacts, silver/promotions and silver/customers, by name.
    """
    sources = {
        _SHOP.orders: GOLD_ORDERS.format(scan=versions["gold/customer_orders"].scan),
        _SHOP.contacts: f"FROM {versions['silver/campaign_contacts'].scan}",
        _SHOP.promotions: f"FROM {versions['silver/promotions'].scan}",
        _SHOP.customers: f"FROM {versions['silver/customers'].scan}",
    }
    for name, sql in sources.items():
        # Each is read several times: as tables they are read from Delta once.
        con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")
    last = con.execute(f"SELECT max(time)::DATE + 1 FROM {_SHOP.orders}").fetchone()
    return trial_rows(con, _SHOP, ended_before=last[0] if last else None)
