"""The logistic curve that turns a model's chances into chances that come true (Platt): fitted to outcomes that the model has not seen.

What belongs here: log-odds, the curve and its fit. What does not: which outcomes are unseen (`propensity`, `uplift`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plinth.promote.columns import Array

_ENDS = 1e-9


@dataclass(frozen=True)
class Curve:
    """Log-odds that come true = intercept + slope x a model's log-odds; a slope below 1 draws exaggerated chances together."""

    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def fitted(cls, log_odds: Array, outcome: Array) -> Curve:
        """The curve that fits outcomes of 0 and 1 best."""
        from sklearn.linear_model import LogisticRegression

        found = LogisticRegression(C=1e6).fit(log_odds[:, None], outcome.astype(np.int64))
        return cls(float(found.coef_[0, 0]), float(found.intercept_[0]))

    def __call__(self, chance: Array) -> Array:
        """The chances that come true, of chances that a model gives."""
        return self.of_odds(log_odds(chance))

    def of_odds(self, odds: Array) -> Array:
        """The same of a model's log-odds."""
        return np.asarray(1 / (1 + np.exp(-(self.intercept + self.slope * odds))))


def log_odds(chance: Array) -> Array:
    """Of 0 and 1 the log-odds that a billion to one has."""
    clipped = np.clip(np.asarray(chance, dtype=np.float64), _ENDS, 1 - _ENDS)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))
