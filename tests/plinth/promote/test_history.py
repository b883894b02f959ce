"""Features say what was known before an instant, and nothing that came with it or after it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plinth.promote import ExamplesUnusable, cutoffs_before, examples, history_features, labels
from plinth.promote.columns import feature_names
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


def test_examples_are_those_who_had_ordered_and_their_label_ends_with_the_window(
    con: duckdb.DuckDBPyConnection,
) -> None:
    day = timedelta(days=1)
    orders_in(
        con,
        [
            (1, "a", AT - 9 * day, 5.0),
            (1, "b", AT, 5.0),  # at the cut-off: within the window, not before it
            (2, "c", AT - 9 * day, 5.0),
            (2, "d", AT + 28 * day, 5.0),  # the first instant after the window
            (3, "e", AT + 2 * day, 5.0),  # no customer yet
        ],
    )
    table = examples(con, "orders", [AT, AT + 28 * day])
    labels = {(row["at"], row["customer"]): row["bought"] for row in table.to_pylist()}
    assert labels == {
        (AT, 1): True,
        (AT, 2): False,
        (AT + 28 * day, 1): False,
        (AT + 28 * day, 2): True,
        (AT + 28 * day, 3): False,
    }


def test_examples_are_the_labels_with_features_which_can_come_from_elsewhere(con: duckdb.DuckDBPyConnection) -> None:
    orders_in(con, [(who, f"b{who}{n}", AT - timedelta(days=9 * n + who), 5.0) for who in (1, 2, 3) for n in range(4)])
    cutoffs = [AT - timedelta(days=28), AT]
    rows, table = labels(con, "orders", cutoffs), examples(con, "orders", cutoffs)
    assert table.select(["customer", "at", "bought"]).equals(rows.select(["customer", "at", "bought"]))
    assert rows["customer_no"].to_pylist() == rows["customer"].to_pylist()
    other = rows.append_column("customer__orders", pa.array(range(rows.num_rows)))
    assert feature_names(other) == ("customer__orders",), "neither a key nor the label is a feature"


def test_examples_want_a_cutoff(con: duckdb.DuckDBPyConnection) -> None:
    orders_in(con, [(1, "a", AT, 5.0)])
    with pytest.raises(ExamplesUnusable, match="no cut-off"):
        examples(con, "orders", [])


def test_cutoffs_stand_a_window_apart_and_end_with_the_last() -> None:
    found = cutoffs_before(datetime(2025, 3, 26), datetime(2025, 1, 29))
    assert found == (datetime(2025, 1, 29), datetime(2025, 2, 26), datetime(2025, 3, 26))
