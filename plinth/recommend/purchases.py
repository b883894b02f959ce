"""What each customer bought of each item before a moment, as sparse matrices of one pattern.

What belongs here: counts, decayed weights, first and last days of the pairs, and of the baskets. What does not: guesses about pairs that
were never bought (`item_item`, `neighbours`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from plinth.recommend.log import Array, Log

HALF_LIVES = (14.0, 60.0, 180.0, 540.0)
_YEAR = 364.0  # 52 weeks: the same days of the week as last year
_AROUND = 14.0  # days around last year's window that count as the same season


@dataclass(frozen=True)
class Purchases:
    """The pairs (customer, item) that were bought, sorted by customer and item.

    Attributes:
        pointer, item: the pairs as a compressed sparse row matrix: the items of customer `u` are `item[pointer[u]:pointer[u + 1]]`.
        baskets: baskets of the pair.
        decayed: weights of the pair by half-life, the newer a purchase the more.
        last, first: days since the pair's last and first purchase.
        season: baskets of the pair in the asked window of last year and two weeks around it.
        recent: how many of the customer's last three baskets hold the item.
    """

    shape: tuple[int, int]
    pointer: Array
    item: Array
    baskets: Array
    decayed: Array
    last: Array
    first: Array
    season: Array
    recent: Array

    def matrix(self, values: Array) -> sparse.csr_matrix:
        """One value of each pair as a sparse matrix, customers by items."""
        return sparse.csr_matrix((values.astype(np.float32), self.item, self.pointer), shape=self.shape)

    def weights(self, half_life: float) -> sparse.csr_matrix:
        """The decayed weights of a half-life of `HALF_LIVES`."""
        return self.matrix(self.decayed[HALF_LIVES.index(half_life)])


def purchases_of(log: Log, at: float, window: float) -> Purchases:
    """The pairs of a log that ends before `at`."""
    users, items = len(log.customers), len(log.goods)
    key = log.customer.astype(np.int64) * items + log.item
    pairs, index = np.unique(key, return_inverse=True)
    ago = at - log.day
    customer = (pairs // items).astype(np.int32)
    total = len(pairs)
    last = np.full(total, np.inf)
    np.minimum.at(last, index, ago)
    first = np.zeros(total)
    np.maximum.at(first, index, ago)
    season = (ago <= _YEAR + _AROUND) & (ago > _YEAR - window - _AROUND)
    return Purchases(
        shape=(users, items),
        pointer=np.searchsorted(customer, np.arange(users + 1)).astype(np.int64),
        item=(pairs % items).astype(np.int32),
        baskets=np.bincount(index, minlength=total).astype(np.float32),
        decayed=np.stack([np.bincount(index, 0.5 ** (ago / half), total) for half in HALF_LIVES]).astype(np.float32),
        last=last.astype(np.float32),
        first=first.astype(np.float32),
        season=np.bincount(index, season, total).astype(np.float32),
        recent=np.bincount(index, baskets_back(log) < 3, total).astype(np.float32),
    )


def baskets_back(log: Log) -> Array:
    """How many baskets ago each event was for its customer: 0 for the events of the last basket."""
    if len(log) == 0:
        return np.empty(0, dtype=np.int64)
    key = log.customer.astype(np.int64) * (int(log.basket.max()) + 1) + log.basket
    baskets, index = np.unique(key, return_inverse=True)
    owner = baskets // (int(log.basket.max()) + 1)
    end = np.searchsorted(owner, owner, side="right")
    return (end - 1 - np.arange(len(baskets)))[index]


def last_baskets(log: Log, count: int) -> sparse.csr_matrix:
    """The items of each customer's last baskets, the newest with weight 1, each one before with half of it."""
    back = baskets_back(log)
    keep = back < count
    weight = (0.5 ** back[keep]).astype(np.float32)
    shape = (len(log.customers), len(log.goods))
    return sparse.csr_matrix((weight, (log.customer[keep], log.item[keep])), shape=shape)


def days_of_baskets(log: Log) -> Array:
    """The day of each basket of `baskets_by_items`."""
    return log.day[np.unique(log.basket, return_index=True)[1]]


def baskets_by_items(log: Log) -> sparse.csr_matrix:
    """Which items each basket holds, as ones."""
    baskets, index = np.unique(log.basket, return_inverse=True)
    ones = np.ones(len(log), dtype=np.float32)
    matrix = sparse.csr_matrix((ones, (index, log.item)), shape=(len(baskets), len(log.goods)))
    matrix.data[:] = 1.0
    return matrix
