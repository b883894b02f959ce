"""Pairs of a customer and a promotion: what is known of them before the contact, and what came of it.

What belongs here: the features of such a pair, for learning and for planning alike, and the outcome of the pairs of past trials. What does not: models.
Everything is as of the pair's instant `at`, the morning of the contact; nothing of that day or later is a feature, and nothing that became known
then. An outcome is about what came later, so it takes everything that is known today.

Relations are names of tables or views of the connection, with the names of silver and gold:
- pairs: customer_no, promotion_id, channel, at TIMESTAMP.
- contacts (silver/campaign_contacts), promotions (silver/promotions), customers (customer_no, birth_year; gold/customer_360 or silver/customers).
- orders: as `history` says; `booked` makes it of silver/invoice_lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from plinth.engine import quote
from plinth.promote.history import history_features

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

KEYS = (
    "customer",
    "customer_no",
    "promotion_id",
    "at",
    "channel",
    "treated",
    "bought",
    "orders_within",
    "value_within",
    "redeemed",
)

_PAIRS = """
SELECT k.customer_no::BIGINT AS customer_no, k.promotion_id::BIGINT AS promotion_id, k.channel, k.contacted_on::TIMESTAMP AS "at",
       k.trial_group = 'treatment' AS treated, k.is_redeemed AS redeemed, p.starts_on, p.ends_on
FROM {contacts} k JOIN {promotions} p ON p.promotion_id = k.promotion_id
WHERE k.trial_group IN ('treatment', 'control') AND k.contacted_on IS NOT NULL AND p.ends_on < $ended_before::DATE
    AND ($ended_from::DATE IS NULL OR p.ends_on >= $ended_from::DATE)
"""
_OUTCOMES = """
SELECT t.customer_no, t.promotion_id, t.treated, t.redeemed, count(o.time) > 0 AS bought, count(DISTINCT o.time::DATE)::INTEGER AS orders_within,
       coalesce(sum(o.value), 0)::DOUBLE AS value_within
FROM plinth_trial t LEFT JOIN {orders} o ON o.customer = t.customer_no AND o.time::DATE BETWEEN t.starts_on AND t.ends_on AND o.superseded IS NULL
GROUP BY ALL ORDER BY t.promotion_id, t.customer_no
"""
_PAIR_FEATURES = """
WITH past AS (
    SELECT k.customer_no, k.trial_group = 'treatment' AS treated, k.is_redeemed, k.redeemed_on, p.ends_on,
           k.known_at, (SELECT min(o.known) FROM {orders} o WHERE o.customer = k.customer_no AND o.time::DATE BETWEEN p.starts_on AND p.ends_on) AS bought
    FROM {contacts} k JOIN {promotions} p USING (promotion_id)
), response AS (
    SELECT n.customer_no, n.promotion_id, count(c.ends_on) FILTER (c.treated)::DOUBLE AS treated_before,
           count(*) FILTER (c.is_redeemed AND c.redeemed_on < n.at::DATE AND c.known_at < n.at)::DOUBLE AS redeemed_before,
           avg((coalesce(c.bought < n.at, false))::INT) FILTER (c.treated) AS bought_when_treated,
           avg((coalesce(c.bought < n.at, false))::INT) FILTER (NOT c.treated) AS bought_when_held_out
    FROM {pairs} n LEFT JOIN past c ON c.customer_no = n.customer_no AND c.ends_on < n.at::DATE
    GROUP BY n.customer_no, n.promotion_id
)
SELECT n.customer_no::BIGINT AS customer_no, n.promotion_id::BIGINT AS promotion_id, n.at, n.channel, r.* EXCLUDE (customer_no, promotion_id),
       coalesce(p.discount_percent, 0)::DOUBLE AS discount_percent, coalesce(p.discount_amount, 0)::DOUBLE AS discount_amount,
       (p.promotion_type = 'percent_off')::DOUBLE AS is_percent_off, (p.promotion_type = 'free_shipping')::DOUBLE AS is_free_shipping,
       (p.ends_on - p.starts_on + 1)::DOUBLE AS days, (n.channel = 'sms')::DOUBLE AS is_sms, (n.channel = 'post')::DOUBLE AS is_post,
       (year(n.at) - c.birth_year)::DOUBLE AS age, (year(n.at) - c.birth_year) * (n.channel = 'sms')::DOUBLE AS age_by_sms,
       (year(n.at) - c.birth_year) * (n.channel = 'post')::DOUBLE AS age_by_post, h.* EXCLUDE (customer, "at")
FROM {pairs} n JOIN {offers} p ON p.promotion_id = n.promotion_id JOIN response r ON r.customer_no = n.customer_no AND r.promotion_id = n.promotion_id
    LEFT JOIN {customers} c ON c.customer_no = n.customer_no JOIN {history} h ON h.customer = n.customer_no AND h.at = n.at
ORDER BY n.promotion_id, n.customer_no
"""


@dataclass(frozen=True)
class Shop:
    """Where a shop's tables stand in a connection, by name."""

    orders: str = "orders"
    contacts: str = "contacts"
    promotions: str = "promotions"
    customers: str = "customers"

    def quoted(self) -> dict[str, str]:
        return {name: quote(getattr(self, name)) for name in ("orders", "contacts", "promotions", "customers")}


def pair_features(con: duckdb.DuckDBPyConnection, pairs: str, shop: Shop, offers: str | None = None) -> pa.Table:
    """One row for each pair with its features, in the order of promotion and customer.

    Args:
        offers: a table to read the pairs' promotions from in place of the shop's, where a plan has other days than were announced.
    """
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE plinth_pair_points AS SELECT n.customer_no::BIGINT AS customer, n.at FROM {quote(pairs)} n"
    )
    con.register("plinth_pair_history", history_features(con, "plinth_pair_points", shop.orders))
    try:
        sql = _PAIR_FEATURES.format(
            pairs=quote(pairs), history="plinth_pair_history", offers=quote(offers or shop.promotions), **shop.quoted()
        )
        return con.execute(sql).to_arrow_table()
    finally:
        con.unregister("plinth_pair_history")


def trial_rows(
    con: duckdb.DuckDBPyConnection, shop: Shop, *, ended_before: object, ended_from: date | None = None
) -> pa.Table:
    """The pairs of all trials that ended before a day, and where one is given from another day on, with features and outcome.

    Outcome: `treated`, `bought` (an order in the promotion's days), `orders_within` (days with an order), `value_within`, `redeemed`. Both arms count by the same
    days, and whoever was held out has the instant at which the contact would have been.
    """
    con.execute(
        "CREATE OR REPLACE TEMP TABLE plinth_trial AS " + _PAIRS.format(**shop.quoted()),
        {"ended_before": ended_before, "ended_from": ended_from},
    )
    features = pair_features(con, "plinth_trial", shop)
    con.register("plinth_trial_features", features)
    try:
        outcomes = _OUTCOMES.format(orders=quote(shop.orders))
        return con.execute(
            f"SELECT f.*, o.* EXCLUDE (customer_no, promotion_id) FROM plinth_trial_features f JOIN ({outcomes}) o "
            "ON o.customer_no = f.customer_no AND o.promotion_id = f.promotion_id ORDER BY f.promotion_id, f.customer_no"
        ).to_arrow_table()
    finally:
        con.unregister("plinth_trial_features")
