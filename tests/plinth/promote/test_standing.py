"""Where a value stands among others: ranks, whatever is missing or equal."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from plinth.promote.standing import Standing, stand_at

VALUE = st.sampled_from([-2.0, 0.0, 0.5, 3.0, float("nan")])


@given(st.lists(VALUE, min_size=1, max_size=12), st.lists(VALUE, max_size=5))
def test_it_is_the_share_of_lower_values_and_half_of_the_equal_ones(held: list[float], asked: list[float]) -> None:
    there = [value for value in held if value == value]
    found = Standing.of(np.array([held]).T)(np.array([held + asked]).T)
    for value, stand in zip(held + asked, found[:, 0].tolist(), strict=True):
        if value != value or not there:
            assert stand != stand
        else:
            low, equal = sum(each < value for each in there), sum(each == value for each in there)
            assert stand == (low + equal / 2) / len(there)


def test_each_instant_has_a_standing_of_its_own_and_so_has_each_column() -> None:
    values = np.array([[1.0, 9.0], [100.0, 7.0], [2.0, np.nan], [200.0, 8.0]])
    found = stand_at(values, np.array([1, 2, 1, 2]))
    assert np.array_equal(found, [[0.25, 0.5], [0.25, 0.25], [0.75, np.nan], [0.75, 0.75]], equal_nan=True)
