"""Orders on both clocks: at every instant an order is what its lines known by then make of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plinth.promote import history_features
from plinth.promote.booked import make_orders
from plinth.promote.offers import order_values
from tests.plinth.promote.worlds import points_in

AT = datetime(2025, 3, 1)
Line = tuple[int, int, int, int, int, int]
"""Customer, basket, item, half days from `AT` to the order, half days from the order to its booking, pieces."""


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


def _lines_in(con: duckdb.DuckDBPyConnection, lines: list[Line]) -> list[tuple[int, str, str, datetime, datetime, int]]:
    rows = []
    for customer, basket, item, half, delay, pieces in lines:
        time = AT + timedelta(hours=12 * half)
        rows.append(
            (customer, f"{customer}/{basket}", f"i{item}", time, time + timedelta(hours=12 * delay, minutes=1), pieces)
        )
    con.execute(
        "CREATE OR REPLACE TABLE lines (customer BIGINT, basket VARCHAR, item VARCHAR, time TIMESTAMP, known TIMESTAMP, quantity INTEGER, "
        "price DECIMAL(12, 4))"
    )
    if rows:
        con.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?, 2.5)", rows)
    make_orders(con, "booked", "lines")
    return rows


_lines = st.lists(
    st.tuples(
        st.integers(1, 2),
        st.integers(1, 3),
        st.integers(1, 3),
        st.integers(-9, 2),
        st.integers(0, 9),
        st.integers(1, 5),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_lines)
def test_at_every_instant_an_order_is_made_of_the_lines_known_by_then(
    con: duckdb.DuckDBPyConnection, drawn: list[Line]
) -> None:
    rows = _lines_in(con, drawn)
    instants = [AT + timedelta(days=days) for days in (-3, -1, 0, 2, 30)]
    points_in(con, [(who, at) for who in (1, 2) for at in instants])
    found = {(row["customer"], row["at"]): row for row in history_features(con, "points", "booked").to_pylist()}
    for (who, at), row in found.items():
        seen: dict[str, list[tuple[int, str, str, datetime, datetime, int]]] = {}
        for line in rows:
            if line[0] == who and line[4] < at:
                seen.setdefault(line[1], []).append(line)
        seen = {basket: lines for basket, lines in seen.items() if min(line[3] for line in lines) < at}
        assert row["orders"] == len(seen)
        assert row["value_all"] == pytest.approx(sum(2.5 * line[5] for lines in seen.values() for line in lines))
        for name, count in (
            ("lines_mean", len),
            ("items_mean", lambda lines: len({line[2] for line in lines})),
            ("units_mean", lambda lines: sum(line[5] for line in lines)),
        ):
            expected = sum(count(lines) for lines in seen.values()) / len(seen) if seen else None
            assert row[name] == (pytest.approx(expected) if seen else None)
        last = max((min(line[3] for line in lines) for lines in seen.values()), default=None)
        assert row["recency"] == (pytest.approx((at - last) / timedelta(days=1)) if last else None)


def test_an_order_that_is_booked_late_is_worth_nothing_before(con: duckdb.DuckDBPyConnection) -> None:
    early: list[Line] = [(1, n, 1, -40 + 3 * n, 0, 4) for n in range(6)]
    _lines_in(con, [*early, (2, 1, 1, -20, 0, 4)])
    before = order_values(con, "booked", at=AT)
    _lines_in(con, [*early, (2, 1, 1, -20, 0, 4), (2, 2, 1, -10, 16, 400), (2, 1, 2, -20, 30, 400)])
    assert order_values(con, "booked", at=AT).equals(before)
    later = order_values(con, "booked", at=AT + timedelta(days=10))
    assert later["order_value"][1].as_py() > 2 * before["order_value"][1].as_py()
