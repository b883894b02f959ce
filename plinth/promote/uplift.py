"""The uplift of a promotion: by how much a contact changes a customer's chance to buy in its days, learnt from trials with a randomised hold-out.

What belongs here: the choice among the learners, the bootstrap over customers, prediction with its spread, and the model's files. What does not: the
learners (`learners`), the rows (`trial`), what an uplift is worth (`offers`).

The kind and its strength are chosen by the Qini coefficient on promotions that the learner has not seen (folds by promotion: a plan always asks about
a new one). The model is then an ensemble: each member learns from the same rows with random weights by customer and by promotion (the Bayesian bootstrap).
How much of what the members say is believed, and how sure that is, comes from the unseen promotions (`belief`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from plinth.fanout import FanOut, Tell, silent
from plinth.promote import learners
from plinth.promote.belief import Belief, believe, shape_of
from plinth.promote.choice import Candidate, best_of, folds_by_promotion, qini_of_each, unchosen, unseen
from plinth.promote.columns import Array, feature_names, matrix, numbers, require
from plinth.promote.errors import ModelFileRefused
from plinth.promote.folder import read_model, write_model
from plinth.promote.learners import LINEAR, Arms, Scaling
from plinth.promote.offers import Draws
from plinth.promote.qini import UpliftMetrics, measure_uplift, trial_effect
from plinth.promote.redemption import offer_types, redemption_shares
from plinth.promote.trial import KEYS

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "uplift"
_BLOCK = 50_000
_SAME_FOR_ALL = Candidate("hazard", 1e9)
"""The treatment's products with the features are held back so much that only its own step is left."""
_NEEDED = ("customer_no", "promotion_id", "treated", "bought", "orders_within", "redeemed")


@dataclass(frozen=True)
class UpliftSettings:
    """What is tried, and how often the bootstrap draws.

    Attributes:
        choice_rows: so many rows choose among the candidates and judge, drawn by lot where there are more.
        most_rows: so many rows are learnt from. Both keep a training of any size within a minute on two cores.
    """

    candidates: tuple[Candidate, ...] = (
        *(Candidate(kind, strength) for kind in LINEAR for strength in (0.03, 0.3, 3.0)),
        Candidate("two_models"),
        Candidate("x_learner"),
    )
    folds: int = 3
    members: int = 12
    smallest_arm: int = 50
    choice_rows: int = 15_000
    most_rows: int = 40_000


@dataclass(frozen=True)
class UpliftPrediction:
    """For each row: the chance to buy untreated and treated, their difference, the chance to redeem if treated, and draws of the last two."""

    untreated: Array
    treated: Array
    uplift: Array
    redemption: Array
    draws: Draws


