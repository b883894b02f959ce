"""Whom a plan may consider for which offer: the pairs, their best channel, and what the models expect of them.

What belongs here: from customers and plannable offers to the table of candidates. What does not: the choice among them (`plan`) and the money (`offers`).

A pair is no candidate where the customer stands in the promotion's trial already: whoever was contacted is not contacted twice, and whoever was held out
stays held out, or the trial would measure nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from plinth.engine import quote
from plinth.promote.offers import Draws, PlanTerms, offer_money, order_values, with_order_values
from plinth.promote.trial import Shop, pair_features

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from plinth.promote.uplift import Uplift

_CHANNELS = {"email": "c.has_email", "sms": "c.has_phone", "post": "true"}
_PAIRS = """
CREATE OR REPLACE TEMP TABLE plinth_candidates AS
SELECT c.customer_no::BIGINT AS customer_no, o.promotion_id::BIGINT AS promotion_id, $at::TIMESTAMP AS "at"
FROM {customers} c CROSS JOIN plinth_offers o
WHERE c.has_marketing_consent AND coalesce(c.is_active, true)
    AND NOT EXISTS (FROM {contacts} k JOIN {promotions} p ON p.promotion_id = k.promotion_id
        WHERE k.customer_no = c.customer_no AND k.promotion_id = o.promotion_id AND p.ends_on >= $on::DATE)
"""
_CHANNEL = """
SELECT n.*, '{channel}' AS channel FROM plinth_candidates n JOIN {customers} c ON c.customer_no = n.customer_no WHERE {reachable}
"""


@dataclass(frozen=True)
class Candidates:
    """The candidates of a plan, one row for each pair of customer and offer.

    Attributes:
        table: customer_no, promotion_id, channel, untreated (the chance to buy without a contact), uplift, redemption, order_value.
        draws: of uplift and redemption, in the table's order.
    """

    table: pa.Table
    draws: Draws


def find_candidates(
    con: duckdb.DuckDBPyConnection, shop: Shop, uplift: Uplift, offers: pa.Table, terms: PlanTerms, *, on: date
) -> Candidates:
    """Every pair of a consenting customer and an offer, by the channel that pays most of those by which the customer can be reached.

    Args:
        shop: its customers need customer_no, birth_year, has_marketing_consent, is_active, has_email and has_phone (silver/customers).
        offers: of `offers.plannable_offers`.
        on: the day of the plan; nothing of that day or later is known.
    """
    con.register("plinth_offers", offers)
    con.execute(_PAIRS.format(**shop.quoted()), {"at": on, "on": on})
    # An offer of a repeat carries its own days; features of the pair read them from here.
    con.execute("CREATE OR REPLACE TEMP TABLE plinth_offer_terms AS FROM plinth_offers")
    values = order_values(con, shop.orders, at=on)
    try:
        tables, draws = [], []
        for channel in sorted(set(_CHANNELS) & set(terms.contact_cost)):
            found = _by_channel(con, shop, uplift, values, channel)
            tables.append(found.table)
            draws.append(found.draws)
        both = (np.hstack([getattr(each, name) for each in draws]) for name in ("uplift", "redemption"))
        return _best(tables, Draws(*both), offers, terms)
    finally:
        con.unregister("plinth_offers")


def _by_channel(
    con: duckdb.DuckDBPyConnection, shop: Shop, uplift: Uplift, values: pa.Table, channel: str
) -> Candidates:
    import pyarrow as pa

    reachable = _CHANNEL.format(channel=channel, customers=quote(shop.customers), reachable=_CHANNELS[channel])
    con.execute(f"CREATE OR REPLACE TEMP TABLE plinth_by_channel AS {reachable}")
    features = pair_features(con, "plinth_by_channel", shop, offers="plinth_offer_terms")
    predicted = uplift.predict(features)
    table = features.select(["customer_no", "promotion_id", "channel"])
    for name in ("untreated", "uplift", "redemption"):
        table = table.append_column(name, pa.array(getattr(predicted, name), pa.float64()))
    return Candidates(with_order_values(table, values), predicted.draws)


def _best(tables: list[pa.Table], draws: Draws, offers: pa.Table, terms: PlanTerms) -> Candidates:
    """Of each pair's channels the one with the highest expected profit."""
    import pyarrow as pa

    every = pa.concat_tables(tables)
    profit = offer_money(every, offers, terms).profit
    customer, promotion = (every[name].to_numpy() for name in ("customer_no", "promotion_id"))
    order = np.lexsort((-profit, customer, promotion))
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (np.diff(customer[order]) != 0) | (np.diff(promotion[order]) != 0)
    chosen = order[first].astype(np.int64)
    return Candidates(every.take(chosen), draws.take(chosen))
