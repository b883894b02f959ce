"""Where a value stands among those of all customers at one instant: 0 below all, 1 above all, a half in the middle.

What belongs here: ranks of a matrix's columns. What does not: whose values they are held against (`propensity`, `plinth.serving.propensity`).

What a value says changes with the season and with the age of the data, which start at the same day for everybody: a hundred days since the last order
is much in autumn and little in spring, and who has the most orders has more of them each month. Where it stands says the same in every month.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from plinth.promote.columns import Array


@dataclass(frozen=True)
class Standing:
    """The values that there are in each column, ascending, of all customers at one instant or of a fair share of them."""

    columns: tuple[Array, ...]

    @classmethod
    def of(cls, values: Array) -> Standing:
        """Those of a matrix of customers by features; NaN is no value."""
        ascending = np.sort(values, axis=0)  # NaN comes last
        counts = (~np.isnan(values)).sum(axis=0)
        return cls(tuple(ascending[:count, place] for place, count in enumerate(counts)))

    def __call__(self, values: Array) -> Array:
        """For each value the share of those that are lower, and half of those that are equal; NaN stays, and is all there is where nobody has a value."""
        found = np.full(values.shape, np.nan)
        for place, column in enumerate(self.columns):
            has = ~np.isnan(values[:, place])
            if len(column):
                asked = values[has, place]
                low, high = np.searchsorted(column, asked, side="left"), np.searchsorted(column, asked, side="right")
                found[has, place] = (low + high) / (2 * len(column))
        return found


def stand_at(values: Array, at: Array, threads: int = 1) -> Array:
    """The standing of each row among the rows of its own instant.

    Args:
        at: the instants, one for each row.
        threads: how many instants are looked at side by side.
    """
    found = np.empty_like(values)

    def stand(instant: np.datetime64) -> None:
        rows = at == instant
        found[rows] = Standing.of(values[rows])(values[rows])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(stand, np.unique(at)))
    return found
