"""What a plan is worth, held against random choice under the same terms and against contacting everyone.

What belongs here: expected profits and their intervals. What does not: the plan itself (`plan`) and what really came of one (the next trial tells that).

The intervals are those of the uplift model: every draw of its uplifts and redemptions prices the plan, the random plans and everyone anew, and the
spread over the draws gives mean +- 1.96 standard deviations. They do not hold what the terms get wrong, such as the margin. How often they hold the
truth is measured on samples (`benchmarks.propensity`, `plan_interval_coverage`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np

from plinth.promote.assign import Flags, Problem, Solution, pack
from plinth.promote.columns import Array
from plinth.promote.offers import OfferMoney

_RANDOM_PLANS = 20


@dataclass(frozen=True)
class PlanWorth:
    """Expected profits in GBP, each with the ends of its 95 % interval.

    Attributes:
        random: the mean of random plans under the same budgets, limits and consents, with as many contacts at most.
        everyone: the mean of random plans without budgets: whoever consents is contacted as often as his contact limit allows.
        over_random, over_everyone: by how much the plan is expected to bring more.
        random_cost, everyone_cost: what those plans are expected to spend.
    """

    profit: float
    profit_low: float
    profit_high: float
    random: float
    random_low: float
    random_high: float
    everyone: float
    everyone_low: float
    everyone_high: float
    over_random: float
    over_random_low: float
    over_random_high: float
    over_everyone: float
    over_everyone_low: float
    over_everyone_high: float
    random_cost: float
    everyone_cost: float

    def figures(self) -> dict[str, float]:
        """All figures by name."""
        return {f"expected_{name}": float(value) for name, value in asdict(self).items()}


def judge(
    problem: Problem, solution: Solution, eligible: Flags, money: OfferMoney, draws: list[Array], seed: int
) -> PlanWorth:
    """Prices a plan beside its alternatives.

    Args:
        draws: each candidate's profit in each draw of the uplifts.
        seed: of the random plans.
    """
    endless = replace(problem, budgets=np.full(len(problem.budgets), np.inf), total=np.inf)
    rows = [
        solution.chosen.astype(np.float64),
        _random(problem, int(solution.chosen.sum()), eligible, seed),
        _random(endless, None, eligible, seed),
    ]
    shares = np.array([*rows, rows[0] - rows[1], rows[0] - rows[2]])
    means = shares @ money.profit
    spread = np.std([shares @ draw for draw in draws], axis=0, ddof=1) if len(draws) > 1 else np.zeros(len(shares))
    values = [
        number for mean, sd in zip(means, spread, strict=True) for number in (mean, mean - 1.96 * sd, mean + 1.96 * sd)
    ]
    costs = [float(share @ money.cost) for share in rows[1:]]
    return PlanWorth(*(float(value) for value in values), *costs)


def _random(problem: Problem, most: int | None, eligible: Flags, seed: int) -> Array:
    """For each candidate the share of random plans in which it stands."""
    rng = np.random.default_rng(seed)
    found = np.zeros(len(eligible))
    rows = np.flatnonzero(eligible)
    for _ in range(_RANDOM_PLANS):
        found[pack(problem, rng.permutation(rows), most)] += 1 / _RANDOM_PLANS
    return found
