"""What lines say of a customer is what was booked before the instant: of him, and of the goods that he buys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plinth.promote import buyer_features, examples, history_features
from plinth.promote.habits import habit_features
from tests.plinth.promote.worlds import points_in

AT = datetime(2025, 3, 1)
Line = tuple[int, str, str, datetime, int, float]
"""Customer, basket, item, time, quantity, price."""


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


def lines_in(con: duckdb.DuckDBPyConnection, lines: Sequence[Line]) -> None:
    con.execute(
        "CREATE OR REPLACE TABLE lines (customer BIGINT, basket VARCHAR, item VARCHAR, time TIMESTAMP, quantity INTEGER, price DECIMAL(12, 4))"
    )
    if lines:
        con.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)", list(lines))
    con.execute(
        "CREATE OR REPLACE VIEW orders AS SELECT customer, basket, min(time) AS time, count(*) AS lines, count(DISTINCT item) AS items, "
        "sum(quantity) AS units, sum(quantity * price)::DOUBLE AS value FROM lines GROUP BY customer, basket"
    )


_drawn = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 400), st.sampled_from("ABCD"), st.integers(1, 9)), max_size=15
)


def _as_lines(drawn: list[tuple[int, int, str, int]]) -> list[Line]:
    return [(who, f"b{who}/{days}", item, AT - timedelta(days=days, hours=2), n, 2.5) for who, days, item, n in drawn]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_drawn)
def test_habits_are_those_of_a_count_by_hand(
    con: duckdb.DuckDBPyConnection, drawn: list[tuple[int, int, str, int]]
) -> None:
    lines_in(con, _as_lines(drawn))
    points_in(con, [(who, AT) for who in (1, 2, 3)])
    rows = {row["customer"]: row for row in habit_features(con, "points", "lines").to_pylist()}
    assert set(rows) == {1, 2, 3}
    baskets = {(who, days, item) for who, days, item, _ in drawn}
    year = {(who, days, item) for who, days, item in baskets if days + 2 / 24 <= 364}
    buyers = {item: {who for who, _, other in year if other == item} for item in "ABCD"}
    again = {item: 1 - len(who) / sum(i == item for _, _, i in year) for item, who in buyers.items() if who}
    for who, row in rows.items():
        days = {days for other, days, _ in baskets if other == who}
        own = {item for other, _, item in baskets if other == who}
        assert row["days"] == (len(days) or None)
        assert row["days_90"] == (sum(each + 2 / 24 <= 90 for each in days) if days else None)
        assert row["own_goods"] == (len(own) or None)
        known = [again[item] for item in own if item in again]
        assert row["goods_again"] == (pytest.approx(sum(known) / len(known)) if known else None)
        gone = [min(d for _, d, other in baskets if other == item) + 2 / 24 > 28 for item in own]
        assert row["goods_gone"] == (pytest.approx(sum(gone) / len(gone)) if own else None)
        values = [sum(n * 2.5 for o, d, _, n in drawn if (o, d) == (who, day)) for day in days]
        assert row["day_value_log"] == (
            pytest.approx(sum(math.log1p(value) for value in values) / len(values)) if days else None
        )


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_drawn, _drawn)
def test_what_is_booked_at_the_instant_or_later_changes_no_habit(
    con: duckdb.DuckDBPyConnection, drawn: list[tuple[int, int, str, int]], later: list[tuple[int, int, str, int]]
) -> None:
    points_in(con, [(who, AT) for who in (1, 2, 3)])
    lines_in(con, _as_lines(drawn))
    before = habit_features(con, "points", "lines")
    after = [(who, f"l{n}", item, AT + timedelta(days=days - 1), n, 9.0) for who, days, item, n in later]
    lines_in(con, [*_as_lines(drawn), *after])
    assert habit_features(con, "points", "lines").equals(before)


def test_goods_that_others_stopped_buying_are_seen_as_gone_at_each_instant_anew(con: duckdb.DuckDBPyConnection) -> None:
    old, new = AT - timedelta(days=60), AT - timedelta(days=5)
    lines_in(con, [(1, "a", "LAMP", old, 1, 2.0), (1, "b", "CARD", old, 1, 2.0), (2, "c", "CARD", new, 1, 2.0)])
    points_in(con, [(1, AT), (1, AT - timedelta(days=30))])
    rows = habit_features(con, "points", "lines").to_pylist()
    assert [row["at"] for row in rows] == [AT - timedelta(days=30), AT]
    assert [row["goods_gone"] for row in rows] == [1.0, 0.5]


def test_nobody_to_ask_about_is_a_table_without_rows(con: duckdb.DuckDBPyConnection) -> None:
    lines_in(con, [(1, "a", "LAMP", AT, 1, 2.0)])
    con.execute('CREATE OR REPLACE TABLE points (customer BIGINT, "at" TIMESTAMP)')
    assert habit_features(con, "points", "lines").num_rows == 0


def test_a_buyer_has_the_features_of_orders_and_of_lines_and_examples_the_same(con: duckdb.DuckDBPyConnection) -> None:
    lines_in(
        con,
        [
            (who, f"b{who}/{n}", "AB"[n % 2], AT - timedelta(days=9 * n + who), n + 1, 2.0)
            for who in (1, 2)
            for n in range(4)
        ],
    )
    points_in(con, [(1, AT), (2, AT)])
    of_orders, of_lines = history_features(con, "points", "orders"), habit_features(con, "points", "lines")
    found = buyer_features(con, "points", "orders", "lines")
    assert found.column_names == [*of_orders.column_names, *of_lines.column_names[2:]]
    assert buyer_features(con, "points", "orders").equals(of_orders)
    learnt = examples(con, "orders", [AT], lines="lines")
    assert learnt.drop_columns(["bought"]).equals(found)


def test_a_busier_season_of_the_whole_shop_is_no_trend_of_its_goods(con: duckdb.DuckDBPyConnection) -> None:
    months = [(AT - timedelta(days=40), 1), (AT - timedelta(days=12), 3)]
    lines_in(
        con,
        [
            (who, f"{who}/{item}/{time}/{n}", item, time, 1, 2.0)
            for time, count in months
            for n in range(count)
            for who in (1, 2)
            for item in "AB"
        ],
    )
    points_in(con, [(1, AT)])
    (row,) = habit_features(con, "points", "lines").to_pylist()
    assert row["goods_trend"] == pytest.approx(0, abs=0.3) and row["goods_winter"] == pytest.approx(0, abs=0.1)
    only = [(1, f"more{n}", "A", AT - timedelta(days=3), 1, 2.0) for n in range(12)]
    con.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)", only)
    (row,) = habit_features(con, "points", "lines").to_pylist()
    assert row["goods_trend"] < 0, "A sells better than the shop, and B worse by more"
