"""The ways to learn an uplift from a randomised trial; each gives a row's chance to buy untreated and treated.

What belongs here: one function to fit and one to ask each kind. What does not: the choice among them, bootstrap and files (`uplift`).

- `hazard`: a Poisson regression of the days with an order on features, treatment and their products; chance = 1 - exp(-mean). A treatment multiplies the
  rate of orders, and what that does to the chance follows from the rate.
- `logistic`: logistic regression on the same terms.
- `two_models`: one gradient-boosted classifier for each arm.
- `x_learner`: two such classifiers, then regressions of what each arm's rows gained over the other arm's model, weighted by the arm's shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from plinth.promote.columns import Array

KINDS = ("hazard", "logistic", "two_models", "x_learner")
LINEAR = ("hazard", "logistic")
_RIDGE = 0.003


@dataclass(frozen=True)
class Arms:
    """A trial's rows as arrays: features, treated, bought, days with an order."""

    features: Array
    treated: Array
    bought: Array
    orders: Array

    def rows(self, chosen: Any) -> Arms:
        """Some of the rows."""
        return Arms(self.features[chosen], self.treated[chosen], self.bought[chosen], self.orders[chosen])


@dataclass(frozen=True)
class Scaling:
    """Turns features into columns of about one size for the linear kinds: signed logarithm, median for what is missing, mean 0, spread 1."""

    medians: Array
    means: Array
    spreads: Array

    @classmethod
    def of(cls, features: Array) -> Scaling:
        logs = _signed_log(features)
        known = ~np.isnan(logs)
        medians = np.array(
            [np.median(logs[known[:, j], j]) if known[:, j].any() else 0.0 for j in range(logs.shape[1])]
        )
        filled = np.where(known, logs, medians)
        spreads = filled.std(axis=0)
        return cls(medians, filled.mean(axis=0), np.where(spreads > 1e-9, spreads, 1.0))

    def __call__(self, features: Array) -> Array:
        logs = _signed_log(features)
        scaled = (np.where(np.isnan(logs), self.medians, logs) - self.means) / self.spreads
        # Beyond what was seen a straight line says anything; four spreads are the end of what is believed.
        return np.clip(scaled, -4, 4)


def fit(kind: str, arms: Arms, weights: Array, strength: float, seed: int) -> list[Any]:
    """The fitted estimators of one kind; linear kinds want scaled features. `strength` is how much their products with the treatment are held back."""
    if kind == "hazard":
        from sklearn.linear_model import PoissonRegressor

        model = PoissonRegressor(alpha=_RIDGE, solver="newton-cholesky", max_iter=50)
        return [model.fit(_terms(arms.features, arms.treated, strength), arms.orders, sample_weight=weights)]
    if kind == "logistic":
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=1 / (_RIDGE * weights.sum()), solver="newton-cholesky", max_iter=50)
        return [model.fit(_terms(arms.features, arms.treated, strength), arms.bought, sample_weight=weights)]
    control, treatment = (_classifier(arms, weights, value, seed) for value in (0, 1))
    if kind == "two_models":
        return [control, treatment]
    gained = arms.bought - control.predict_proba(arms.features)[:, 1]
    missed = treatment.predict_proba(arms.features)[:, 1] - arms.bought
    effects = [_regressor(arms, weights, value, y, seed) for value, y in ((0, missed), (1, gained))]
    return [control, *effects]


def chances(
    kind: str, models: list[Any], features: Array, strength: float, treated_share: float
) -> tuple[Array, Array]:
    """Each row's chance to buy, untreated and treated."""
    if kind in LINEAR:
        both = [_terms(features, np.full(len(features), value), strength) for value in (0.0, 1.0)]
        if kind == "hazard":
            untreated, treated = (1 - np.exp(-np.clip(models[0].predict(each), 0, 50)) for each in both)
        else:
            untreated, treated = (models[0].predict_proba(each)[:, 1] for each in both)
        return untreated, treated
    untreated = models[0].predict_proba(features)[:, 1]
    if kind == "two_models":
        return untreated, models[1].predict_proba(features)[:, 1]
    effect = treated_share * models[1].predict(features) + (1 - treated_share) * models[2].predict(features)
    return untreated, np.clip(untreated + effect, 0, 1)


def allowed(kind: str) -> tuple[type, ...]:
    """The types of the estimators of a kind."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, PoissonRegressor

    return {
        "hazard": (PoissonRegressor,),
        "logistic": (LogisticRegression,),
        "two_models": (HistGradientBoostingClassifier,),
        "x_learner": (HistGradientBoostingClassifier, HistGradientBoostingRegressor),
    }[kind]


_TREES = {
    "learning_rate": 0.06,
    "max_iter": 60,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 60,
    "max_features": 0.5,
    "l2_regularization": 5.0,
    "early_stopping": False,
}


def _classifier(arms: Arms, weights: Array, treated: int, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = arms.treated == treated
    model = HistGradientBoostingClassifier(random_state=seed, **_TREES)
    return model.fit(arms.features[rows], arms.bought[rows], sample_weight=weights[rows])


def _regressor(arms: Arms, weights: Array, treated: int, effect: Array, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    rows = arms.treated == treated
    model = HistGradientBoostingRegressor(random_state=seed, **_TREES)
    return model.fit(arms.features[rows], effect[rows], sample_weight=weights[rows])


def _terms(features: Array, treated: Array, strength: float) -> Array:
    """Features, treatment, and their products.

    One ridge holds all coefficients back; a column's size says how much that means for it. The treatment's own step is drawn up, so that it is
    free; the products are drawn in, because that somebody answers differently from others wants more proof than that he buys more.
    """
    arm = treated[:, None] - 0.5
    return np.hstack([features, 10 * arm, arm * features * np.sqrt(_RIDGE / strength)])


def _signed_log(features: Array) -> Array:
    return np.asarray(np.sign(features) * np.log1p(np.abs(features)))
