"""How well a ranking finds the customers whom a promotion moves, judged by a randomised trial: the Qini curve and its coefficient.

What belongs here: the curve, the coefficient with its bootstrap interval, and the same where the true uplift is known. What does not: models.

The curve at a share s of all rows, those with the highest scores first: (buyers among the treated of them) / (all treated) - (buyers among the held out of them) /
(all held out), an estimate of the extra buyers per row that treating only them brings. The coefficient is the area between the curve and the straight
line to its end, which a random ranking follows. Rows of one score enter together, so that their order means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from plinth.promote.columns import Array
from plinth.promote.errors import ExamplesUnusable


@dataclass(frozen=True)
class QiniCurve:
    """Points of the curve, from (0, 0) on: share of rows, and extra buyers per row."""

    share: Array
    gain: Array

    @property
    def coefficient(self) -> float:
        """The area between the curve and the line to its end."""
        return float(np.trapezoid(self.gain, self.share) - self.gain[-1] / 2)


@dataclass(frozen=True)
class UpliftMetrics:
    """How an uplift model does on rows that it has not learnt from.

    Attributes:
        qini: the coefficient, with the ends of its 95 % interval by bootstrap over customers.
        uplift: treated share of buyers minus held-out share over all rows, with its interval.
        uplift_top_30: the same among the 30 % with the highest scores.
        slope: by how much the true differences go with the predicted ones; 1 where the sizes are right, below 1 where they are exaggerated.
    """

    rows: int
    treated: int
    held_out: int
    qini: float
    qini_low: float
    qini_high: float
    uplift: float
    uplift_low: float
    uplift_high: float
    uplift_top_30: float
    slope: float

    def figures(self) -> dict[str, float]:
        """All figures by name, for a registry or an asset's metadata."""
        return {name: float(value) for name, value in asdict(self).items()}


def qini_curve(score: Array, treated: Array, bought: Array, weights: Array | None = None) -> QiniCurve:
    """The curve of a trial's rows: score, treated (1) or held out (0), bought (1) or not (0), and how often each row counts.

    Raises:
        ExamplesUnusable: one arm of the trial is empty.
    """
    weights = np.ones(len(score)) if weights is None else weights
    arms = weights * treated, weights * (1 - treated)
    if len(score) == 0 or min(arms[0].sum(), arms[1].sum()) <= 0:
        raise ExamplesUnusable(
            "a trial needs both arms", expected="treated and held-out rows", found=f"{len(score)} rows, one arm empty"
        )
    effect = arms[0] * bought / arms[0].sum() - arms[1] * bought / arms[1].sum()
    return _cumulated(score, effect, weights / weights.sum())


def true_curve(score: Array, uplift: Array) -> QiniCurve:
    """The curve that a ranking has where each row's true uplift is known."""
    size = len(score)
    return _cumulated(score, uplift / size, np.full(size, 1 / size))


def measure_uplift(
    score: Array, treated: Array, bought: Array, customer: Array, *, seed: int, resamples: int = 200
) -> UpliftMetrics:
    """Judges predicted uplifts by a trial's rows; a customer's rows are drawn together in the bootstrap.

    Raises:
        ExamplesUnusable: one arm of the trial is empty.
    """
    base = qini_curve(score, treated, bought)
    rng = np.random.default_rng(seed)
    people, of_row = np.unique(customer, return_inverse=True)
    drawn = []
    for _ in range(resamples):
        weights = rng.multinomial(len(people), np.full(len(people), 1 / len(people)))[of_row].astype(np.float64)
        if min((weights * treated).sum(), (weights * (1 - treated)).sum()) > 0:
            curve = qini_curve(score, treated, bought, weights)
            drawn.append((curve.coefficient, float(curve.gain[-1])))
    (qini_low, uplift_low), (qini_high, uplift_high) = np.quantile(np.array(drawn), (0.025, 0.975), axis=0)
    top = np.argsort(-score, kind="stable")[: max(1, int(np.ceil(0.3 * len(score))))]
    return UpliftMetrics(
        rows=len(score),
        treated=int(treated.sum()),
        held_out=int((1 - treated).sum()),
        qini=base.coefficient,
        qini_low=float(qini_low),
        qini_high=float(qini_high),
        uplift=float(base.gain[-1]),
        uplift_low=float(uplift_low),
        uplift_high=float(uplift_high),
        uplift_top_30=trial_effect(treated[top], bought[top]),
        slope=_slope(score, treated, bought),
    )


def pooled_qini(parts: Sequence[UpliftMetrics]) -> tuple[float, float, float]:
    """The coefficient over trials that were judged apart, each by how sure it is, with the ends of its 95 % interval."""
    found = np.array([each.qini for each in parts])
    weights = np.array([max((each.qini_high - each.qini_low) / 3.92, 1e-9) ** -2 for each in parts])
    mean, error = float(weights @ found / weights.sum()), float(weights.sum() ** -0.5)
    return mean, mean - 1.96 * error, mean + 1.96 * error


def trial_effect(treated: Array, bought: Array) -> float:
    """The treated's share of buyers less that of the held out; not a number where an arm is empty."""
    if not 0 < treated.sum() < len(treated):
        return float("nan")
    return float(bought[treated == 1].mean() - bought[treated == 0].mean())


def _cumulated(score: Array, effect: Array, mass: Array) -> QiniCurve:
    order = np.argsort(-score, kind="stable")
    last = np.r_[np.flatnonzero(np.diff(score[order])), len(score) - 1]
    return QiniCurve(np.r_[0.0, np.cumsum(mass[order])[last]], np.r_[0.0, np.cumsum(effect[order])[last]])


def _slope(score: Array, treated: Array, bought: Array) -> float:
    """Least squares of bought on 1, score, treated and treated x score, all centred: the last one's coefficient."""
    centred = score - score.mean()
    arm = treated - treated.mean()
    if centred.std() == 0:
        return 0.0
    design = np.column_stack([np.ones(len(score)), centred, arm, arm * centred])
    return float(np.linalg.lstsq(design, bought, rcond=None)[0][3])
