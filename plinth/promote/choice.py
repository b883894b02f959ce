"""The choice among uplift learners: by how well they rank the customers of promotions that they have not seen.

What belongs here: the folds, what a learner says of the fold it has not seen, and each candidate's figure. What does not: the learners (`learners`), and the
model that is made of the chosen one (`uplift`). The truth of a sample never stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from plinth.promote import learners
from plinth.promote.columns import Array
from plinth.promote.errors import ExamplesUnusable
from plinth.promote.learners import LINEAR, Arms, Scaling
from plinth.promote.qini import qini_curve


@dataclass(frozen=True)
class Candidate:
    """A learner that may be chosen: its kind, and how much a linear one is held back."""

    kind: str
    strength: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind} {self.strength:g}" if self.kind in LINEAR else self.kind


def folds_by_promotion(promotion: Array, arms: Arms, count: int, smallest_arm: int, seed: int) -> Array:
    """The fold of each row, by its promotion."""
    arm = min(arms.treated.sum(), (1 - arms.treated).sum())
    promotions = np.unique(promotion)
    if len(promotions) < 2 or arm < smallest_arm:
        raise ExamplesUnusable(
            "there is too little campaign history to learn an uplift from",
            expected=f"2 ended promotions and {smallest_arm} rows in each arm",
            found=f"{len(promotions)} promotions, {int(arm)} rows in the smaller arm",
            remedy="wait for more promotions with a hold-out; without an uplift nobody can say whom an offer moves",
        )
    shuffled = np.random.default_rng(seed).permutation(len(promotions))
    return np.asarray((shuffled % min(count, len(promotions)))[np.searchsorted(promotions, promotion)])


def unseen(candidate: Candidate, arms: Arms, scaling: Scaling, folds: Array, seed: int) -> tuple[Array, Array]:
    """Each row's chances, untreated and treated, by a learner that has not seen its promotion."""
    features = scaling(arms.features) if candidate.kind in LINEAR else arms.features
    rows = Arms(features, arms.treated, arms.bought, arms.orders)
    share = float(arms.treated.mean())
    found = np.empty(len(folds)), np.empty(len(folds))
    for fold in np.unique(folds):
        inside = folds == fold
        seen = rows.rows(~inside)
        models = learners.fit(candidate.kind, seen, np.ones(len(seen.bought)), candidate.strength, seed)
        found[0][inside], found[1][inside] = learners.chances(
            candidate.kind, models, features[inside], candidate.strength, share
        )
    return found


def best_of(predicted: Mapping[Candidate, tuple[Array, Array]], arms: Arms, folds: Array) -> Candidate:
    """The candidate with the highest mean; of equal ones the first."""
    found = qini_of_each(predicted, arms, folds)
    return max(found, key=lambda each: found[each])


def unchosen(predicted: Mapping[Candidate, tuple[Array, Array]], arms: Arms, folds: Array) -> tuple[Array, Array]:
    """Each row's chances by the candidate that the other folds choose: what a choice is worth that has not seen the row's outcome either.

    The chosen candidate's own figure is that of the luckiest of several, and would pass a gate more often than it should.
    """
    found = np.empty(len(folds)), np.empty(len(folds))
    for fold in np.unique(folds):
        inside = folds == fold
        others = {each: (untreated[~inside], treated[~inside]) for each, (untreated, treated) in predicted.items()}
        best = best_of(others, arms.rows(~inside), folds[~inside])
        found[0][inside], found[1][inside] = (chances[inside] for chances in predicted[best])
    return found


def qini_of_each(
    predicted: Mapping[Candidate, tuple[Array, Array]], arms: Arms, folds: Array
) -> dict[Candidate, float]:
    """Each candidate's mean Qini coefficient over the folds.

    Buying is taken less the chance that all candidates together gave it, which is the same for both arms: that moves no expectation and takes
    away much of the noise by which a choice among close candidates would be drawn.
    """
    share = float(arms.treated.mean())
    expected = np.mean([share * treated + (1 - share) * untreated for untreated, treated in predicted.values()], axis=0)
    rest = arms.bought - expected
    parts = [folds == fold for fold in np.unique(folds)]
    return {
        each: float(
            np.mean([qini_curve((treated - untreated)[p], arms.treated[p], rest[p]).coefficient for p in parts])
        )
        for each, (untreated, treated) in predicted.items()
    }
