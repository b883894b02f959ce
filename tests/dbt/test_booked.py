"""What the uplift learns at a cut-off is what was booked by then: silver as dbt makes it, before and after a late cancellation."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from plinth.promote import history_features
from plinth.promote.booked import make_lines, make_orders
from tests.dbt.test_lines import Lines, lines
from tests.plinth.promote.worlds import points_in

__all__ = ["lines"]
pytestmark = pytest.mark.slow

_DAY = 24 * 60
CUTOFF = datetime(2024, 3, 1)
CUSTOMERS = (7, 8, 9)


def _learnt(booked: Lines, at: datetime) -> pa.Table:
    silver = pa.Table.from_pylist(list(booked.made().values()))
    booked.con.register("silver_now", silver)
    make_lines(booked.con, "sold", "silver_now")
    make_orders(booked.con, "orders", "sold")
    points_in(booked.con, [(customer, at) for customer in CUSTOMERS])
    return history_features(booked.con, "points", "orders")


def test_a_cancellation_after_the_cutoff_changes_no_feature_before_it(lines: Lines) -> None:
    for customer in CUSTOMERS:
        for visit in range(4):
            lines.book(f"5{customer}{visit}", 3 + visit, customer=customer, minute=visit * 11 * _DAY)
            lines.book(f"5{customer}{visit}", 2, item="22423", customer=customer, minute=visit * 11 * _DAY)
    before = _learnt(lines, CUTOFF)
    (sale,) = [n for n, row in lines.made().items() if (row["invoice_no"], row["item_code"]) == ("573", "85123A")]
    minute = int((CUTOFF + timedelta(days=40) - datetime(2024, 1, 1)) / timedelta(minutes=1))
    lines.book("C573", -6, customer=7, minute=minute)
    assert lines.made()[sale]["cancelled_quantity"] == 6, "silver has matched the two, as gold will take it off"
    assert _learnt(lines, CUTOFF).equals(before)
    assert before.num_rows == 3 and before["value_all"].to_pylist()[0] > 0
