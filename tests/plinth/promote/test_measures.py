"""The figures are what their definitions say, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plinth.promote import ExamplesUnusable, measure_propensity
from plinth.promote.measures import calibration_error, lift, reliability


def test_the_figures_of_a_small_case() -> None:
    chance = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.2, 0.1, 0.1])
    bought = np.array([1, 0, 1, 0, 1, 0, 0, 0, 0, 0.0])
    found = measure_propensity(chance, bought)
    assert found.customers == 10
    assert found.base_rate == 0.3
    # Pairs of a buyer and another in the right order: 7 of 7, 6 of 7, 5 of 7.
    assert found.roc_auc == pytest.approx(18 / 21)
    # Precision where each buyer is found: 1/1, 2/3, 3/5.
    assert found.pr_auc == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert found.brier == pytest.approx(np.mean([0.01, 0.64, 0.09, 0.36, 0.36, 0.09, 0.04, 0.04, 0.01, 0.01]))
    assert found.ece == pytest.approx(np.mean([0.1, 0.8, 0.3, 0.6, 0.6, 0.3, 0.2, 0.2, 0.1, 0.1]))
    assert found.lift_at_10 == pytest.approx(1 / 0.3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans()), min_size=2, max_size=40))
def test_roc_auc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[float, bool]]) -> None:
    chance, bought = np.array([row[0] for row in rows]), np.array([float(row[1]) for row in rows])
    if not 0 < bought.sum() < len(bought):
        with pytest.raises(ExamplesUnusable):
            measure_propensity(chance, bought)
        return
    pairs = [np.sign(a - b) / 2 + 0.5 for a in chance[bought == 1] for b in chance[bought == 0]]
    assert measure_propensity(chance, bought).roc_auc == pytest.approx(np.mean(pairs))


def test_reliability_groups_hold_everyone_once_and_rise() -> None:
    rng = np.random.default_rng(1)
    chance = rng.random(103)
    groups = reliability(chance, (rng.random(103) < chance).astype(float))
    assert sum(group.customers for group in groups) == 103
    assert {group.customers for group in groups} == {10, 11}
    means = [group.mean_chance for group in groups]
    assert means == sorted(means)


def test_chances_that_are_right_have_little_error_and_wrong_ones_have_theirs() -> None:
    rng = np.random.default_rng(2)
    chance = rng.uniform(0.05, 0.6, 40_000)
    bought = (rng.random(40_000) < chance).astype(float)
    assert calibration_error(reliability(chance, bought)) < 0.01
    assert calibration_error(reliability(chance + 0.2, bought)) == pytest.approx(0.2, abs=0.01)


def test_lift_rounds_the_tenth_up() -> None:
    chance, bought = np.linspace(1, 0, 11), np.array([1, 1] + [0] * 9, dtype=float)
    assert lift(chance, bought, 0.1) == pytest.approx(1 / (2 / 11))
    assert lift(chance, bought, 0.3) == pytest.approx(0.5 / (2 / 11))
