"""The chance that a customer buys within the next 28 days: gradient-boosted classifiers of several seeds, calibrated on a later window.

What belongs here: training, calibration, prediction and the model's files. What does not: features (declared views, `plinth.features`) and measures.
The model takes any table of numeric columns. On five validation windows of Online Retail II those of the views `customer` and `buyer` did as well as
the SQL that stood in their place before (mean ROC-AUC .8166, PR-AUC .566, Brier score .110 of either).

Tried there without worth: small neural networks beside the classifiers (ROC-AUC +.0003, PR-AUC +.0005 on four windows), logistic regression on
normal quantiles (-.0004), classifiers of a third of the features each (-.0003).

The first classifiers learn from cut-offs whose windows end by the last cut-off; Platt scaling (a logistic curve over their mean log-odds) then learns on
the last, whose window they have not seen. The newest learn from the last cut-off too, and join the mean. On four validation windows that ranked better
than without one (ROC-AUC +.0006) and its chances were no worse; when all learnt from the last one, they were worse where trade grows: what is learnt by
heart of a window's level is missing in the curve, and does not come again in the next window.

Cut-offs that lie closer than a window are dealt out by their phase: those a whole number of windows before the last are one set, those half a window off
another, and the newest classifiers take the sets in turn. Each learns from windows that do not overlap, at no more cost than before, and their errors
have less in common. On eight validation windows 14 days apart two and four classifiers with two phases ranked better than two and one with
one (ROC-AUC +.0004 with a standard error of .0001, PR-AUC +.0008 of .0002); with one phase the same six were worth half of that.

Every second one learns from where a value stands among those of all customers at its cut-off (`standing`), not from the value: so a customer is judged
among the others of the instant, and the errors of both kinds have less in common. On the eight windows that ranked
better in each (ROC-AUC +.0010 with a standard error of .00015, PR-AUC +.0014 of .0003), where standings alone gained .0008 of .0003.

Isotonic regression in place of the curve lost PR-AUC (.639 to .614 on Online Retail II): its steps tie customers. The time of the year
is no feature: on validation windows it made the calibration worse, because two years hold each season once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from plinth.fanout import FanOut, Tell, silent
from plinth.promote.calibration import Curve, log_odds
from plinth.promote.columns import Array, feature_names, matrix, numbers, require
from plinth.promote.errors import ExamplesUnusable, ModelFileRefused
from plinth.promote.examples import HORIZON
from plinth.promote.folder import read_model, write_model
from plinth.promote.standing import Standing, stand_at
from plinth.threads import capped

if TYPE_CHECKING:
    import pyarrow as pa
    from sklearn.ensemble import HistGradientBoostingClassifier

KIND = "propensity"


@dataclass(frozen=True)
class PropensitySettings:
    """The classifiers' settings, chosen on cut-offs of Online Retail II before the test's: the figures hardly depend on them.

    Attributes:
        members: so many classifiers of different seeds are calibrated on the last cut-off, and `newest` more have learnt from it, or from one between
            it and the window before; all their log-odds are averaged.
        standing: whether every second one learns from where values stand at its cut-off; of before all did from the values.
    """

    iterations: int = 100
    learning_rate: float = 0.08
    leaves: int = 10
    smallest_leaf: int = 150
    share_of_features: float = 0.2
    ridge: float = 5.0
    members: int = 2
    newest: int = 4
    standing: bool = True


@dataclass(frozen=True)
class Propensity:
    """A trained propensity.

    Attributes:
        features: names of the columns that it reads.
        curve: the calibration of the classifiers' mean log-odds.
        trained_until: the last cut-off of its examples, on which it was calibrated.
    """

    classifiers: tuple[HistGradientBoostingClassifier, ...]
    features: tuple[str, ...]
    curve: Curve
    trained_until: datetime
    settings: PropensitySettings
    seed: int

    def predict(self, features: pa.Table, among: Standing | None = None) -> Array:
        """The calibrated chance of each row, in the rows' order.

        Args:
            features: of customers at one instant.
            among: of all customers at that instant; by default the rows are all.

        Raises:
            ExamplesUnusable: the table lacks a column that the model was trained on.
        """
        return self.curve(self.uncalibrated(features, among))

    def uncalibrated(self, features: pa.Table, among: Standing | None = None) -> Array:
        """The classifiers' own chance of each row, which ranks as `predict` does."""
        if features.num_rows == 0:
            return np.empty(0)
        values = _values(features, self.features)
        stand = (among or Standing.of(values))(values) if self.settings.standing else values
        return Curve().of_odds(_mean_odds(self.classifiers, (values, stand)))

    def standing(self, features: pa.Table) -> Standing:
        """What `predict` holds customers against, of all customers of an instant or a fair share of them."""
        return Standing.of(_values(features, self.features))

    def save(self, folder: Path) -> None:
        """Writes `estimators.skops` and `settings.json` into a folder; the same model gives the same bytes."""
        about = {
            "kind": KIND,
            "features": list(self.features),
            **asdict(self.curve),
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
            # Files from before this was a setting are of models that learnt from the values.
            settings = PropensitySettings(**{"standing": False, **about["settings"]})
            expected = settings.members + settings.newest
            if len(found) != expected or any(each.n_features_in_ != len(features) for each in found):
                raise ValueError(f"{len(found)} classifiers, not {expected} of {len(features)} features")
            return cls(
                classifiers=tuple(found),
                features=features,
                curve=Curve(float(about["slope"]), float(about["intercept"])),
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
    tell: Tell = silent,
) -> Propensity:
    """Trains on all cut-offs, and calibrates on the last those that have not learnt from its window.

    Args:
        examples: rows of `at` (the cut-off), `bought` (BOOLEAN) and numeric features: those of `examples.labels` with the values of feature views.
        features: which columns to learn from; every numeric one by default. Those in which nobody has a value are left out.
        threads: processors that it may use (more than there are makes it ten times slower); every number gives the same bytes.
        fan_out: how the classifiers are spread; side by side where they would be done one after another, as one with two threads takes longer
            than half of one with one.
        tell: hears how many of them are done.

    Raises:
        ExamplesUnusable: no cut-off lies a window before the last, or a set of them has no buyers or nobody else.
    """
    require(examples, ("at", "bought"))
    settings, fan_out = settings or PropensitySettings(), fan_out or FanOut()
    names = tuple(features) if features is not None else feature_names(examples)
    learn, phases, calibrate, last = _split(examples)
    values, bought = _values(examples, names), numbers(examples, "bought")
    # Nobody has a value where no campaign was ever run, or nothing cancelled: there is nothing to learn, and the classifiers' bins fail on it.
    told = np.all([~np.isnan(values[rows]).all(axis=0) for rows in (learn, *phases)], axis=0)
    values, names = values[:, told], tuple(name for name, has in zip(names, told, strict=True) if has)
    stand = stand_at(values, np.asarray(examples["at"].to_numpy()), threads) if settings.standing else values
    for part, what in (
        (learn, "before the last cut-off"),
        (calibrate, "at the last cut-off"),
        *((each, "half-way") for each in phases),
    ):
        _two_classes(bought[part], what)
    # By turns of values and standings, and of each kind by turns of the phases.
    sets = [learn] * settings.members + [phases[n // 2 % len(phases)] for n in range(settings.newest)]
    tasks = [((values, stand)[n % 2], bought, rows, seed * 100 + n, settings) for n, rows in enumerate(sets)]
    spread = fan_out.beside(threads, len(tasks))
    fitted = spread.run(_fitted, tasks, threads=threads, what="classifiers", tell=tell)
    unseen, asked = fitted[: settings.members], (values[calibrate], stand[calibrate])
    with capped(threads):
        curve = Curve.fitted(_mean_odds(unseen, asked), bought[calibrate])
    return Propensity(tuple(fitted), names, curve, last, settings, seed)


def _fitted(
    values: Array, bought: Array, rows: Any, seed: int, settings: PropensitySettings
) -> HistGradientBoostingClassifier:
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
    ).fit(values[rows], bought[rows].astype(np.int64))


def _mean_odds(classifiers: Sequence[HistGradientBoostingClassifier], kinds: tuple[Array, Array]) -> Array:
    """The mean log-odds of classifiers that learnt from values and from standings by turns."""
    odds = [log_odds(each.predict_proba(kinds[n % 2])[:, 1]) for n, each in enumerate(classifiers)]
    return np.asarray(np.mean(odds, axis=0))


def _values(table: pa.Table, names: Sequence[str]) -> Array:
    # Sums of doubles end in other digits with each order of the rows; in single precision the same tables give the same model.
    return np.asarray(matrix(table, names).astype(np.float32), dtype=np.float64)


def _split(examples: pa.Table) -> tuple[Any, list[Any], Any, datetime]:
    """The rows that are learnt from before the curve, those of each phase, those of the last cut-off, and when that is."""
    at = np.asarray(examples["at"].to_numpy()).astype("datetime64[us]")
    moments = at.astype(np.int64)
    last = moments.max(initial=0)
    phase = (last - moments) % (HORIZON // timedelta(microseconds=1))
    learn = (phase == 0) & (moments < last)
    if not learn.any():
        raise ExamplesUnusable(
            "a propensity needs examples of two cut-offs or more, of which the last calibrates",
            expected=f"at least 2 cut-offs, {HORIZON.days} days apart",
            found=len(np.unique(at)),
            remedy="give a longer history, or more cut-offs",
        )
    return learn, [phase == each for each in np.unique(phase)], moments == last, at.max().astype(datetime)


def _two_classes(bought: Array, where: str) -> None:
    if not 0 < bought.sum() < len(bought):
        raise ExamplesUnusable(
            "there is nothing to tell apart",
            expected="buyers and others",
            found=f"{int(bought.sum())} buyers of {len(bought)}",
            where=where,
        )
