"""The baselines that stand beside the recommender: each one score of all items, best first.

What belongs here: their lists on a window. What does not: ours, which is `plinth.recommend`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from plinth.recommend.evaluate import Evaluation, Window, judge
from plinth.recommend.log import Array, codes_of
from plinth.recommend.snapshot import Snapshot, scores_of

_BLOCK = 256


def _popularity(snapshot: Snapshot, customers: Array) -> Array:
    return np.tile(snapshot.trade.popularity, (len(customers), 1))


def _personal(snapshot: Snapshot, customers: Array) -> Array:
    return snapshot.purchases.weights(180.0)[customers].toarray()


def _ease(snapshot: Snapshot, customers: Array) -> Array:
    return scores_of(snapshot, customers).ease


def _neighbours(snapshot: Snapshot, customers: Array) -> Array:
    return scores_of(snapshot, customers).neighbours


def _baskets(snapshot: Snapshot, customers: Array) -> Array:
    return scores_of(snapshot, customers).baskets


BASELINES: dict[str, Callable[[Snapshot, Array], Array]] = {
    "popularity": _popularity,
    "personal frequency, decayed": _personal,
    "EASE": _ease,
    "user-kNN": _neighbours,
    "basket-kNN": _baskets,
}


def baseline(snapshot: Snapshot, window: Window, score: Callable[[Snapshot, Array], Array], k: int = 20) -> Evaluation:
    """A baseline's figures; where it has nothing to say, popularity fills its lists.

    The snapshot knows nothing of the window, so its codes are others than the window's: labels go between them.
    """
    names = window.log.goods.codes(snapshot.log.goods.labels)

    def lists(customers: Array, *, new_only: bool) -> Array:
        codes = codes_of(snapshot.log.customers, window.log.customers[customers])
        return names[np.concatenate(list(_blocks(snapshot, codes, score, k, new_only)))]

    return judge(window, lists(window.customers, new_only=False), lists(window.new_customers, new_only=True))


def _blocks(
    snapshot: Snapshot, customers: Array, score: Callable[[Snapshot, Array], Array], k: int, new_only: bool
) -> Iterator[Array]:
    filler = 1e-9 * snapshot.trade.popularity / max(1.0, float(snapshot.trade.popularity.max()))
    sold = np.bincount(snapshot.purchases.item, minlength=len(snapshot.log.goods)) > 0
    for first in range(0, len(customers), _BLOCK):
        block = customers[first : first + _BLOCK]
        scores = score(snapshot, block).astype(np.float64) + filler
        scores[:, ~sold] = -np.inf
        if new_only:
            scores[snapshot.purchases.weights(180.0)[block].nonzero()] = -np.inf
        yield np.argsort(-scores, axis=1, kind="stable")[:, :k]
