"""What is believed of a learner is what unseen promotions bear out: no more of its differences than they show, and its errors as wide as they are."""

from __future__ import annotations

import numpy as np
import pytest

from plinth.promote.belief import Belief, believe, shape_of
from plinth.promote.columns import Array
from plinth.promote.learners import Arms

ROWS, PROMOTIONS, CUSTOMERS = 6000, 12, 1500


def _believed(
    seed: int, *, exaggerated: float = 1.0, noise: float = 0.0, season: float = 0.0, rows: int = ROWS
) -> tuple[Belief, Array, Array]:
    """The belief in a learner whose differences are the true ones times a factor, with noise; and the true uplift and shape of its rows."""
    rng = np.random.default_rng(seed)
    promotion, customer = rng.integers(PROMOTIONS, size=rows), rng.integers(CUSTOMERS, size=rows)
    known = rng.uniform(0.05, 0.3, CUSTOMERS)[customer]
    factor = np.exp(season * rng.normal(size=PROMOTIONS) - season**2 / 2)[promotion]
    shape = shape_of(known) / shape_of(known).mean()
    beyond = 0.05 * rng.choice([-1.0, 1.0], rows)
    uplift = 0.06 * shape + beyond
    treated = (rng.random(rows) < 0.8).astype(float)
    bought = (rng.random(rows) < np.clip(factor * (known + treated * uplift), 0, 1)).astype(float)
    said = 0.06 * shape + exaggerated * beyond + noise * rng.normal(size=rows)
    arms = Arms(np.empty((rows, 0)), treated, bought, bought)
    return believe((known, known + said), arms, customer, promotion, shift=0.0, seed=seed), uplift, shape


def test_differences_that_are_exaggerated_are_taken_back() -> None:
    slopes = [_believed(1, exaggerated=factor, rows=20_000)[0].slope for factor in (1.0, 3.0)]
    assert slopes == [pytest.approx(0.85, abs=0.15), pytest.approx(1 / 3, abs=0.1)]


def test_a_learner_that_says_nothing_true_is_hardly_believed() -> None:
    rng = np.random.default_rng(2)
    found = [_believed(seed, exaggerated=0.0, noise=float(rng.uniform(0.05, 0.1)), rows=20_000)[0] for seed in range(4)]
    assert np.mean([each.slope for each in found]) < 0.15


def test_the_level_is_right_however_wrong_the_learner_is_and_its_error_is_the_one_that_it_has() -> None:
    errors = []
    for seed in range(40):
        belief, uplift, _ = _believed(seed, exaggerated=2.0, noise=0.03, rows=2000)
        errors.append((belief.levels.mean() - uplift.mean()) / belief.levels.std())
    assert abs(np.mean(errors)) < 0.5
    assert 0.7 < np.std(errors) < 1.4


def test_seasons_of_the_promotions_widen_the_draws_and_chance_alone_does_not() -> None:
    calm = np.mean([np.log(_believed(seed)[0].seasons).std() for seed in range(6)])
    rough = np.mean([np.log(_believed(seed, season=0.4)[0].seasons).std() for seed in range(6)])
    assert calm < 0.1 < 0.25 < rough < 0.6


def test_a_promotion_of_one_arm_only_says_nothing_and_breaks_nothing() -> None:
    rng = np.random.default_rng(3)
    known = np.full(400, 0.2)
    promotion = np.repeat([0, 1, 2, 3], 100)
    treated = np.where(promotion == 3, 1.0, (rng.random(400) < 0.5).astype(float))
    arms = Arms(np.empty((400, 0)), treated, (rng.random(400) < 0.2).astype(float), np.zeros(400))
    belief = believe((known, known + 0.05), arms, np.arange(400), promotion, shift=0.01, seed=1)
    assert np.isfinite([belief.level, belief.slope, *belief.levels, *belief.slopes, *belief.seasons]).all()
