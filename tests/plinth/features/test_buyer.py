"""The view `buyer`: what lines say of a customer beyond his orders, held against a count by hand, and against the whole shop's trade."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plinth.features import load_views, values_of
from tests.plinth.features.shop import ROOT

VIEW = load_views(ROOT / "feature_views.yaml").view("buyer")
AT = datetime(2025, 3, 1)
Line = tuple[int, str, str, datetime, int, float]
"""Customer, order, item, time, pieces, price."""


def of(
    customer: int, lines: Sequence[Line], returned: Sequence[tuple[str, datetime]] = (), at: datetime = AT
) -> dict[str, Any] | None:
    """A customer's values; `returned` are cancelled invoices of his."""
    columns = list(zip(*lines, strict=True)) or [[]] * 6
    sales = {
        "customer_no": pa.array(columns[0], pa.int32()),
        "order_no": pa.array(columns[1], pa.string()),
        "item_code": pa.array(columns[2], pa.string()),
        "pieces": pa.array(columns[4], pa.int32()),
        "price": pa.array(columns[5], pa.float64()).cast(pa.decimal128(12, 4)),
        "event_time": pa.array(columns[3], pa.timestamp("us")),
    }
    value = pa.array([n * price for n, price in zip(columns[4], columns[5], strict=True)], pa.float64())
    kinds = [*(("sale", "goods", each[0], each[1], each[3]) for each in lines)]
    kinds += [("cancellation", "goods", customer, number, when) for number, when in returned]
    events = {
        "lines": pa.table({**sales, "value": value.cast(pa.decimal128(18, 4))}),
        "sales": pa.table(sales),
        "any_lines": pa.table(
            {
                "line_type": pa.array([each[0] for each in kinds], pa.string()),
                "item_kind": pa.array([each[1] for each in kinds], pa.string()),
                "customer_no": pa.array([each[2] for each in kinds], pa.int32()),
                "order_no": pa.array([each[3] for each in kinds], pa.string()),
                "event_time": pa.array([each[4] for each in kinds], pa.timestamp("us")),
            }
        ),
    }
    return values_of(VIEW, events, at, {"customer_no": customer})


_drawn = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 400), st.sampled_from("ABCD"), st.integers(1, 9)),
    min_size=1,
    max_size=15,
)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(_drawn)
def test_habits_are_those_of_a_count_by_hand(drawn: list[tuple[int, int, str, int]]) -> None:
    lines = [(who, f"b{who}/{days}", item, AT - timedelta(days=days, hours=2), n, 2.5) for who, days, item, n in drawn]
    baskets = {(who, days, item) for who, days, item, _ in drawn}
    year = {(who, days, item) for who, days, item in baskets if days + 2 / 24 <= 364}
    buyers = {item: {who for who, _, other in year if other == item} for item in "ABCD"}
    again = {item: 1 - len(who) / sum(i == item for _, _, i in year) for item, who in buyers.items() if who}
    for who in {each[0] for each in drawn}:
        row = of(who, lines)
        assert row is not None
        days = sorted({days for other, days, _ in baskets if other == who}, reverse=True)
        own = {item for other, _, item in baskets if other == who}
        assert (row["days"], row["days_90d"]) == (len(days), sum(each + 2 / 24 <= 90 for each in days))
        gaps = [a - b for a, b in itertools.pairwise(days)]
        assert row["gap_most"] == (pytest.approx(max(gaps)) if gaps else None)
        mean = sum(gaps) / len(gaps) if gaps else 0
        spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1)) if len(gaps) > 1 else None
        assert row["gap_spread"] == (None if spread is None else pytest.approx(spread, abs=1e-4))
        known = [again[item] for item in own if item in again]
        assert row["goods_again"] == (pytest.approx(sum(known) / len(known)) if known else None)
        gone = [min(d for _, d, other in baskets if other == item) + 2 / 24 > 28 for item in own]
        assert row["goods_gone"] == pytest.approx(sum(gone) / len(gone))
        values = [sum(n * 2.5 for o, d, _, n in drawn if (o, d) == (who, day)) for day in days]
        assert row["day_value_log"] == pytest.approx(sum(math.log1p(value) for value in values) / len(values))


def test_goods_that_others_stopped_buying_are_seen_as_gone_at_each_instant_anew() -> None:
    old, new = AT - timedelta(days=60), AT - timedelta(days=5)
    lines = [(1, "a", "LAMP", old, 1, 2.0), (1, "b", "CARD", old, 1, 2.0), (2, "c", "CARD", new, 1, 2.0)]
    before, now = of(1, lines, at=AT - timedelta(days=30)), of(1, lines)
    assert before is not None and now is not None
    assert (before["goods_gone"], now["goods_gone"]) == (1.0, 0.5)


def test_goods_that_nobody_bought_within_the_window_are_gone_and_long_known() -> None:
    row = of(1, [(1, "a", "LAMP", AT - timedelta(days=500), 1, 2.0), (2, "b", "CARD", AT - timedelta(days=9), 1, 2.0)])
    assert row is not None
    assert (row["goods_gone"], row["goods_known"], row["goods_again"]) == (1.0, 364.0, None)


def test_a_busier_season_of_the_whole_shop_is_no_trend_of_its_goods() -> None:
    months = [(AT - timedelta(days=40), 1), (AT - timedelta(days=12), 3)]
    lines = [
        (who, f"{who}/{item}/{time}/{n}", item, time, 1, 2.0)
        for time, count in months
        for n in range(count)
        for who in (1, 2)
        for item in "AB"
    ]
    row = of(1, lines)
    assert row is not None
    assert row["goods_trend"] == pytest.approx(0, abs=0.3) and row["goods_winter"] == pytest.approx(0, abs=0.1)
    more = of(1, [*lines, *((1, f"more{n}", "A", AT - timedelta(days=3), 1, 2.0) for n in range(12))])
    assert more is not None and more["goods_trend"] < 0, "A sells better than the shop, and B worse by more"


def test_what_was_given_back_counts_by_invoice_and_is_a_sign_of_life() -> None:
    bought = [(1, "a", "LAMP", AT - timedelta(days=60), 1, 2.0)]
    row = of(1, bought, [("C1", AT - timedelta(days=4)), ("C1", AT - timedelta(days=4)), ("C2", AT)])
    assert row is not None
    assert (row["returns"], row["returns_90d"], row["days_since_return"], row["days_since_line"]) == (1, 1, 4.0, 4.0)
