"""The chance that a customer buys within the next 28 days: gradient-boosted classifiers of several seeds, calibrated on a later window.

What belongs here: training, calibration, prediction and the model's files. What does not: features (declared views, `plinth.features`) and measures.
The model takes any table of numeric columns. On five validation windows of Online Retail II those of the views `customer` and `buyer` did as well as
the SQL that stood in their place before (mean ROC-AUC .8166, PR-AUC .566, Brier score .110 of either).

Tried there without worth: small neural networks beside the classifiers (ROC-AUC +.0003, PR-AUC +.0005 on four windows), logistic regression on
normal quantiles (-.0004), classifiers of a third of the features each (-.0003).

All classifiers but the newest learn from all cut-offs but the last; Platt scaling (a logistic curve over their mean log-odds) then learns on the last,
whose window they have not seen. The newest learns from the last cut-off too, and joins the mean. On four validation windows that ranked better than
without it (ROC-AUC +.0006) and its chances were no worse; when all learnt from the last one, they were worse where trade grows: what is learnt by heart
of a window's level is missing in the curve, and does not come again in the next window. Isotonic regression in place of the curve lost PR-AUC (.639 to
.614 on Online Retail II): its steps tie customers. The time of the year is no feature: on validation windows it made the calibration worse, because two
years hold each season once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from plinth.fanout import FanOut
from plinth.promote.columns import Array, feature_names, matrix, numbers, require
from plinth.promote.errors import ExamplesUnusable, ModelFileRefused
from plinth.promote.folder import read_model, write_model
from plinth.threads import capped

if TYPE_CHECKING:
    import pyarrow as pa
    from sklearn.ensemble import HistGradientBoostingClassifier

KIND = "propensity"


@dataclass(frozen=True)
class PropensitySettings:
    """The classifiers' settings, chosen on cut-offs of Online Retail II before the test's: the figures hardly depend on them.

    Attributes:
        members: so many classifiers of different seeds are calibrated on the last cut-off, and `newest` more have learnt from it; all their log-odds
            are averaged.
    """

    iterations: int = 200
    learning_rate: float = 0.04
    leaves: int = 10
    smallest_leaf: int = 150
    share_of_features: float = 0.2
    ridge: float = 5.0
    members: int = 2
    newest: int = 1


@dataclass(frozen=True)
class Propensity:
    """A trained propensity.

    Attributes:
        features: names of the columns that it reads.
        slope, intercept: the calibration: log-odds = intercept + slope x the classifiers' mean log-odds.
        trained_until: the last cut-off of its examples, on which it was calibrated.
    """

    classifiers: tuple[HistGradientBoostingClassifier, ...]
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
        """The classifiers' own chance of each row, which ranks as `predict` does."""
        if features.num_rows == 0:
            return np.empty(0)
        return _sigmoid(_mean_odds(self.classifiers, _values(features, self.features)))

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
        write_model(folder, self.classifiers, about)

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
            settings = PropensitySettings(**about["settings"])
            expected = settings.members + settings.newest
            if len(found) != expected or any(each.n_features_in_ != len(features) for each in found):
                raise ValueError(f"{len(found)} classifiers, not {expected} of {len(features)} features")
            return cls(
                classifiers=tuple(found),
                features=features,
                slope=float(about["slope"]),
                intercept=float(about["intercept"]),
                trained_until=datetime.fromisoformat(about["trained_until"]),
                settings=settings,
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
    fan_out: FanOut | None = None,
) -> Propensity:
    """Trains on all cut-offs, and calibrates on the last those that have not learnt from it.

    Args:
        examples: rows of `at` (the cut-off), `bought` (BOOLEAN) and numeric features: those of `examples.labels` with the values of feature views.
        features: which columns to learn from; every numeric one by default. Those in which nobody has a value are left out.
        threads: how many threads a classifier may use (more than there are cores makes it ten times slower).
        fan_out: how the classifiers are spread; by default one after another.

    Raises:
        ExamplesUnusable: there are fewer than two cut-offs, or one side of them has no buyers or nobody else.
    """
    require(examples, ("at", "bought"))
    settings, fan_out = settings or PropensitySettings(), fan_out or FanOut()
    names = tuple(features) if features is not None else feature_names(examples)
    learn, calibrate, last = _split(examples)
    values, bought = _values(examples, names), numbers(examples, "bought")
    # Nobody has a value where no campaign was ever run, or nothing cancelled: there is nothing to learn, and the classifiers' bins fail on it.
    told = ~np.isnan(values[learn]).all(axis=0)
    values, names = values[:, told], tuple(name for name, has in zip(names, told, strict=True) if has)
    for part, what in ((learn, "before the last cut-off"), (calibrate, "at the last cut-off")):
        _two_classes(bought[part], what)
    seeds = range(seed * 100, seed * 100 + settings.members + settings.newest)
    before = [(values[learn], bought[learn], each, settings) for each in seeds[: settings.members]]
    everything = [(values, bought, each, settings) for each in seeds[settings.members :]]
    fitted = fan_out.run(_fitted, [*before, *everything], threads=threads)
    unseen, newest = fitted[: settings.members], fitted[settings.members :]
    with capped(threads):
        slope, intercept = platt(_mean_odds(unseen, values[calibrate]), bought[calibrate])
    return Propensity((*unseen, *newest), names, slope, intercept, last, settings, seed)


def _fitted(values: Array, bought: Array, seed: int, settings: PropensitySettings) -> HistGradientBoostingClassifier:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        learning_rate=settings.learning_rate,
        max_iter=settings.iterations,
        max_leaf_nodes=settings.leaves,
        min_samples_leaf=settings.smallest_leaf,
        max_features=settings.share_of_features,
        l2_regularization=settings.ridge,
        early_stopping=False,
        random_state=seed,
    ).fit(values, bought.astype(np.int64))


def _mean_odds(classifiers: Sequence[HistGradientBoostingClassifier], values: Array) -> Array:
    return np.asarray(np.mean([_log_odds(each.predict_proba(values)[:, 1]) for each in classifiers], axis=0))


def _values(table: pa.Table, names: Sequence[str]) -> Array:
    # Sums of doubles end in other digits with each order of the rows; in single precision the same tables give the same model.
    return np.asarray(matrix(table, names).astype(np.float32), dtype=np.float64)


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
