"""What a contact is worth and what it spends: from uplift, redemption and order value to expected profit and expected cost.

What belongs here: the terms of a plan, the money of an offer, the customer's expected order, the offers that can be planned. What does not: which
contacts are chosen (`plan`).

Expected profit of a contact = uplift x order value x margin - redemption x cost of the offer - cost of the contact. The offer is redeemed by those
who would have come anyway too, which is why a contact of a sure buyer loses money. Its cost to the budget is the last two terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from plinth.engine import quote
from plinth.promote.columns import Array, Places, numbers, require
from plinth.promote.errors import PlanImpossible
from plinth.promote.history import KNOWN_AT
from plinth.promotion_settings import CONTACT_COST

if TYPE_CHECKING:
    from datetime import date

    import duckdb
    import pyarrow as pa

    from plinth.promotion_settings import Promotions

_CANDIDATES = ("customer_no", "promotion_id", "channel", "uplift", "redemption", "order_value")


@dataclass(frozen=True)
class PlanTerms:
    """What the company allows and what things cost it, in GBP.

    Attributes:
        margin: share of an order's value that is left after the goods are paid; `margin_share` reads it from the catalogue.
        contact_cost: one contact, by channel.
        shipping_cost: what free shipping costs when it is redeemed.
        contact_limit: contacts that a customer may get within any `contact_period_days`, those already made included. With more than one, the
            uplifts of offers that overlap are added up, which flatters them: one offer takes from the other.
        total_budget: what all promotions together may cost; none where only each one's own budget counts.
        propose_repeats: whether `plannable_offers` repeats ended promotions where none runs or is announced.
    """

    margin: float = 0.4
    contact_cost: Mapping[str, float] = field(
        default_factory=lambda: {str(name): cost for name, cost in CONTACT_COST.items()}
    )
    shipping_cost: float = 4.5
    contact_limit: int = 1
    contact_period_days: int = 21
    total_budget: float | None = None
    propose_repeats: bool = True

    @classmethod
    def of(cls, settings: Promotions, margin: float | None) -> PlanTerms:
        """The terms of `platform.yaml`; a margin that it leaves open is the catalogue's, where that knows one."""
        given = settings.model_dump()
        if given["margin"] is None:
            given["margin"] = margin if margin is not None else cls.margin
        return cls(**given)

    def __post_init__(self) -> None:
        wrong = [
            name
            for name, right in (
                ("margin", 0 <= self.margin <= 1),
                ("contact_cost", all(value >= 0 for value in self.contact_cost.values())),
                ("shipping_cost", self.shipping_cost >= 0),
                ("contact_limit", self.contact_limit >= 0),
                ("contact_period_days", self.contact_period_days >= 1),
                ("total_budget", self.total_budget is None or self.total_budget >= 0),
            )
            if not right
        ]
        if wrong:
            raise PlanImpossible(
                "a term of the plan is out of its range",
                expected="amounts of 0 or more, a margin of 0 to 1",
                found=", ".join(wrong),
            )


@dataclass(frozen=True)
class OfferMoney:
    """For each candidate: expected margin that it brings, expected cost to the budget, and their difference."""

    gain: Array
    cost: Array

    @property
    def profit(self) -> Array:
        return self.gain - self.cost


@dataclass(frozen=True)
class Draws:
    """Uplift and redemption of each candidate (columns) in draws of their distribution (rows)."""

    uplift: Array
    redemption: Array

    def take(self, chosen: Places) -> Draws:
        """Those of some candidates, by place."""
        return Draws(self.uplift[:, chosen], self.redemption[:, chosen])


def offer_money(
    candidates: pa.Table,
    promotions: pa.Table,
    terms: PlanTerms,
    uplift: Array | None = None,
    redemption: Array | None = None,
) -> OfferMoney:
    """The money of each candidate.

    Args:
        candidates: customer_no, promotion_id, channel, uplift, redemption, order_value.
        promotions: promotion_id, promotion_type, discount_percent, discount_amount, minimum_value (null for none).
        uplift, redemption: others than the candidates' own, such as one draw of their distribution.

    Raises:
        PlanImpossible: a column, a promotion or the cost of a channel is missing.
    """
    _complete(candidates, promotions, terms)
    value = np.maximum(numbers(candidates, "order_value"), 0)
    contact = np.array([terms.contact_cost[channel] for channel in candidates["channel"].to_pylist()], dtype=np.float64)
    effect = numbers(candidates, "uplift") if uplift is None else uplift
    redeemed = numbers(candidates, "redemption") if redemption is None else redemption
    return OfferMoney(effect * value * terms.margin, redeemed * offer_costs(candidates, promotions, terms) + contact)


def offer_costs(pairs: pa.Table, promotions: pa.Table, terms: PlanTerms) -> Array:
    """What the offer of each pair costs when it is redeemed with the customer's expected order; nothing where that is below its minimum.

    Args:
        pairs: promotion_id, order_value; every promotion is in the other table.
    """
    value = np.maximum(numbers(pairs, "order_value"), 0)
    place = {number: row for row, number in enumerate(promotions["promotion_id"].to_pylist())}
    of_row = np.array([place[number] for number in pairs["promotion_id"].to_pylist()], dtype=np.int64)
    names = ("discount_percent", "discount_amount", "minimum_value")
    percent, amount, least = (np.nan_to_num(numbers(promotions, name))[of_row] for name in names)
    shipping = np.array([name == "free_shipping" for name in promotions["promotion_type"].to_pylist()])[of_row]
    full = value * percent / 100 + np.minimum(amount, value) + shipping * terms.shipping_cost
    return np.where(value >= least, full, 0.0)


