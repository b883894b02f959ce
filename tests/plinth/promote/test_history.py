"""Features say what was known before an instant, and nothing that came with it or after it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plinth.promote import history_features
from tests.plinth.promote.worlds import Order, orders_in, points_in

AT = datetime(2025, 3, 1)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


_orders = st.lists(
    st.tuples(st.integers(1, 3), st.integers(-60, 60), st.integers(1, 500)),
    max_size=12,
    unique_by=lambda each: (each[0], each[1]),
)


def _as_orders(drawn: list[tuple[int, int, int]]) -> list[Order]:
    # Half days, so that some orders stand at the very instant.
    return [
        (who, f"b{place}", AT + timedelta(hours=12 * half), float(value))
        for place, (who, half, value) in enumerate(drawn)
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_orders)
def test_features_are_those_of_a_count_by_hand(
    con: duckdb.DuckDBPyConnection, drawn: list[tuple[int, int, int]]
) -> None:
    orders = _as_orders(drawn)
    orders_in(con, orders)
    points_in(con, [(who, AT) for who in (1, 2, 3)])
    rows = {row["customer"]: row for row in history_features(con, "points", "orders").to_pylist()}
    assert set(rows) == {1, 2, 3}
    for who, row in rows.items():
        past = sorted((time, value) for customer, _, time, value in orders if customer == who and time < AT)
        ages = [(AT - time) / timedelta(days=1) for time, _ in past]
        gaps = [(b[0] - a[0]) / timedelta(days=1) for a, b in itertools.pairwise(past)]
        assert row["orders"] == len(past)
        assert row["recency"] == (pytest.approx(min(ages)) if past else None)
        assert row["orders_14"] == sum(age <= 14 for age in ages)
        assert row["value_28"] == pytest.approx(
            sum(value for (_, value), age in zip(past, ages, strict=True) if age <= 28)
        )
        assert row["orders_decay_30"] == pytest.approx(sum(0.5 ** (age / 30) for age in ages))
        assert row["gap_mean"] == (pytest.approx(sum(gaps) / len(gaps)) if gaps else None)
        assert row["value_last"] == (past[-1][1] if past else None)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_orders, _orders)
def test_what_comes_at_the_instant_or_later_changes_no_feature(
    con: duckdb.DuckDBPyConnection, drawn: list[tuple[int, int, int]], later: list[tuple[int, int, int]]
) -> None:
    points_in(con, [(who, AT) for who in (1, 2, 3)])
    past = [order for order in _as_orders(drawn) if order[2] < AT]
    orders_in(con, past)
    before = history_features(con, "points", "orders")
    orders_in(
        con,
        past + [(who, f"late{n}", AT + timedelta(hours=12 * abs(half)), 9.0) for n, (who, half, _) in enumerate(later)],
    )
    assert history_features(con, "points", "orders").equals(before)
