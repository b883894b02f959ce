"""The Qini curve is what its definition says, and finds an effect that is there and none where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plinth.promote import ExamplesUnusable, UpliftMetrics, measure_uplift
from plinth.promote.qini import pooled_qini, qini_curve, true_curve


def test_the_curve_of_a_small_trial_by_hand() -> None:
    score = np.array([0.9, 0.8, 0.7, 0.1])
    treated = np.array([1, 0, 1, 0.0])
    bought = np.array([1, 0, 0, 1.0])
    curve = qini_curve(score, treated, bought)
    assert curve.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.gain.tolist() == [0, 0.5, 0.5, 0.5, 0]
    # Trapezes: 1/16 + 1/8 + 1/8 + 1/16; the line to the end is the axis.
    assert curve.coefficient == pytest.approx(0.375)


_rows = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.booleans()), min_size=2, max_size=30)


@settings(max_examples=60, deadline=None)
@given(_rows, st.randoms(use_true_random=False))
def test_it_is_the_count_among_the_highest_scores_and_the_order_of_ties_means_nothing(
    rows: list[tuple[int, bool, bool]], random: object
) -> None:
    score, treated, bought = (np.array([float(row[k]) for row in rows]) for k in range(3))
    if not 0 < treated.sum() < len(rows):
        with pytest.raises(ExamplesUnusable):
            qini_curve(score, treated, bought)
        return
    curve = qini_curve(score, treated, bought)
    for place, least in enumerate(sorted(set(score), reverse=True), start=1):
        top = score >= least
        gain = (
            bought[top & (treated == 1)].sum() / treated.sum()
            - bought[top & (treated == 0)].sum() / (1 - treated).sum()
        )
        assert curve.gain[place] == pytest.approx(gain)
        assert curve.share[place] == pytest.approx(top.mean())
    shuffled = list(range(len(rows)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert qini_curve(score[shuffled], treated[shuffled], bought[shuffled]).coefficient == pytest.approx(
        curve.coefficient
    )


def test_weights_count_a_row_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    score, treated = rng.random(40), np.tile([1.0, 1, 0, 1], 10)
    bought, weights = (rng.random(40) < 0.4).astype(float), rng.integers(0, 3, 40).astype(float)
    twice = np.repeat(np.arange(40), weights.astype(int))
    weighed = qini_curve(score, treated, bought, weights).coefficient
    assert weighed == pytest.approx(qini_curve(score[twice], treated[twice], bought[twice]).coefficient)


@pytest.mark.slow
def test_a_known_effect_is_found_by_its_own_ranking_and_not_by_a_random_one() -> None:
    rng = np.random.default_rng(5)
    size = 40_000
    uplift = rng.choice([0.0, 0.3], size)
    treated = (rng.random(size) < 0.8).astype(float)
    bought = (rng.random(size) < 0.2 + treated * uplift).astype(float)
    customer = np.arange(size, dtype=float)
    # Half of the rows hold all of the effect of 0.15 a row: the triangle over the line has the area 0.15 / 4.
    assert true_curve(uplift, uplift).coefficient == pytest.approx(0.15 / 4, rel=0.02)
    found = measure_uplift(uplift + rng.random(size) / 100, treated, bought, customer, seed=1)
    assert found.qini == pytest.approx(0.15 / 4, abs=0.006)
    assert found.qini_low < 0.15 / 4 < found.qini_high
    assert found.uplift_low < 0.15 < found.uplift_high
    assert found.uplift_top_30 == pytest.approx(0.3, abs=0.03)
    assert found.slope == pytest.approx(1, abs=0.1)
    nothing = measure_uplift(rng.random(size), treated, bought, customer, seed=1)
    assert nothing.qini_low < 0 < nothing.qini_high


def test_sizes_that_are_exaggerated_show_in_the_slope() -> None:
    rng = np.random.default_rng(6)
    size = 60_000
    uplift = rng.uniform(0, 0.3, size)
    treated = (rng.random(size) < 0.5).astype(float)
    bought = (rng.random(size) < 0.2 + treated * uplift).astype(float)
    assert measure_uplift(
        2 * uplift, treated, bought, np.arange(size, dtype=float), seed=1, resamples=5
    ).slope == pytest.approx(0.5, abs=0.08)


def test_customers_are_drawn_with_all_their_rows() -> None:
    rng = np.random.default_rng(7)
    people, repeats = 300, 20
    # All rows of a customer are alike, so that 6,000 rows know no more than 300.
    treated = np.repeat((rng.random(people) < 0.5).astype(float), repeats)
    bought = np.repeat((rng.random(people) < 0.4).astype(float), repeats)
    customer = np.repeat(np.arange(people, dtype=float), repeats)
    together = measure_uplift(rng.random(people * repeats), treated, bought, customer, seed=1)
    apart = measure_uplift(
        rng.random(people * repeats), treated, bought, np.arange(people * repeats, dtype=float), seed=1
    )
    width = together.uplift_high - together.uplift_low
    assert width > 3 * (apart.uplift_high - apart.uplift_low)


def test_trials_that_were_judged_apart_are_pooled_by_how_sure_each_is() -> None:
    rng = np.random.default_rng(5)

    def judged(rows: int) -> UpliftMetrics:
        treated, score = (rng.random(rows) < 0.5).astype(float), rng.normal(size=rows)
        bought = (rng.random(rows) < 0.3 + 0.1 * treated * (score > 0)).astype(float)
        return measure_uplift(score, treated, bought, np.arange(rows), seed=1)

    large, small = judged(8000), judged(800)
    mean, low, high = pooled_qini([large, small])
    assert abs(mean - large.qini) < abs(mean - small.qini)
    assert high - low < large.qini_high - large.qini_low < small.qini_high - small.qini_low
    assert pooled_qini([small])[0] == small.qini