@dataclass(frozen=True)
class Uplift:
    """A trained uplift model.

    Attributes:
        redeem: for each promotion type (`percent_off`, `free_shipping`, `amount_off`) the share of treated buyers who redeem.
        belief: what of the members' differences is believed, with draws.
        shape_mean: the mean of `belief.shape_of` over the rows that were learnt from; `levels` is each member's mean uplift over them.
        tried: the Qini coefficient of each candidate on unseen promotions.
        metrics: of the choice, on promotions that neither learner nor choice has seen.
    """

    chosen: Candidate
    members: tuple[tuple[Any, ...], ...]
    scaling: Scaling
    features: tuple[str, ...]
    treated_share: float
    redeem: Mapping[str, float]
    belief: Belief
    shape_mean: float
    levels: Array
    tried: Mapping[str, float]
    metrics: UpliftMetrics
    seed: int

    def predict(self, pairs: pa.Table) -> UpliftPrediction:
        """What a contact would change for each pair of `trial.pair_features`, in the rows' order.

        Raises:
            ExamplesUnusable: the table lacks a column that the model was trained on.
        """
        require(pairs, self.features)
        # In blocks: the linear kinds make a matrix twice as wide as the features, for each arm.
        blocks = [self._chances(pairs.slice(start, _BLOCK)) for start in range(0, max(pairs.num_rows, 1), _BLOCK)]
        untreated, raw = (np.concatenate([block[part] for block in blocks], axis=-1) for part in (0, 1))
        shape = shape_of(untreated) / self.shape_mean
        beyond = raw - self.levels[:, None] * shape
        uplift = np.clip(self.belief.uplift(shape, beyond.mean(axis=0)), -untreated, 1 - untreated)
        rate = np.array([self.redeem[name] for name in offer_types(pairs)], dtype=np.float64)
        drawn = self.belief.draws(shape, beyond)
        bought = np.clip(self.belief.seasons[:, None] * untreated + drawn, 0, 1)
        treated = untreated + uplift
        return UpliftPrediction(untreated, treated, uplift, treated * rate, Draws(drawn, bought * rate))

    def _chances(self, pairs: pa.Table) -> tuple[Array, Array]:
        """The members' mean chance without a contact of each row, and each member's difference."""
        if pairs.num_rows == 0:
            return np.empty(0), np.empty((len(self.members), 0))
        features = matrix(pairs, self.features)
        if self.chosen.kind in LINEAR:
            features = self.scaling(features)
        both = [
            learners.chances(self.chosen.kind, list(each), features, self.chosen.strength, self.treated_share)
            for each in self.members
        ]
        return np.mean([each[0] for each in both], axis=0), np.array([each[1] - each[0] for each in both])

    def save(self, folder: Path) -> None:
        """Writes `estimators.skops` and `settings.json` into a folder; the same model gives the same bytes."""
        about = {
            "kind": KIND,
            "chosen": asdict(self.chosen),
            "features": list(self.features),
            "treated_share": self.treated_share,
            "redeem": dict(self.redeem),
            "belief": {name: np.asarray(value).tolist() for name, value in vars(self.belief).items()},
            "shape_mean": self.shape_mean,
            "levels": self.levels.tolist(),
            "tried": dict(self.tried),
            "metrics": self.metrics.figures(),
            "seed": self.seed,
            "members": len(self.members),
            "scaling": {name: value.tolist() for name, value in vars(self.scaling).items()},
        }
        write_model(folder, [each for member in self.members for each in member], about)

    @classmethod
    def load(cls, folder: Path) -> Uplift:
        """Reads what `save` has written.

        Raises:
            ModelFileRefused: a file is missing or broken, holds a type that is not trusted, or another model.
        """
        every = tuple({each for kind in learners.KINDS for each in learners.allowed(kind)})
        found, about = read_model(folder, KIND, every)
        try:
            return cls._of(found, about)
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise ModelFileRefused("the model's files contradict each other", found=problem, where=folder) from problem

    @classmethod
    def _of(cls, found: list[Any], about: dict[str, Any]) -> Uplift:
        chosen = Candidate(**about["chosen"])
        size, rest = divmod(len(found), int(about["members"]))
        if rest or not found or any(type(each) not in learners.allowed(chosen.kind) for each in found):
            raise ValueError(f"{len(found)} estimators for {about['members']} members of kind {chosen.kind}")
        figures: dict[str, Any] = about["metrics"]
        counts = {name: int(figures[name]) for name in ("rows", "treated", "held_out")}
        return cls(
            chosen=chosen,
            members=tuple(tuple(found[place : place + size]) for place in range(0, len(found), size)),
            scaling=Scaling(**{name: np.array(value, dtype=np.float64) for name, value in about["scaling"].items()}),
            features=tuple(about["features"]),
            treated_share=float(about["treated_share"]),
            redeem={str(name): float(value) for name, value in about["redeem"].items()},
            belief=_belief(about["belief"]),
            shape_mean=float(about["shape_mean"]),
            levels=np.array(about["levels"], dtype=np.float64),
            tried={str(name): float(value) for name, value in about["tried"].items()},
            metrics=UpliftMetrics(**{**figures, **counts}),
            seed=int(about["seed"]),
        )


