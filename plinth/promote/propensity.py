"""The chance that a customer buys within the next 28 days: a gradient-boosted classifier, calibrated on a later window.

What belongs here: training, calibration, prediction and the model's files. What does not: features (`history`, `plinth.features`) and measures. The
model takes any table of numeric columns: the 51 of `history` did a little better than the 31 of the view `customer` on each validation window of
Online Retail II (PR-AUC .576 and .569, .568 and .564), and both together no better than the former.

The classifier learns from all cut-offs but the last; Platt scaling (a logistic curve over its log-odds) then learns on the last, whose customers the
classifier has not seen in that window. Isotonic regression in its place lost PR-AUC (.639 to .614 on Online Retail II): its steps tie customers.
The time of the year is no feature: on validation windows it made the calibration worse, because two years hold each season once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from plinth.promote.columns import Array, feature_names, matrix, numbers, require
from plinth.promote.errors import ExamplesUnusable, ModelFileRefused
from plinth.promote.estimators import read_model, write_model

if TYPE_CHECKING:
    import pyarrow as pa
    from sklearn.ensemble import HistGradientBoostingClassifier

KIND = "propensity"


@dataclass(frozen=True)
class PropensitySettings:
    """The classifier's settings, chosen on cut-offs of Online Retail II before the test's: the figures hardly depend on them."""

    iterations: int = 150
    learning_rate: float = 0.04
    leaves: int = 10
    smallest_leaf: int = 150
    share_of_features: float = 0.4
    ridge: float = 5.0


@dataclass(frozen=True)
class Propensity:
    """A trained propensity.

    Attributes:
        features: names of the columns that it reads.
        slope, intercept: the calibration: log-odds = intercept + slope x the classifier's log-odds.
        trained_until: the last cut-off of its examples, on which it was calibrated.
    """

    classifier: HistGradientBoostingClassifier
    features: tuple[str, ...]
    slope: float
    intercept: float
    trained_until: datetime
    settings: PropensitySettings
    seed: int

    def predict(self, features: pa.Table) -> Array:
        """The calibrated chance of each row, in the rows' order.

        Raises:
            ExamplesUnusable: the table lacks a column that the model was trained on.
        """
        return _sigmoid(self.intercept + self.slope * _log_odds(self.uncalibrated(features)))

    def uncalibrated(self, features: pa.Table) -> Array:
        """The classifier's own chance of each row, which ranks as `predict` does."""
        if features.num_rows == 0:
            return np.empty(0)
        found = self.classifier.predict_proba(matrix(features, self.features))[:, 1]
        return np.asarray(found, dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Writes `estimators.skops` and `settings.json` into a folder; the same model gives the same bytes."""
        about = {
            "kind": KIND,
            "features": list(self.features),
            "slope": self.slope,
            "intercept": self.intercept,
            "trained_until": self.trained_until.isoformat(),
            "seed": self.seed,
            "settings": asdict(self.settings),
        }
        write_model(folder, [self.classifier], about)

    @classmethod
    def load(cls, folder: Path) -> Propensity:
        """Reads what `save` has written.

        Raises:
            ModelFileRefused: a file is missing or broken, holds a type that is not trusted, or another model.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier

        found, about = read_model(folder, KIND, (HistGradientBoostingClassifier,))
        try:
            features = tuple(str(name) for name in about["features"])
            if len(found) != 1 or found[0].n_features_in_ != len(features):
                raise ValueError(f"{len(found)} classifiers for {len(features)} features")
            return cls(
                classifier=found[0],
                features=features,
                slope=float(about["slope"]),
                intercept=float(about["intercept"]),
                trained_until=datetime.fromisoformat(about["trained_until"]),
                settings=PropensitySettings(**about["settings"]),
                seed=int(about["seed"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise ModelFileRefused("the model's files contradict each other", found=problem, where=folder) from problem


def train_propensity(
    examples: pa.Table,
    *,
    seed: int,
    threads: int,
    features: Sequence[str] | None = None,
    settings: PropensitySettings | None = None,
) -> Propensity:
    """Trains on all cut-offs but the last, and calibrates on the last.

    Args:
        examples: rows of `customer`, `at` (the cut-off), `bought` (BOOLEAN) and numeric features, as `history.examples` gives them.
        features: which columns to learn from; every numeric one by default.
        threads: how many threads the classifier may use (more than there are cores makes it ten times slower).

    Raises:
        ExamplesUnusable: there are fewer than two cut-offs, or one side of them has no buyers or nobody else.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    require(examples, ("customer", "at", "bought"))
    settings = settings or PropensitySettings()
    names = tuple(features) if features is not None else feature_names(examples)
    learn, calibrate, last = _split(examples)
    values, bought = matrix(examples, names), numbers(examples, "bought")
    for part, what in ((learn, "before the last cut-off"), (calibrate, "at the last cut-off")):
        _two_classes(bought[part], what)
    classifier = HistGradientBoostingClassifier(
        learning_rate=settings.learning_rate,
        max_iter=settings.iterations,
        max_leaf_nodes=settings.leaves,
        min_samples_leaf=settings.smallest_leaf,
        max_features=settings.share_of_features,
        l2_regularization=settings.ridge,
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(limits=threads):
        classifier.fit(values[learn], bought[learn].astype(np.int64))
        odds = _log_odds(classifier.predict_proba(values[calibrate])[:, 1])
    slope, intercept = platt(odds, bought[calibrate])
    return Propensity(classifier, names, slope, intercept, last, settings, seed)


def platt(log_odds: Array, outcome: Array) -> tuple[float, float]:
    """Slope and intercept of the logistic curve over log-odds that fits outcomes of 0 and 1 best."""
    from sklearn.linear_model import LogisticRegression

    curve = LogisticRegression(C=1e6).fit(log_odds[:, None], outcome.astype(np.int64))
    return float(curve.coef_[0, 0]), float(curve.intercept_[0])


def _split(examples: pa.Table) -> tuple[Any, Any, datetime]:
    at = np.asarray(examples["at"].to_numpy()).astype("datetime64[us]")
    instants = np.unique(at)
    if len(instants) < 2:
        raise ExamplesUnusable(
            "a propensity needs examples of two cut-offs or more, of which the last calibrates",
            expected="at least 2 cut-offs",
            found=len(instants),
            remedy="give a longer history, or more cut-offs",
        )
    return at < instants[-1], at == instants[-1], instants[-1].astype(datetime)


def _two_classes(bought: Array, where: str) -> None:
    if not 0 < bought.sum() < len(bought):
        raise ExamplesUnusable(
            "there is nothing to tell apart",
            expected="buyers and others",
            found=f"{int(bought.sum())} buyers of {len(bought)}",
            where=where,
        )


def _log_odds(chance: Any) -> Array:
    clipped = np.clip(np.asarray(chance, dtype=np.float64), 1e-9, 1 - 1e-9)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _sigmoid(log_odds: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-log_odds)))
