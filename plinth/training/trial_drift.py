"""How well an uplift told what trials came to that ended after it had seen the last: their effect, and whom a contact moved.

What belongs here: the figures and the sentence that says what was lost. What does not: the limits (`training.drift` in platform.yaml) and when a look is
taken (`plinth.training.watched`).

A trial's effect is an average over some hundred customers and one season, so it lies apart from any honest expectation: it is judged by the standard error
of both, that of the trials by a bootstrap over customers and that of the champion by its own draws of effect and season. On the sample's 22 trials, one by one,
the distance had a standard deviation of 1.1 such errors and was 2.5 at most; 3,548 rows of five trials in which nobody was moved any more lay 2.6 away, and
their ranking was worse than one by lot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from plinth.sections import DriftLimits

if TYPE_CHECKING:
    import pyarrow as pa

    from plinth.promote.qini import UpliftMetrics
    from plinth.promote.uplift import Uplift

_SEED = 20


@dataclass(frozen=True)
class TrialsTold:
    """What became of the trials that a champion did not know.

    Attributes:
        first, last: days of the first and the last contact.
        promotions: how many trials.
        figures: of the champion's predictions on their rows.
        expected, error: the mean effect that it expected, and the standard error of that by its draws.
    """

    first: date
    last: date
    promotions: int
    figures: UpliftMetrics
    expected: float
    error: float

    @property
    def apart(self) -> float:
        """How far the trials' effect lies from the expected one, in standard errors of both; below 0 where it is smaller."""
        observed = (self.figures.uplift_high - self.figures.uplift_low) / 3.92
        return (self.figures.uplift - self.expected) / max(math.hypot(observed, self.error), 1e-12)

    def untold(self, limits: DriftLimits) -> str:
        """Why nothing can be said, for people; empty where it can."""
        treated, held_out = self.figures.treated, self.figures.held_out
        if min(treated, held_out) >= limits.customers:
            return ""
        return (
            f"too few to judge the effect by: {treated} contacts and {held_out} held out in {self._trials}, "
            f"at least {limits.customers} of either are to be"
        )

    def reason(self, limits: DriftLimits) -> str:
        """Whether the trials came to something else than was expected, for people; empty where they did not, or where it cannot be told."""
        if self.untold(limits):
            return ""
        lost = []
        if abs(self.apart) > limits.effect_apart:
            lost.append(
                f"their effect is {self.figures.uplift:.4f} where {self.expected:.4f} was expected, {abs(self.apart):.1f} standard errors apart, "
                f"more than {limits.effect_apart:g}"
            )
        if self.figures.qini_high < 0:
            lost.append(
                f"its ranking is worse than one by lot: Qini {self.figures.qini:.4f}, 95 % from {self.figures.qini_low:.4f} to {self.figures.qini_high:.4f}"
            )
        return f"quality drift: of {self._trials} {' and '.join(lost)}" if lost else ""

    def said(self, limits: DriftLimits) -> str:
        """What was seen where nothing is asked for."""
        return self.untold(limits) or (
            f"no limit is passed: effect {self.figures.uplift:.4f} where {self.expected:.4f} was expected, {abs(self.apart):.1f} standard errors apart; "
            f"{self._trials}"
        )

    @property
    def _trials(self) -> str:
        return f"{self.promotions} trial{'s' * (self.promotions != 1)} with contacts from {self.first} to {self.last}"


def trials_told(model: Uplift, rows: pa.Table) -> TrialsTold:
    """What became of trials that a model has not seen.

    Args:
        rows: of `plinth.promote.booked.trials`.

    Raises:
        ExamplesUnusable: one arm is empty, or the rows lack a feature of the model's.
    """
    from plinth.promote.columns import numbers
    from plinth.promote.qini import measure_uplift

    predicted = model.predict(rows)
    treated, bought, customer = (numbers(rows, name) for name in ("treated", "bought", "customer_no"))
    figures = measure_uplift(predicted.uplift, treated, bought, customer, seed=_SEED)
    days: list[datetime] = rows["at"].to_pylist()
    return TrialsTold(
        first=min(days).date(),
        last=max(days).date(),
        promotions=len(set(rows["promotion_id"].to_pylist())),
        figures=figures,
        expected=float(predicted.uplift.mean()),
        error=float(predicted.draws.uplift.mean(axis=1).std(ddof=1)),
    )
