"""What promotions that run have cost already, so that a plan hands out the rest of their budgets and not the whole of them again each day.

What belongs here: the cost of contacts that were made and of redemptions, those seen and those still to come. What does not: the money of a contact
that is yet to be made (`offers`) and the plan that spends what is left (`plan`).

A contact that was made has cost its channel. Where it was redeemed, it has cost the offer too. Where it was not, it may still be: whoever redeems with a
chance p within all days of a promotion, and has not yet, does so with 1 - (1 - p) ^ f in the share f of the days that is left, if every day is alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from plinth.engine import quote
from plinth.promote.columns import numbers
from plinth.promote.offers import PlanTerms, offer_costs, order_values, with_order_values
from plinth.promote.trial import Shop, pair_features

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from plinth.promote.uplift import Uplift

_CONTACTED = """
CREATE OR REPLACE TEMP TABLE plinth_contacted AS
SELECT k.customer_no::BIGINT AS customer_no, k.promotion_id::BIGINT AS promotion_id, k.channel,
       least(coalesce(k.contacted_on, $on::DATE), $on::DATE)::TIMESTAMP AS "at", k.is_redeemed AS redeemed,
       greatest(0, least(1, (p.ends_on - $on::DATE + 1) / (p.ends_on - p.starts_on + 1)))::DOUBLE AS days_left
FROM {contacts} k JOIN {promotions} p ON p.promotion_id = k.promotion_id JOIN plinth_open o ON o.promotion_id = k.promotion_id
WHERE k.trial_group = 'treatment' AND NOT o.is_proposal
"""
# In the order of the features' rows.
_STATES = "SELECT redeemed, days_left FROM plinth_contacted ORDER BY promotion_id, customer_no"


@dataclass(frozen=True)
class Spent:
    """What was spent of a promotion's budget.

    Attributes:
        contacts: that were made.
        redemptions: of them, seen so far.
        cost: of both, and of the redemptions that are still expected, in GBP.
    """

    contacts: int
    redemptions: int
    cost: float


def spent_so_far(
    con: duckdb.DuckDBPyConnection, shop: Shop, uplift: Uplift, offers: pa.Table, terms: PlanTerms, *, on: date
) -> dict[int, Spent]:
    """What the offers that run or are announced have cost by a day, by promotion; those without a contact are left out.

    A repeat that nobody has announced (`is_proposal`) has a budget of its own. A channel that the terms do not price counts as their dearest.

    Args:
        offers: of `offers.plannable_offers`.
    """
    con.register("plinth_open", offers)
    try:
        con.execute(_CONTACTED.format(contacts=quote(shop.contacts), promotions=quote(shop.promotions)), {"on": on})
    finally:
        con.unregister("plinth_open")
    features = pair_features(con, "plinth_contacted", shop)
    if features.num_rows == 0:
        return {}
    states = con.execute(_STATES).to_arrow_table()
    redeemed = np.nan_to_num(numbers(states, "redeemed")) > 0
    later = 1 - (1 - np.clip(uplift.predict(features).redemption, 0, 1)) ** numbers(states, "days_left")
    pairs = with_order_values(features.select(["customer_no", "promotion_id"]), order_values(con, shop.orders, at=on))
    dearest = max(terms.contact_cost.values(), default=0.0)
    contact = np.array([terms.contact_cost.get(channel, dearest) for channel in features["channel"].to_pylist()])
    cost = contact + np.where(redeemed, 1, later) * offer_costs(pairs, offers, terms)
    promotion = pairs["promotion_id"].to_numpy()
    return {
        int(each): Spent(int(of.sum()), int(redeemed[of].sum()), float(cost[of].sum()))
        for each in np.unique(promotion)
        for of in [promotion == each]
    }
