"""The best of many learners is partly the luckiest; what is said of the choice must not be."""

from __future__ import annotations

import numpy as np

from plinth.promote.choice import Candidate, best_of, qini_of_each, unchosen
from plinth.promote.columns import Array
from plinth.promote.learners import Arms
from plinth.promote.qini import qini_curve


def _world(
    seed: int, rows: int = 1200, effect: float = 0.0
) -> tuple[dict[Candidate, tuple[Array, Array]], Arms, Array]:
    """Twelve candidates that guess and, where there is an effect, one that knows it; a trial; and its folds."""
    rng = np.random.default_rng(seed)
    moved = rng.random(rows) < 0.5
    treated = (rng.random(rows) < 0.5).astype(float)
    bought = (rng.random(rows) < 0.2 + effect * treated * moved).astype(float)
    known = np.full(rows, 0.2)
    said = {Candidate("hazard", float(n)): (known, known + 0.1 * rng.random(rows)) for n in range(12)}
    if effect:
        said[Candidate("two_models")] = (known, known + effect * moved)
    return said, Arms(np.empty((rows, 0)), treated, bought, bought), np.arange(rows) % 3


def test_the_choice_among_guesses_is_no_better_than_a_guess_though_the_best_of_them_looks_so() -> None:
    lucky, honest = [], []
    for seed in range(20):
        said, arms, folds = _world(seed)
        lucky.append(max(qini_of_each(said, arms, folds).values()))
        untreated, treated = unchosen(said, arms, folds)
        honest.append(qini_curve(treated - untreated, arms.treated, arms.bought).coefficient)
    error = np.std(honest) / np.sqrt(len(honest))
    assert np.mean(lucky) > 3 * error
    assert abs(np.mean(honest)) < 3 * error


def test_a_learner_that_knows_is_chosen_by_every_fold() -> None:
    said, arms, folds = _world(1, rows=6000, effect=0.3)
    assert best_of(said, arms, folds) == Candidate("two_models")
    untreated, treated = unchosen(said, arms, folds)
    assert np.array_equal(treated - untreated, np.subtract(*reversed(said[Candidate("two_models")])))