def train_uplift(
    trial: pa.Table,
    *,
    seed: int,
    threads: int,
    settings: UpliftSettings | None = None,
    fan_out: FanOut | None = None,
    tell: Tell = silent,
) -> Uplift:
    """Chooses a learner on unseen promotions, then trains the ensemble on all rows.

    Args:
        trial: rows of `trial.trial_rows`.
        threads: how many threads the learners may use.
        fan_out: how candidates and members are spread; by default one after another.
        tell: hears how many of them are done.

    Raises:
        ExamplesUnusable: there are too few promotions, or too few rows in an arm, to learn from.
    """
    settings, fan_out = settings or UpliftSettings(), fan_out or FanOut()
    require(trial, _NEEDED)
    everything = trial_effect(numbers(trial, "treated"), numbers(trial, "bought"))
    names = feature_names(trial, without=KEYS)
    trial = _at_most(trial, settings.most_rows, seed)
    judged = _at_most(trial, settings.choice_rows, seed)
    arms, few = _arms(trial, names), _arms(judged, names)
    folds = folds_by_promotion(numbers(judged, "promotion_id"), few, settings.folds, settings.smallest_arm, seed)
    scaling = Scaling.of(arms.features)
    tasks = [(each, few, scaling, folds, seed) for each in settings.candidates]
    predicted = dict(
        zip(settings.candidates, fan_out.run(unseen, tasks, threads=threads, what="candidates", tell=tell), strict=True)
    )
    tried = qini_of_each(predicted, few, folds)
    chosen = best_of(predicted, few, folds)
    features = scaling(arms.features) if chosen.kind in LINEAR else arms.features
    ready = Arms(features, arms.treated, arms.bought, arms.orders)
    weights = enumerate(_bootstrap(trial, settings.members, seed))
    of_members = [(chosen, ready, each, seed + number) for number, each in weights]
    fitted = fan_out.run(_member, of_members, threads=threads, what=f"members of the kind {chosen}", tell=tell)
    honest = unchosen(predicted, few, folds)
    keys = numbers(judged, "customer_no"), numbers(judged, "promotion_id")
    # Rows that were not looked at still say what the level is.
    shift = everything - trial_effect(few.treated, few.bought)
    belief = believe(honest, few, *keys, shift=shift, seed=seed)
    metrics = measure_uplift(honest[1] - honest[0], few.treated, few.bought, keys[0], seed=seed)
    return Uplift(
        chosen=chosen,
        members=tuple(models for models, _, _ in fitted),
        scaling=scaling,
        features=names,
        treated_share=float(arms.treated.mean()),
        redeem=redemption_shares(trial, arms),
        belief=belief,
        shape_mean=max(float(shape_of(np.mean([chances for _, _, chances in fitted], axis=0)).mean()), 1e-12),
        levels=np.array([level for _, level, _ in fitted]),
        tried={str(each): value for each, value in tried.items()},
        metrics=metrics,
        seed=seed,
    )


def train_average_effect(trial: pa.Table, *, seed: int, threads: int) -> Uplift:
    """An uplift that tells no customers apart but by their own chance to buy: a contact multiplies everybody's rate of orders by the same factor.

    What is left to plan by where no learner ranks unseen promotions better than chance.

    Raises:
        ExamplesUnusable: as `train_uplift`.
    """
    return train_uplift(trial, seed=seed, threads=threads, settings=UpliftSettings(candidates=(_SAME_FOR_ALL,)))


def _arms(trial: pa.Table, names: tuple[str, ...]) -> Arms:
    return Arms(matrix(trial, names), *(numbers(trial, name) for name in ("treated", "bought", "orders_within")))


def _at_most(trial: pa.Table, most: int, seed: int) -> pa.Table:
    if trial.num_rows <= most:
        return trial
    chosen = np.random.default_rng(seed).choice(trial.num_rows, most, replace=False)
    return trial.take(np.sort(chosen))


def _bootstrap(trial: pa.Table, count: int, seed: int) -> list[Array]:
    """Weights of the rows for each member of the ensemble."""
    # Both a customer's rows and a promotion's rows are alike: a plan asks about customers and promotions that are new draws of either.
    places = [np.unique(numbers(trial, name), return_inverse=True)[1] for name in ("customer_no", "promotion_id")]
    rng = np.random.default_rng(seed)
    return [np.prod([rng.exponential(size=place.max() + 1)[place] for place in places], axis=0) for _ in range(count)]


def _member(chosen: Candidate, arms: Arms, weights: Array, seed: int) -> tuple[tuple[Any, ...], float, Array]:
    """One member's estimators, its mean uplift over the rows, and each row's chance without a contact."""
    models = learners.fit(chosen.kind, arms, weights, chosen.strength, seed)
    share = float(arms.treated.mean())
    untreated, treated = learners.chances(chosen.kind, models, arms.features, chosen.strength, share)
    return tuple(models), float((treated - untreated).mean()), untreated


def _belief(about: dict[str, Any]) -> Belief:
    draws = (np.array(about[name], dtype=np.float64) for name in ("levels", "slopes", "seasons"))
    return Belief(float(about["level"]), float(about["slope"]), *draws)