def order_values(con: duckdb.DuckDBPyConnection, orders: str, *, at: object, weight: float = 3.0) -> pa.Table:
    """The expected value of each customer's next order, from what was known of his orders at the instant.

    The mean of the logarithms, leaning on that of all customers as if `weight` more orders were seen, and half of the spread within customers on top, as
    for log-normal values: single orders of thousands of pieces do not carry it away.

    Returns:
        customer_no, order_value.
    """
    return con.execute(
        f"""WITH seen AS (SELECT o.customer, ln(1 + greatest(o.value, 0)) AS size FROM {quote(orders)} o WHERE {KNOWN_AT.format(order="o", at="$at")}),
        own AS (SELECT customer, count(*) AS orders, avg(size) AS size, var_pop(size) * count(*) AS spread FROM seen GROUP BY customer),
        shop AS (SELECT avg(size) AS size, sum(spread) / nullif(sum(orders - 1), 0) AS spread FROM own)
        SELECT c.customer AS customer_no,
               exp((c.size * c.orders + $weight * s.size) / (c.orders + $weight) + coalesce(s.spread, 0) / 2) - 1 AS order_value
        FROM own c, shop s ORDER BY c.customer""",
        {"at": at, "weight": weight},
    ).to_arrow_table()


def with_order_values(table: pa.Table, values: pa.Table) -> pa.Table:
    """The expected order value beside each customer_no; who never ordered is worth what half of all customers are worth at least.

    Args:
        values: of `order_values`.
    """
    import pyarrow as pa

    known = dict(zip(values["customer_no"].to_pylist(), numbers(values, "order_value").tolist(), strict=True))
    typical = float(np.median(list(known.values()))) if known else 0.0
    found = [known.get(customer, typical) for customer in table["customer_no"].to_pylist()]
    return table.append_column("order_value", pa.array(found, pa.float64()))


def margin_share(con: duckdb.DuckDBPyConnection, catalogue: str) -> float | None:
    """1 - cost / price over the goods of gold/item_catalog, weighted by what was sold; none where no cost is known."""
    row = con.execute(
        f"""SELECT 1 - sum(units_sold * cost_price::DOUBLE) / nullif(sum(units_sold * average_price::DOUBLE), 0)
        FROM {quote(catalogue)} WHERE cost_price > 0 AND average_price > 0 AND units_sold > 0"""
    ).fetchone()
    return None if row is None or row[0] is None else min(1.0, max(0.0, float(row[0])))


# What a redemption costs is known of these alone; an offer that seems to cost nothing would win every place of a plan.
_PRICED = """(promotion_type = 'free_shipping' OR (promotion_type = 'percent_off' AND discount_percent > 0)
    OR (promotion_type = 'amount_off' AND discount_amount > 0))"""


def unpriced_offers(con: duckdb.DuckDBPyConnection, promotions: str, *, on: date) -> tuple[str, ...]:
    """The promotions that run or are announced and cannot be planned, because nobody knows what they cost: number, name and type."""
    found = con.execute(
        f"""SELECT promotion_id, promotion_name, promotion_type FROM {quote(promotions)}
        WHERE ends_on >= $on AND {_PRICED} IS NOT TRUE ORDER BY promotion_id""",
        {"on": on},
    ).fetchall()
    return tuple(f"{number} {name} ({kind})" for number, name, kind in found)


def plannable_offers(
    con: duckdb.DuckDBPyConnection, promotions: str, *, on: date, propose_repeats: bool = True
) -> pa.Table:
    """The promotions that a plan of a day can hand out: those that have not ended; if there are none, a repeat of the last one of each type from that day on.

    What nobody knows the cost of (`unpriced_offers`) is left out, as if it were not there. A repeat keeps number, name, terms, length and budget; `is_proposal` says that nobody has announced it.
    """
    columns = "promotion_id, promotion_name, promotion_type, discount_percent::DOUBLE AS discount_percent, discount_amount::DOUBLE AS discount_amount, minimum_value::DOUBLE AS minimum_value"
    return con.execute(
        f"""WITH open AS (SELECT {columns}, greatest(starts_on, $on) AS starts_on, ends_on, budget::DOUBLE AS budget, false AS is_proposal
            FROM {quote(promotions)} WHERE ends_on >= $on AND {_PRICED}),
        repeats AS (SELECT {columns}, $on AS starts_on, ($on + (ends_on - starts_on)::INTEGER)::DATE AS ends_on, budget::DOUBLE AS budget, true AS is_proposal
            FROM {quote(promotions)} WHERE $propose AND NOT EXISTS (FROM open) AND {_PRICED}
            QUALIFY row_number() OVER (PARTITION BY promotion_type ORDER BY p_end DESC, promotion_id DESC) = 1)
        FROM open UNION ALL FROM repeats ORDER BY promotion_id""".replace("p_end", "ends_on"),
        {"on": on, "propose": propose_repeats},
    ).to_arrow_table()


def _complete(candidates: pa.Table, promotions: pa.Table, terms: PlanTerms) -> None:
    require(candidates, _CANDIDATES)
    require(
        promotions,
        (
            *("promotion_id", "promotion_type", "discount_percent", "discount_amount", "minimum_value"),
            *("starts_on", "budget"),
        ),
    )
    unknown = set(candidates["promotion_id"].to_pylist()) - set(promotions["promotion_id"].to_pylist())
    priceless = set(candidates["channel"].to_pylist()) - set(terms.contact_cost)
    if unknown or priceless:
        raise PlanImpossible(
            "a candidate names a promotion or a channel that the plan does not know",
            expected=f"promotions of the table, channels {', '.join(sorted(terms.contact_cost))}",
            found=f"promotions {sorted(unknown)[:5]}, channels {sorted(map(str, priceless))[:5]}",
            remedy="give the promotion's row, or the cost of the channel in the terms",
        )
