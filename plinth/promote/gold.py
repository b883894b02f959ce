"""What the promotion models and the plan read from the lakehouse, at pinned versions.

What belongs here: the views over silver and gold, and the three pieces of work that assets ask for: examples of a propensity, rows of the trials, and the plan
of a day. What does not: learning and planning themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.promote.candidates import find_candidates
from plinth.promote.offers import PlanTerms, margin_share, plannable_offers
from plinth.promote.plan import PromotionPlan, plan_promotions
from plinth.promote.trial import GOLD_ORDERS, Shop, trial_rows

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from plinth.promote.uplift import Uplift

ORDERS = TableId("gold", "customer_orders")
CATALOG = TableId("gold", "item_catalog")
CONTACTS = TableId("silver", "campaign_contacts")
PROMOTIONS = TableId("silver", "promotions")
CUSTOMERS = TableId("silver", "customers")
TRIAL_INPUTS = (ORDERS, CONTACTS, PROMOTIONS, CUSTOMERS)
PLAN_INPUTS = (*TRIAL_INPUTS, CATALOG)
_CATALOG_VIEW = "plinth_catalog"


def versions_of(lakehouse: Lakehouse, tables: tuple[TableId, ...]) -> dict[str, TableVersion]:
    """The newest version of each table, by `<layer>/<name>`.

    Raises:
        TableMissing: no run has made one of them yet.
    """
    return {str(table): lakehouse.open(table) for table in tables}


def open_shop(con: duckdb.DuckDBPyConnection, versions: Mapping[str, TableVersion]) -> Shop:
    """Makes views over the versions that are given, in a connection with the delta extension."""
    shop = Shop("plinth_orders", "plinth_contacts", "plinth_promotions", "plinth_customers")
    for name, table in (
        (shop.contacts, CONTACTS),
        (shop.promotions, PROMOTIONS),
        (shop.customers, CUSTOMERS),
        (_CATALOG_VIEW, CATALOG),
    ):
        if str(table) in versions:
            con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM {versions[str(table)].scan}")
    con.execute(f"CREATE OR REPLACE TEMP TABLE {shop.orders} AS {GOLD_ORDERS.format(scan=versions[str(ORDERS)].scan)}")
    return shop


def first_day_after(con: duckdb.DuckDBPyConnection, shop: Shop) -> date:
    """The day after the last order: what is planned or asked about begins there.

    Late bookings of the last days are not in the tables yet; those of a trial that ended within them come with the next round.
    """
    row = con.execute(f"SELECT max(time)::DATE + 1 FROM {shop.orders}").fetchone()
    return row[0] if row is not None and row[0] is not None else datetime.min.date()


def trials(con: duckdb.DuckDBPyConnection, versions: Mapping[str, TableVersion]) -> pa.Table:
    """The rows of all trials that have ended, for `train_uplift`."""
    shop = open_shop(con, versions)
    return trial_rows(con, shop, ended_before=first_day_after(con, shop))


def plan_of_day(
    con: duckdb.DuckDBPyConnection,
    versions: Mapping[str, TableVersion],
    uplift: Uplift,
    *,
    terms: PlanTerms | None = None,
    on: date | None = None,
    seed: int = 0,
) -> PromotionPlan:
    """The plan of a day, by default of the day after the last order.

    Args:
        versions: of `PLAN_INPUTS`.
        terms: the company's; by default `PlanTerms()` with the margin that the catalogue shows.
    """
    shop = open_shop(con, versions)
    on = on or first_day_after(con, shop)
    if terms is None:
        known = margin_share(con, _CATALOG_VIEW)
        terms = PlanTerms() if known is None else replace(PlanTerms(), margin=known)
    offers = plannable_offers(con, shop.promotions, on=on)
    candidates = find_candidates(con, shop, uplift, offers, terms, on=on)
    customers = con.execute(
        f"SELECT customer_no, has_marketing_consent, is_active FROM {shop.customers}"
    ).to_arrow_table()
    contacts = con.execute(
        f"SELECT customer_no, contacted_on FROM {shop.contacts} WHERE trial_group = 'treatment' AND contacted_on IS NOT NULL"
    ).to_arrow_table()
    return plan_promotions(
        candidates.table, offers, customers, on=on, terms=terms, contacts=contacts, draws=candidates.draws, seed=seed
    )
