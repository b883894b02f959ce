"""Small worlds whose truth is known: orders, trials, and plans small enough to try every choice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from plinth.promote.assign import Problem
from plinth.promote.columns import Array

DAY = date(2025, 3, 3)
AT_ORDERS = datetime(2025, 3, 3)
Order = tuple[int, str, datetime, float]
"""Customer, basket, time, value."""


def orders_in(con: duckdb.DuckDBPyConnection, orders: Sequence[Order], name: str = "orders") -> None:
    """Makes the table of orders, three lines of two items and six pieces each, booked when they were ordered."""
    con.execute(
        f"CREATE OR REPLACE TABLE {name} (customer BIGINT, basket VARCHAR, time TIMESTAMP, lines INTEGER, items INTEGER, units INTEGER, value DOUBLE, "
        "known TIMESTAMP, superseded TIMESTAMP)"
    )
    if orders:
        con.executemany(f"INSERT INTO {name} VALUES ($1, $2, $3, 3, 2, 6, $4, $3, NULL)", list(orders))


def points_in(con: duckdb.DuckDBPyConnection, points: Sequence[tuple[int, datetime]]) -> None:
    con.execute('CREATE OR REPLACE TABLE points (customer BIGINT, "at" TIMESTAMP)')
    con.executemany("INSERT INTO points VALUES (?, ?)", list(points))


@dataclass(frozen=True)
class Buyers:
    """Examples of three cut-offs whose true chances are known."""

    table: pa.Table
    chance: Array


def buyers(seed: int, rows: int = 3000) -> Buyers:
    """Customers who buy with a chance that follows from two of three features; one in ten values is missing."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(3 * rows, 3))
    chance = 1 / (1 + np.exp(-(-1.2 + 1.4 * features[:, 0] - 0.8 * features[:, 1])))
    bought = rng.random(3 * rows) < chance
    at = np.repeat(np.array([datetime(2025, 1, 1) + timedelta(days=28 * k) for k in range(3)]), rows)
    shown = np.where(rng.random(features.shape) < 0.1, np.nan, features)
    columns = {
        "customer": pa.array(np.tile(np.arange(rows), 3)),
        "at": pa.array(at, pa.timestamp("us")),
        "bought": pa.array(bought),
    }
    columns |= {f"f{k}": pa.array(shown[:, k], from_pandas=True) for k in range(3)}
    return Buyers(pa.table(columns), chance)


@dataclass(frozen=True)
class Trial:
    """A trial's rows as `trial_rows` gives them, and the true uplift of each."""

    table: pa.Table
    uplift: Array


def trial(seed: int, *, effect: float, rows: int = 6000, promotions: int = 8) -> Trial:
    """Rows whose daily rate of orders a treatment multiplies, for those with a high `f0` only; `f1` moves the rate itself."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 4))
    rate = np.exp(-1.2 + 0.5 * features[:, 1])
    factor = 1 + effect * (features[:, 0] > 0.5)
    treated = rng.random(rows) < 0.75
    count = rng.poisson(rate * np.where(treated, factor, 1))
    promotion = rng.integers(1, promotions + 1, rows)
    columns: dict[str, Any] = {
        "customer_no": rng.integers(1, rows // 3, rows),
        "promotion_id": promotion,
        "treated": treated,
        "bought": count > 0,
        "orders_within": count.astype(np.int32),
        "redeemed": treated & (count > 0) & (rng.random(rows) < 0.8),
        "is_percent_off": (promotion % 2).astype(float),
        "is_free_shipping": np.zeros(rows),
    }
    columns |= {f"f{k}": features[:, k] for k in range(4)}
    return Trial(pa.table(columns), np.exp(-rate) - np.exp(-rate * factor))


def best_by_trying(problem: Problem) -> float:
    """The most profit of all choices that keep every limit, by trying each."""
    best, size = 0.0, len(problem.profit)
    for choice in itertools.product((False, True), repeat=size):
        taken = np.array(choice, dtype=np.bool_)
        if keeps_limits(problem, taken):
            best = max(best, float(problem.profit[taken].sum()))
    return best


def keeps_limits(problem: Problem, taken: Any) -> bool:
    """Whether a choice keeps every budget and every customer's windows, counted one by one."""
    rows = np.flatnonzero(taken)
    if problem.cost[rows].sum() > problem.total + 1e-6:
        return False
    for promotion, budget in enumerate(problem.budgets):
        if problem.cost[[r for r in rows if problem.promotion[r] == promotion]].sum() > budget + 1e-6:
            return False
        for customer, capacity in enumerate(problem.capacity[:, promotion]):
            inside = [
                r for r in rows if problem.customer[r] == customer and problem.windows[promotion, problem.promotion[r]]
            ]
            if inside and len(inside) > capacity:
                return False
    return True


def offers(*budgets: float | None, starts: Sequence[int] | None = None) -> pa.Table:
    """Promotions 1, 2, … of 10 %, then of GBP 2 off, then of free shipping, and so on, that start so many days after `DAY`."""
    kinds = ("percent_off", "amount_off", "free_shipping")
    starts = starts or [0] * len(budgets)
    return pa.table(
        {
            "promotion_id": pa.array(range(1, len(budgets) + 1), pa.int64()),
            "promotion_name": [f"offer {number}" for number in range(1, len(budgets) + 1)],
            "promotion_type": [kinds[number % 3] for number in range(len(budgets))],
            "discount_percent": pa.array(
                [10.0 if number % 3 == 0 else None for number in range(len(budgets))], pa.float64()
            ),
            "discount_amount": pa.array(
                [2.0 if number % 3 == 1 else None for number in range(len(budgets))], pa.float64()
            ),
            "minimum_value": pa.nulls(len(budgets), pa.float64()),
            "starts_on": [DAY + timedelta(days=days) for days in starts],
            "ends_on": [DAY + timedelta(days=days + 10) for days in starts],
            "budget": pa.array(budgets, pa.float64()),
        }
    )


def candidates(rng: np.random.Generator, customers: int, promotions: int) -> pa.Table:
    """Every pair, with uplifts of which some are negative."""
    pairs = list(itertools.product(range(1, customers + 1), range(1, promotions + 1)))
    size = len(pairs)
    return pa.table(
        {
            "customer_no": pa.array([pair[0] for pair in pairs], pa.int64()),
            "promotion_id": pa.array([pair[1] for pair in pairs], pa.int64()),
            "channel": rng.choice(["email", "post", "sms"], size),
            "uplift": rng.normal(0.06, 0.06, size),
            "redemption": rng.uniform(0, 0.4, size),
            "order_value": rng.lognormal(3.5, 0.5, size),
        }
    )


def people(consents: Sequence[bool | None], active: Sequence[bool | None] | None = None) -> pa.Table:
    """Customers 1, 2, … with their consent."""
    size = len(consents)
    return pa.table(
        {
            "customer_no": pa.array(range(1, size + 1), pa.int64()),
            "has_marketing_consent": pa.array(consents, pa.bool_()),
            "is_active": pa.array(active or [True] * size, pa.bool_()),
        }
    )
