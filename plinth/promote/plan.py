"""Who gets which offer: the plan of contacts that brings the most expected profit under budgets, contact limits and consent.

What belongs here: from candidates, offers and customers to the table `serving/promotion_plan`, with its summary. What does not: the optimisation
(`assign`), the money (`offers`), what the plan is held against (`worth`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from plinth.promote.assign import Problem, Solution, solve
from plinth.promote.columns import Array, numbers, require
from plinth.promote.errors import PlanImpossible
from plinth.promote.offers import Draws, OfferMoney, PlanTerms, offer_money
from plinth.promote.worth import PlanWorth, judge

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class PlanSummary:
    """What a plan spends and is expected to bring, in GBP.

    Attributes:
        candidates: pairs of a consenting customer and an offer; `eligible` those that consent and limits leave.
        spent: what the promotions had cost before, which their budgets and the total no longer hold.
        bound: what no plan under the same terms can pass; `gap` is the share of it that this one may lie below the best.
        worth: the expected profit with its interval, beside random choice under the same terms and beside contacting everyone.
    """

    candidates: int
    eligible: int
    contacts: int
    customers: int
    cost: float
    spent: float
    bound: float
    gap: float
    method: str
    worth: PlanWorth

    def figures(self) -> dict[str, float]:
        """All figures by name, for an asset's metadata."""
        own = {name: float(v) for name, v in asdict(self).items() if name not in ("method", "worth")}
        return own | self.worth.figures()


@dataclass(frozen=True)
class PromotionPlan:
    """The plan: its table, as `serving/promotion_plan` holds it, and its summary.

    The table: customer_no, promotion_id, promotion_name, promotion_type, starts_on, ends_on, channel, place (1 for the customer's best offer), untreated,
    uplift, redemption, order_value, expected_gain, expected_cost, expected_profit, is_proposal, planned_on; sorted by customer and place.
    """

    table: pa.Table
    summary: PlanSummary


def plan_promotions(
    candidates: pa.Table,
    offers: pa.Table,
    customers: pa.Table,
    *,
    on: date,
    terms: PlanTerms | None = None,
    contacts: pa.Table | None = None,
    spent: Mapping[int, float] | None = None,
    draws: Draws | None = None,
    seed: int = 0,
) -> PromotionPlan:
    """Plans the contacts of a day.

    Args:
        candidates: customer_no, promotion_id (a pair once), channel, uplift, redemption, order_value; `candidates.find_candidates` makes them.
        offers: promotion_id, promotion_name, promotion_type, discount_percent, discount_amount, starts_on, ends_on, budget (null for no limit).
        customers: customer_no, has_marketing_consent, is_active where known. Who is not in it, or has not plainly consented, is never contacted.
        on: the day of the plan; a contact is made on the first day of its promotion, but not before this one.
        contacts: those already made or on their way: customer_no, contacted_on; they use up the contact limit.
        spent: what the promotions have cost so far, in GBP by promotion_id, as `spent.spent_so_far` finds it; it is taken off their budgets.
        draws: uplift and redemption of each candidate in draws of their distribution, for the intervals; without them the intervals have no width.
        seed: of the random plans that this one is held against.

    Raises:
        PlanImpossible: a pair stands twice, or a promotion or a channel's cost is missing.
        ExamplesUnusable: a column is missing.
    """
    terms = terms or PlanTerms()
    money = offer_money(candidates, offers, terms)
    _once(candidates)
    eligible = _consenting(candidates, customers)
    problem = _problem(candidates, offers, money, eligible, on, terms, contacts, spent or {})
    solution = solve(problem)
    worth = judge(problem, solution, eligible, money, _draws(candidates, offers, terms, draws), seed)
    table = _table(candidates, offers, money, solution, on)
    summary = PlanSummary(
        candidates=candidates.num_rows,
        eligible=int(eligible.sum()),
        contacts=table.num_rows,
        customers=len(set(table["customer_no"].to_pylist())),
        cost=float(money.cost[solution.chosen].sum()),
        spent=float(sum((spent or {}).values())),
        bound=solution.bound,
        gap=solution.gap,
        method=solution.method,
        worth=worth,
    )
    return PromotionPlan(table, summary)


def _once(candidates: pa.Table) -> None:
    pairs = list(zip(candidates["customer_no"].to_pylist(), candidates["promotion_id"].to_pylist(), strict=True))
    if len(set(pairs)) < len(pairs):
        raise PlanImpossible(
            "a customer stands twice for the same promotion",
            expected="each pair once",
            found=f"{len(pairs) - len(set(pairs))} repeated",
        )


def _consenting(candidates: pa.Table, customers: pa.Table) -> Any:
    """Whether each candidate may be contacted, by the same rule as `consent.consent_violations`."""
    from plinth.promote.consent import consent_violations

    refused = set(consent_violations(candidates, customers)["customer_no"].to_pylist())
    return np.array([customer not in refused for customer in candidates["customer_no"].to_pylist()], dtype=np.bool_)


