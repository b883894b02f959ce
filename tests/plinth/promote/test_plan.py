"""A plan brings the most that its limits allow, keeps every one of them, and contacts nobody without consent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plinth.promote import PlanImpossible, PlanTerms, PromotionPlan, consent_violations, plan_promotions
from plinth.promote.assign import Problem, solve
from plinth.promote.offers import Draws, offer_money
from tests.plinth.promote.worlds import DAY, best_by_trying, candidates, keeps_limits, offers, people

TERMS = PlanTerms(contact_limit=1)


@st.composite
def _problems(draw: st.DrawFn) -> Problem:
    customers, promotions = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    pairs = [(c, p) for c in range(customers) for p in range(promotions)][:11]
    number = st.integers(-3, 12).map(float)
    days = np.array(draw(st.lists(st.integers(0, 40), min_size=promotions, max_size=promotions)))
    limit = st.one_of(st.just(np.inf), st.integers(0, 15).map(float))
    capacity = draw(
        st.lists(
            st.lists(st.integers(-1, 3), min_size=promotions, max_size=promotions),
            min_size=customers,
            max_size=customers,
        )
    )
    return Problem(
        profit=np.array([draw(number) for _ in pairs]),
        cost=np.array([float(draw(st.integers(0, 8))) for _ in pairs]),
        promotion=np.array([p for _, p in pairs]),
        customer=np.array([c for c, _ in pairs]),
        budgets=np.array([draw(limit) for _ in range(promotions)]),
        total=draw(limit),
        windows=(days[None, :] <= days[:, None]) & (days[None, :] > days[:, None] - 28),
        capacity=np.array(capacity),
    )


@settings(max_examples=120, deadline=None)
@given(_problems())
def test_the_exact_path_finds_what_trying_every_choice_finds(problem: Problem) -> None:
    found, best = solve(problem), best_by_trying(problem)
    assert keeps_limits(problem, found.chosen)
    assert found.profit == pytest.approx(best, abs=1e-6)
    assert found.profit == pytest.approx(problem.profit[found.chosen].sum())
    assert found.bound >= best - 1e-6


@settings(max_examples=80, deadline=None)
@given(_problems())
def test_the_relaxed_path_keeps_the_limits_and_its_bound_is_true(problem: Problem) -> None:
    found, best = solve(problem, exact=0), best_by_trying(problem)
    assert keeps_limits(problem, found.chosen)
    assert found.profit <= best + 1e-6 <= found.bound + 2e-6
    assert 0 <= found.gap <= 1


def test_with_many_customers_the_relaxed_path_is_within_a_thousandth_of_the_best() -> None:
    rng = np.random.default_rng(1)
    customers, promotions = 4000, 3
    size = customers * promotions
    problem = Problem(
        profit=rng.normal(1, 1.5, size),
        cost=rng.uniform(0.2, 3, size),
        promotion=np.tile(np.arange(promotions), customers),
        customer=np.repeat(np.arange(customers), promotions),
        budgets=np.array([900.0, 1500.0, np.inf]),
        total=4000.0,
        windows=np.ones((promotions, promotions), dtype=np.bool_),
        capacity=np.full((customers, promotions), 2),
    )
    found = solve(problem)
    assert found.method == "linear relaxation"
    assert found.gap < 0.001
    assert np.bincount(problem.customer[found.chosen]).max() <= 2
    assert problem.cost[found.chosen].sum() <= 4000
    assert np.array_equal(solve(problem).chosen, found.chosen)


def _plan(
    seed: int = 1, customers: int = 40, terms: PlanTerms = TERMS, **other: Any
) -> tuple[PromotionPlan, pa.Table, pa.Table]:
    rng = np.random.default_rng(seed)
    table, handed = candidates(rng, customers, 3), offers(15.0, 12.0, None)
    consents = people([bool(rng.random() < 0.7) for _ in range(customers)])
    return plan_promotions(table, handed, consents, on=DAY, terms=terms, **other), table, consents


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([True, False, None]), min_size=12, max_size=12), st.integers(0, 10_000))
def test_nobody_without_consent_is_in_a_plan_however_much_he_would_bring(
    consents: list[bool | None], seed: int
) -> None:
    table = candidates(np.random.default_rng(seed), 14, 2)
    refused = [number + 1 for number, yes in enumerate(consents) if not yes] + [13, 14]
    rich = np.where(np.isin(table["customer_no"].to_numpy(), refused), 0.9, 0.3)
    for name, values in (("uplift", rich), ("order_value", np.full(table.num_rows, 100.0))):
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    customers = people(consents)
    plan = plan_promotions(table, offers(None, None), customers, on=DAY, terms=TERMS)
    assert consent_violations(plan.table, customers).num_rows == 0
    allowed = {number + 1 for number, yes in enumerate(consents) if yes}
    assert set(plan.table["customer_no"].to_pylist()) <= allowed
    if allowed:
        assert plan.table.num_rows > 0


def test_the_table_adds_up_to_the_summary_and_keeps_budgets_and_limits() -> None:
    plan, table, consents = _plan(terms=PlanTerms(contact_limit=1, total_budget=30.0))
    rows = plan.table.to_pylist()
    assert rows
    assert plan.summary.contacts == len(rows) == len({row["customer_no"] for row in rows}) == plan.summary.customers
    cost = {number: sum(row["expected_cost"] for row in rows if row["promotion_id"] == number) for number in (1, 2, 3)}
    assert cost[1] <= 15 and cost[2] <= 12 and sum(cost.values()) <= 30
    assert plan.summary.cost == pytest.approx(sum(cost.values()))
    assert plan.summary.worth.profit == pytest.approx(sum(row["expected_profit"] for row in rows))
    assert all(row["expected_profit"] == pytest.approx(row["expected_gain"] - row["expected_cost"]) for row in rows)
    assert plan.summary.worth.profit <= plan.summary.bound
    assert plan.summary.candidates == table.num_rows
    assert plan.summary.eligible == 3 * sum(consents["has_marketing_consent"].to_pylist())
    assert set(plan.summary.figures()) >= {"gap", "bound", "expected_profit", "expected_over_random_low"}


def test_contacts_already_made_use_up_the_limit_within_its_days_only() -> None:
    terms = PlanTerms(contact_limit=1, contact_period_days=28)
    day = timedelta(days=1)
    table = candidates(np.random.default_rng(2), 3, 1)
    table = table.set_column(table.column_names.index("uplift"), "uplift", pa.array([0.5] * 3))
    made = pa.table({"customer_no": [1, 2, 99], "contacted_on": [DAY - 27 * day, DAY - 28 * day, DAY]})
    plan = plan_promotions(table, offers(None), people([True] * 3), on=DAY, terms=terms, contacts=made)
    assert plan.table["customer_no"].to_pylist() == [2, 3]


def test_what_promotions_have_cost_already_is_not_spent_again() -> None:
    before = {1: 14.8, 2: 20.0, 3: 5.0}
    plan, whole = (_plan(terms=PlanTerms(total_budget=42.8), spent=each)[0] for each in (before, None))
    cost, first = (
        {n: sum(row["expected_cost"] for row in each.table.to_pylist() if row["promotion_id"] == n) for n in before}
        for each in (plan, whole)
    )
    assert 0 < cost[1] <= 15 - 14.8 < first[1]
    assert cost[2] == 0 < first[2], "it was overspent"
    assert 0 < sum(cost.values()) <= 42.8 - 39.8 < sum(first.values())
    assert plan.summary.spent == plan.summary.figures()["spent"] == pytest.approx(39.8)
    assert whole.summary.spent == 0


def test_promotions_further_apart_than_the_period_each_have_a_contact() -> None:
    table = candidates(np.random.default_rng(2), 1, 3)
    table = table.set_column(table.column_names.index("uplift"), "uplift", pa.array([0.5, 0.6, 0.5]))
    three = offers(None, None, None, starts=[0, 14, 30])
    plan = plan_promotions(table, three, people([True]), on=DAY, terms=PlanTerms(contact_limit=1))
    # The first and the last are 30 days apart; the one between would share a window with each.
    assert sorted(plan.table["promotion_id"].to_pylist()) == [1, 3]
    assert plan.table["place"].to_pylist() == [1, 2]


def test_it_is_held_against_random_choice_and_against_everyone_with_intervals() -> None:
    rng = np.random.default_rng(3)
    table = candidates(np.random.default_rng(1), 40, 3)
    draws = np.array([table["uplift"].to_numpy() + rng.normal(0, 0.02, table.num_rows) for _ in range(30)])
    redeemed = np.tile(table["redemption"].to_numpy(), (30, 1))
    plan, _, consents = _plan(draws=Draws(draws, redeemed))
    # What is redeemed is as unsure as who buys.
    unsure = _plan(draws=Draws(draws, redeemed * rng.uniform(0.5, 1.5, (30, 1))))[0].summary.worth
    assert unsure.profit_high - unsure.profit_low > plan.summary.worth.profit_high - plan.summary.worth.profit_low
    worth = plan.summary.worth
    assert worth.over_random == pytest.approx(worth.profit - worth.random) and worth.over_random > 0
    assert worth.over_everyone == pytest.approx(worth.profit - worth.everyone) and worth.over_everyone > 0
    assert worth.profit_low < worth.profit < worth.profit_high
    assert 0 < worth.random_cost <= plan.summary.cost * 1.5 and worth.everyone_cost > worth.random_cost
    assert worth.over_random_low < worth.over_random < worth.over_random_high
    allowed = np.flatnonzero(consents["has_marketing_consent"].to_numpy(zero_copy_only=False)) + 1
    profit = offer_money(table, offers(15.0, 12.0, None), TERMS).profit.reshape(40, 3)
    # One contact for each who consents, any of the three: the mean of many lots comes near the mean of the three.
    assert worth.everyone == pytest.approx(profit[allowed - 1].mean(axis=1).sum(), abs=0.15 * np.abs(profit).sum() / 3)


def test_the_same_question_has_the_same_answer() -> None:
    assert _plan(seed=5)[0] == _plan(seed=5)[0]


def test_nothing_to_gain_is_an_empty_plan_with_the_same_columns() -> None:
    full, table, consents = _plan()
    lost = table.set_column(table.column_names.index("uplift"), "uplift", pa.array([-0.1] * table.num_rows))
    plan = plan_promotions(lost, offers(15.0, 12.0, None), consents, on=DAY, terms=TERMS)
    assert plan.table.num_rows == 0 and plan.table.schema == full.table.schema
    assert plan.summary.gap == 0 and plan.summary.worth.profit == 0
    none = plan_promotions(table.slice(0, 0), offers(15.0, 12.0, None), consents, on=DAY, terms=TERMS)
    assert none.table.num_rows == 0


def test_a_pair_that_stands_twice_is_refused() -> None:
    table = candidates(np.random.default_rng(1), 2, 1)
    with pytest.raises(PlanImpossible, match="twice"):
        plan_promotions(pa.concat_tables([table, table]), offers(None), people([True, True]), on=DAY, terms=TERMS)
