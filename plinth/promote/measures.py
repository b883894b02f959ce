"""By which figures a propensity is judged.

What belongs here: the figures, the reliability table, and what stands beside them. What does not: pictures (`plots`) and uplift (`qini`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from plinth.promote.columns import Array
from plinth.promote.errors import ExamplesUnusable


@dataclass(frozen=True)
class PropensityMetrics:
    """How well chances fit what came.

    Attributes:
        roc_auc: the chance that a buyer stands before another customer; ties count half.
        pr_auc: average precision.
        brier: mean squared error of the chances.
        ece: expected calibration error: the mean of |share of buyers - mean chance| over ten groups of equal size by the chance.
        lift_at_10: share of buyers among the tenth with the highest chances (rounded up), over the share among all.
    """

    customers: int
    base_rate: float
    roc_auc: float
    pr_auc: float
    brier: float
    ece: float
    lift_at_10: float

    def figures(self) -> dict[str, float]:
        """All figures by name, for a registry or an asset's metadata."""
        return {name: float(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class ReliabilityBin:
    """Customers of about the same chance: how many, their mean chance, and the share that bought."""

    customers: int
    mean_chance: float
    bought: float


def measure_propensity(chance: Array, bought: Array) -> PropensityMetrics:
    """Judges chances by outcomes of 0 and 1 in the same order.

    Raises:
        ExamplesUnusable: nobody bought, or everybody did.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    outcome = np.asarray(bought, dtype=np.float64)
    if not 0 < outcome.sum() < len(outcome):
        raise ExamplesUnusable(
            "outcomes of one kind judge nothing",
            expected="buyers and others",
            found=f"{outcome.sum():g} of {len(outcome)}",
        )
    return PropensityMetrics(
        customers=len(outcome),
        base_rate=float(outcome.mean()),
        roc_auc=float(roc_auc_score(outcome, chance)),
        pr_auc=float(average_precision_score(outcome, chance)),
        brier=float(np.mean((chance - outcome) ** 2)),
        ece=calibration_error(reliability(chance, outcome)),
        lift_at_10=lift(chance, outcome, 0.1),
    )


def reliability(chance: Array, bought: Array, bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Groups of equal size from the lowest chance to the highest."""
    order = np.argsort(chance, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group)]
    return tuple(ReliabilityBin(len(g), float(chance[g].mean()), float(bought[g].mean())) for g in groups)


def calibration_error(groups: tuple[ReliabilityBin, ...]) -> float:
    """The mean distance of the chances from the shares, weighted by the groups' sizes."""
    total = sum(group.customers for group in groups)
    return sum(group.customers * abs(group.bought - group.mean_chance) for group in groups) / total


def lift(chance: Array, bought: Array, share: float) -> float:
    """How many times the base rate the share of buyers is among those with the highest chances; ties stand in the rows' order."""
    count = int(np.ceil(share * len(chance)))
    top = np.argsort(-chance, kind="stable")[:count]
    return float(bought[top].mean() / bought.mean())