def _problem(
    candidates: pa.Table,
    offers: pa.Table,
    money: OfferMoney,
    eligible: Any,
    on: date,
    terms: PlanTerms,
    contacts: pa.Table | None,
    spent: Mapping[int, float],
) -> Problem:
    numbers_of = {number: place for place, number in enumerate(offers["promotion_id"].to_pylist())}
    people, of_row = np.unique(np.asarray(candidates["customer_no"].to_pylist()), return_inverse=True)
    days = np.array([max(start, on) for start in offers["starts_on"].to_pylist()], dtype="datetime64[D]")
    period = np.timedelta64(terms.contact_period_days, "D")
    # Window p ends with the day of promotion p; a contact for q falls into it if it is not later, and not a whole period earlier.
    windows = (days[None, :] <= days[:, None]) & (days[None, :] > days[:, None] - period)
    budgets = numbers(offers, "budget")
    budgets = np.where(np.isnan(budgets), np.inf, budgets) - [spent.get(number, 0.0) for number in numbers_of]
    total = np.inf if terms.total_budget is None else terms.total_budget - sum(spent.values())
    return Problem(
        # Who may not be contacted brings nothing, so that no path through the solver can choose him.
        profit=np.where(eligible, money.profit, -np.inf),
        cost=money.cost,
        promotion=np.array([numbers_of[number] for number in candidates["promotion_id"].to_pylist()], dtype=np.int64),
        customer=of_row.astype(np.int64),
        # What was overspent cannot be had back.
        budgets=np.maximum(budgets, 0.0),
        total=max(total, 0.0),
        windows=windows,
        capacity=terms.contact_limit - _already(contacts, people, days, terms),
    )


def _already(contacts: pa.Table | None, people: Any, days: Any, terms: PlanTerms) -> Any:
    """How many contacts each customer has in the window that ends with each promotion's day."""
    found = np.zeros((len(people), len(days)), dtype=np.int64)
    if contacts is None or contacts.num_rows == 0 or len(people) == 0:
        return found
    require(contacts, ("customer_no", "contacted_on"))
    made = [
        (customer, day)
        for customer, day in zip(contacts["customer_no"].to_pylist(), contacts["contacted_on"].to_pylist(), strict=True)
        if day is not None
    ]
    if not made:
        return found
    who = np.array([customer for customer, _ in made])
    when = np.array([day for _, day in made], dtype="datetime64[D]")
    place = np.minimum(np.searchsorted(people, who), len(people) - 1)
    known = people[place] == who
    for p, end in enumerate(days):
        inside = known & (when <= end) & (when > end - np.timedelta64(terms.contact_period_days, "D"))
        found[:, p] = np.bincount(place[inside], minlength=len(people))
    return found


def _draws(candidates: pa.Table, offers: pa.Table, terms: PlanTerms, draws: Draws | None) -> list[Array]:
    """Each candidate's profit in each draw."""
    if draws is None:
        return []
    both = zip(draws.uplift, draws.redemption, strict=True)
    return [offer_money(candidates, offers, terms, *each).profit for each in both]


def _table(candidates: pa.Table, offers: pa.Table, money: OfferMoney, solution: Solution, on: date) -> pa.Table:
    import duckdb
    import pyarrow as pa

    rows = candidates
    extra = {"expected_gain": money.gain, "expected_cost": money.cost, "expected_profit": money.profit}
    for name, values in extra.items():
        rows = rows.append_column(name, pa.array(values, pa.float64()))
    if "untreated" not in rows.column_names:
        rows = rows.append_column("untreated", pa.nulls(rows.num_rows, pa.float64()))
    if "is_proposal" not in offers.column_names:
        offers = offers.append_column("is_proposal", pa.array([False] * offers.num_rows))
    with duckdb.connect(config={"threads": 1}) as con:
        con.register("chosen", rows.filter(pa.array(solution.chosen)))
        con.register("offers", offers)
        return con.execute(_TABLE, {"on": on}).to_arrow_table()


_TABLE = """
SELECT c.customer_no::BIGINT AS customer_no, c.promotion_id::BIGINT AS promotion_id, o.promotion_name, o.promotion_type, o.starts_on::DATE AS starts_on,
       o.ends_on::DATE AS ends_on, c.channel,
       row_number() OVER (PARTITION BY c.customer_no ORDER BY c.expected_profit DESC, c.promotion_id)::INTEGER AS place,
       c.untreated, c.uplift, c.redemption, c.order_value, c.expected_gain, c.expected_cost, c.expected_profit, o.is_proposal, $on::DATE AS planned_on
FROM chosen c JOIN offers o ON o.promotion_id = c.promotion_id
ORDER BY c.customer_no, place
"""
