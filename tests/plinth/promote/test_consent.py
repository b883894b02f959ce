"""No consent, no contact: the check finds every row that breaks it, and only those."""

from __future__ import annotations

import pyarrow as pa
import pytest

from plinth.promote import ExamplesUnusable, consent_violations
from tests.plinth.promote.worlds import people


def _plan(*rows: tuple[int, int]) -> pa.Table:
    return pa.table(
        {
            "customer_no": pa.array([r[0] for r in rows], pa.int64()),
            "promotion_id": pa.array([r[1] for r in rows], pa.int64()),
        }
    )


def test_every_kind_of_violation_is_found_with_its_reason() -> None:
    customers = people([True, False, None, True, True], active=[True, True, True, False, None])
    found = consent_violations(_plan((1, 7), (2, 7), (3, 7), (4, 7), (5, 7), (6, 7), (2, 8)), customers)
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        (2, 7, "no consent"),
        (2, 8, "no consent"),
        (3, 7, "no consent"),
        (4, 7, "account closed"),
        (6, 7, "unknown customer"),
    ]


def test_one_no_among_several_rows_of_a_customer_counts() -> None:
    twice = pa.concat_tables([people([True]), people([False])])
    assert consent_violations(_plan((1, 7)), twice).num_rows == 1


def test_without_a_column_of_closed_accounts_only_consent_counts() -> None:
    customers = people([True, False], active=[False, True]).drop_columns(["is_active"])
    assert consent_violations(_plan((1, 7), (2, 7)), customers)["customer_no"].to_pylist() == [2]


def test_an_empty_plan_breaks_nothing_and_a_plan_without_customers_is_refused() -> None:
    assert consent_violations(_plan(), people([True])).num_rows == 0
    with pytest.raises(ExamplesUnusable):
        consent_violations(_plan((1, 7)).drop_columns(["customer_no"]), people([True]))
