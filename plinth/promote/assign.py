"""Which of the candidates to take: the most profit under budgets and contact limits, with a proven bound.

What belongs here: the problem as arrays, its exact and its near-optimal solution, and the greedy packing that both and the random plan use. What does not:
money (`offers`) and people (`plan`).

The problem is a knapsack with a budget for each promotion and one for all, and for each customer a limit on every window of days. Up to `EXACT` candidates
that bring something, HiGHS solves it as a mixed integer program to the end. Beyond, its linear relaxation gives the bound; whole contacts of the
relaxation are taken, and the rest of the budgets is filled in the order of profit per unit of scarce budget. The relaxation splits about as many
contacts as there are budgets, so what is lost is a few contacts' profit of thousands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from plinth.promote.columns import Array, Places

if TYPE_CHECKING:
    from scipy import sparse

EXACT = 2_000
_SLACK = 1e-9
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Problem:
    """Candidates and limits.

    Attributes:
        profit, cost: of each candidate; a cost is 0 or more.
        promotion, customer: the place of each candidate's promotion and customer.
        budgets: for each promotion what it may cost; infinite where it has no limit.
        total: what all may cost together.
        windows: windows[p, q] says whether a contact for promotion q counts in the window that ends with promotion p.
        capacity: capacity[c, p] contacts are left for customer c in that window.
    """

    profit: Array
    cost: Array
    promotion: Places
    customer: Places
    budgets: Array
    total: float
    windows: Flags
    capacity: Places


@dataclass(frozen=True)
class Solution:
    """The candidates taken, their profit, and a bound that no choice can pass."""

    chosen: Flags
    profit: float
    bound: float
    method: str

    @property
    def gap(self) -> float:
        """By how much of the bound the profit may lie below the best."""
        return max(0.0, self.bound - self.profit) / self.bound if self.bound > 0 else 0.0


def solve(problem: Problem, exact: int = EXACT) -> Solution:
    """The best choice that can be found, with its bound. The same problem gives the same choice."""
    from scipy.optimize import linprog

    useful = np.flatnonzero((problem.profit > 0) & _possible(problem))
    chosen = np.zeros(len(problem.profit), dtype=np.bool_)
    if len(useful) == 0:
        return Solution(chosen, 0.0, 0.0, "nothing to gain")
    rows, limits = _constraints(problem, useful)
    relaxed = linprog(-problem.profit[useful], A_ub=rows, b_ub=limits, bounds=(0, 1), method="highs")
    whole = useful[relaxed.x >= 1 - 1e-7]
    scarcity = _scarcity(problem, relaxed.ineqlin.marginals)
    order = useful[
        np.argsort(
            -problem.profit[useful] / (1e-12 + scarcity[problem.promotion[useful]] * problem.cost[useful]),
            kind="stable",
        )
    ]
    chosen[pack(problem, np.concatenate([whole, order[~np.isin(order, whole)]]))] = True
    bound, method = float(-relaxed.fun), "linear relaxation"
    if len(useful) <= exact:
        chosen, bound, method = _to_the_end(problem, useful, rows, limits, chosen, bound)
    profit = float(problem.profit[chosen].sum())
    return Solution(chosen, profit, max(bound, profit), method)


def pack(problem: Problem, order: Places, most: int | None = None) -> Places:
    """Takes candidates in an order as long as every limit allows it; gives those taken."""
    left, total = problem.budgets.tolist(), problem.total
    capacity = problem.capacity.tolist()
    ends = [np.flatnonzero(problem.windows[:, q]).tolist() for q in range(len(left))]
    promotion, customer, cost = problem.promotion.tolist(), problem.customer.tolist(), problem.cost.tolist()
    taken: list[int] = []
    for each in order.tolist():
        if most is not None and len(taken) >= most:
            break
        q, room, price = promotion[each], capacity[customer[each]], cost[each]
        if price > left[q] + _SLACK or price > total + _SLACK or any(room[p] < 1 for p in ends[q]):
            continue
        taken.append(each)
        left[q] -= price
        total -= price
        for p in ends[q]:
            room[p] -= 1
    return np.array(taken, dtype=np.int64)


def _possible(problem: Problem) -> Flags:
    """Whether a candidate could stand in a plan alone."""
    full = problem.capacity[problem.customer] < 1
    blocked = (full & problem.windows.T[problem.promotion]).any(axis=1)
    return np.asarray(
        ~blocked & (problem.cost <= np.minimum(problem.budgets[problem.promotion], problem.total) + _SLACK)
    )


def _constraints(problem: Problem, useful: Places) -> tuple[sparse.csr_matrix, Array]:
    """First a row for each promotion's budget and one for the total, then one for each customer's window that could overflow."""
    from scipy import sparse

    size, count = len(useful), len(problem.budgets)
    cost, promotion = problem.cost[useful], problem.promotion[useful]
    finite = np.append(problem.budgets, problem.total)
    # An infinite limit can never bind; the sum of all costs is as good.
    limits = np.where(np.isfinite(finite), finite, cost.sum() + 1)
    money = sparse.csr_matrix((cost, (promotion, np.arange(size))), shape=(count, size))
    blocks: list[Any] = [money, sparse.csr_matrix(cost[None, :])]
    bounds = [limits]
    people, of_row = np.unique(problem.customer[useful], return_inverse=True)
    for p in range(count):
        inside = np.flatnonzero(problem.windows[p, promotion])
        # Who has had more than his limit already has no room, and no less than that.
        room = np.maximum(problem.capacity[people, p], 0)
        crowded = np.bincount(of_row[inside], minlength=len(people)) > room
        inside = inside[crowded[of_row[inside]]]
        place = np.cumsum(crowded) - 1
        shape = (int(crowded.sum()), size)
        blocks.append(sparse.csr_matrix((np.ones(len(inside)), (place[of_row[inside]], inside)), shape=shape))
        bounds.append(room[crowded].astype(np.float64))
    return sparse.vstack(blocks, format="csr"), np.concatenate(bounds)


def _scarcity(problem: Problem, marginals: Array) -> Array:
    """The price of each promotion's budget, in profit a unit, by the relaxation's dual values."""
    count = len(problem.budgets)
    return np.asarray(np.maximum(-marginals[:count], 0) + max(-float(marginals[count]), 0.0))


def _to_the_end(
    problem: Problem, useful: Places, rows: sparse.csr_matrix, limits: Array, chosen: Flags, bound: float
) -> tuple[Flags, float, str]:
    """The mixed integer program; what was found without it stands where its nodes run out before it is better."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    result = milp(
        -problem.profit[useful],
        constraints=LinearConstraint(rows, ub=limits),
        integrality=np.ones(len(useful)),
        bounds=Bounds(0, 1),
        # Nodes, not seconds: the same problem must give the same plan on every machine.
        options={"mip_rel_gap": 0.0, "node_limit": 20_000},
    )
    if result.x is None:
        return chosen, bound, "linear relaxation"
    found = np.zeros_like(chosen)
    # The solver keeps limits within a tolerance; packing again keeps them to the penny.
    whole = useful[result.x > 0.5]
    found[pack(problem, whole[np.argsort(-problem.profit[whole], kind="stable")])] = True
    bound = min(bound, float(-result.mip_dual_bound))
    if problem.profit[found].sum() < problem.profit[chosen].sum():
        found = chosen
    return found, bound, "mixed integer program"
