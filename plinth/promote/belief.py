"""How far the predictions of an uplift learner are believed, and how sure that is: what unseen promotions say of them.

What belongs here: level, slope and season of the predictions, with draws of each. What does not: learners and their choice (`choice`), and the sums of
money (`offers`, `worth`).

A plan picks the highest predictions, and those are the most exaggerated, so no prediction counts as it stands. An uplift is put together anew of

- the level: the mean effect of the trials, given to each customer in proportion to `shape`, what one factor on everybody's rate of orders would move
  (nothing for those who never buy, nothing for those who surely do);
- the slope: the share that is believed of what the learner says beyond that. Its likelihood comes from rows of promotions that the learner had not
  seen, by the doubly robust effect of each row; before them any share from 0 to 1 is as likely as another;
- the season: promotions of other weeks find customers who buy more or less than the trials' did, treated or not.

Each is drawn with its error, which allows for the likeness of a customer's rows and of a promotion's rows: a plan asks about new ones of either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plinth.promote.columns import Array, Places
from plinth.promote.learners import Arms

DRAWS = 36
_PRIOR_DRAWS = 4_000


@dataclass(frozen=True)
class Belief:
    """Level and slope of the estimate, and draws of them and of the season, by number."""

    level: float
    slope: float
    levels: Array
    slopes: Array
    seasons: Array

    def uplift(self, shape: Array, beyond: Array) -> Array:
        """The estimate of each row.

        Args:
            shape: of mean 1 over the rows that were learnt from.
            beyond: what the learner says of each row beyond its own mean times the shape.
        """
        return self.level * shape + self.slope * beyond

    def draws(self, shape: Array, beyond: Array) -> Array:
        """The uplift of each row (columns) in each draw (rows); `beyond` has a row for each member of the ensemble, which take turns."""
        turns = [each % len(beyond) for each in range(len(self.levels))]
        return np.array(
            [
                self.seasons[k] * (self.levels[k] * shape + self.slopes[k] * beyond[member])
                for k, member in enumerate(turns)
            ]
        )


def shape_of(untreated: Array) -> Array:
    """How much a small factor on the rate of orders moves the chance to buy, which is 1 - exp(-rate)."""
    rate = -np.log1p(-np.clip(untreated, 0, 1 - 1e-9))
    return np.asarray(rate * np.exp(-rate))


def believe(
    unseen: tuple[Array, Array], arms: Arms, customer: Array, promotion: Array, *, shift: float, seed: int
) -> Belief:
    """What unseen promotions say of a learner.

    Args:
        unseen: each row's chances, untreated and treated, by a learner that has not seen its promotion.
        shift: by how much the trials' effect over all rows is above that over these.
    """
    untreated, treated = unseen
    shape, raw = shape_of(untreated), treated - untreated
    shape = shape / max(float(shape.mean()), 1e-12)
    beyond = raw - raw.mean() * shape
    if beyond.std() < 1e-6 * max(float(np.abs(raw).mean()), 1e-12):
        # What is left of nothing by rounding must not be taken for what the learner says.
        beyond = np.zeros(len(raw))
    share = float(arms.treated.mean())
    expected = share * treated + (1 - share) * untreated
    groups = [np.unique(each, return_inverse=True)[1].astype(np.int64) for each in (customer, promotion)]
    effect = _effects(arms, expected, groups[1])
    rng = np.random.default_rng(seed)
    level, slope, spread = _estimate(np.column_stack([shape, beyond]), effect, groups)
    slopes = _within(slope, float(np.sqrt(spread[1, 1])), rng)
    # So is the spread itself known from few promotions only.
    freedom = max(3, int(groups[1].max()))
    # Where the data exaggerate the slope, the same rows exaggerate the level.
    tie = spread[0, 1] / spread[1, 1] if spread[1, 1] > 0 else 0.0
    rest = float(np.sqrt(max(0.0, spread[0, 0] - tie * spread[0, 1])))
    levels = level + shift + tie * (slopes - slope) + rest * rng.standard_t(freedom, size=len(slopes))
    # Spread evenly over the distribution, so that few draws have its width.
    drawn = rng.permutation(np.argsort(levels)[((np.arange(DRAWS) + 0.5) / DRAWS * len(levels)).astype(np.int64)])
    season = _season(arms.bought, expected, groups[1])
    return Belief(
        level=float(level + shift + tie * (slopes.mean() - slope)),
        slope=float(slopes.mean()),
        levels=levels[drawn],
        slopes=slopes[drawn],
        seasons=np.exp(season * rng.normal(size=DRAWS) - season**2 / 2),
    )


def _effects(arms: Arms, expected: Array, promotion: Places) -> Array:
    """The effect of each row, right in the mean whatever was expected; its noise is that of buying beyond what was.

    Held against its own promotion: a season that nobody expected would otherwise pass for an effect where one arm is by chance the larger.
    """
    rows = np.bincount(promotion)
    share = (np.bincount(promotion, arms.treated) / rows)[promotion]
    rest = arms.bought - expected
    rest = rest - (np.bincount(promotion, rest) / rows)[promotion]
    spread = share * (1 - share)
    return np.where(spread > 0, (arms.treated - share) * rest / np.maximum(spread, 1e-12), 0.0)


def _estimate(design: Array, effect: Array, groups: list[Places]) -> tuple[float, float, Array]:
    """The mean effect, its slope over the second column beside the first (least squares), and the covariance of the two."""
    inverse = np.linalg.pinv(design.T @ design)
    found = inverse @ design.T @ effect
    # By how much each row moves the two; rows of a customer, or of a promotion, move them together.
    moves = np.column_stack(
        [(effect - effect.mean()) / len(effect), ((effect - design @ found)[:, None] * design @ inverse)[:, 1]]
    )
    parts = [_together(moves, group) for group in groups]
    both = parts[0] + parts[1] - moves.T @ moves
    # With few groups the difference can come out smaller than either part, or be no covariance at all: then the larger part stands.
    possible = [*parts, *([both] if np.linalg.eigvalsh(both)[0] > 0 else [])]
    spread = max(possible, key=lambda each: float(each[0, 0]))
    return float(effect.mean()), float(found[1]), spread


def _together(moves: Array, group: Places) -> Array:
    sums = np.column_stack([np.bincount(group, moves[:, k]) for k in range(moves.shape[1])])
    # Few groups look more alike than they are.
    return np.asarray(sums.T @ sums * len(sums) / max(1, len(sums) - 1))


def _within(found: float, error: float, rng: np.random.Generator) -> Array:
    """Draws of a slope between 0 and 1, each of which was as likely before, given an estimate with a normal error."""
    from scipy.stats import truncnorm

    if error <= 1e-9:
        return np.full(_PRIOR_DRAWS, min(1.0, max(0.0, found)))
    ends = (0 - found) / error, (1 - found) / error
    return np.asarray(truncnorm.rvs(*ends, loc=found, scale=error, size=_PRIOR_DRAWS, random_state=rng))


def _season(bought: Array, expected: Array, promotion: Places) -> float:
    """By how much, as a share, the buyers of a promotion differ from those expected beyond what their number explains (DerSimonian and Laird)."""
    hoped = np.maximum(np.bincount(promotion, expected), 1e-9)
    ratio, by_chance = np.bincount(promotion, bought) / hoped, 1 / hoped
    weight = 1 / by_chance
    mean = weight @ ratio / weight.sum()
    beyond = weight @ (ratio - mean) ** 2 - (len(ratio) - 1)
    return float(np.sqrt(max(0.0, beyond / (weight.sum() - weight @ weight / weight.sum())))) if len(ratio) > 1 else 0.0
