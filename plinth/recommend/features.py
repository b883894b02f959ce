"""The features of candidates: what the ranker sees of a customer and an item at a moment.

What belongs here: one column each, all from the snapshot. What does not: labels, and anything after the moment.
"""

from __future__ import annotations

import numpy as np

from plinth.recommend.candidates import Candidates
from plinth.recommend.log import Array
from plinth.recommend.purchases import HALF_LIVES, Purchases
from plinth.recommend.snapshot import Scores, Snapshot
from plinth.recommend.trade import CUSTOMER_COLUMNS, ITEM_COLUMNS

PAIR_COLUMNS = (
    "pair_baskets",
    *(f"pair_decayed_{int(half)}d" for half in HALF_LIVES),
    "pair_days_since_last",
    "pair_days_since_first",
    "pair_gap",
    "pair_overdue",
    "pair_season",
    "pair_recent",
    "pair_share",
)
SCORE_COLUMNS = (
    "score_ease",
    "score_taste",
    "score_together",
    "score_recent",
    "score_neighbours",
    "score_near",
    "score_baskets",
    "score_text",
    "rank_ease",
    "rank_neighbours",
    "rank_baskets",
    "rank_decayed",
    "country_customers",
    "price_ratio",
    "taste_ratio",
)
FEATURES = (*PAIR_COLUMNS, *SCORE_COLUMNS, *ITEM_COLUMNS, *CUSTOMER_COLUMNS)

_RANKED = tuple(
    FEATURES.index(name) for name in ("score_ease", "score_neighbours", "score_baskets", "pair_decayed_180d")
)


def features_of(snapshot: Snapshot, customers: Array, scores: Scores, candidates: Candidates) -> Array:
    """The features of candidates, one row each, in the order of `FEATURES`; not a number where there is nothing to say."""
    owner, item = customers[candidates.row], candidates.item
    trade = snapshot.trade
    out = np.empty((len(item), len(FEATURES)), dtype=np.float32)
    pairs = len(PAIR_COLUMNS)
    out[:, :pairs] = _pairs(
        snapshot.purchases, owner, item, trade.customers[CUSTOMER_COLUMNS.index("customer_baskets")]
    )
    place = pairs
    for matrix in scores:
        out[:, place] = matrix[candidates.row, item]
        place += 1
    for column in _RANKED:
        out[:, place] = rank_within(candidates.row, out[:, column])
        place += 1
    out[:, place] = trade.by_country[np.maximum(snapshot.log.country[owner], 0), item]
    out[:, place + 1] = (
        trade.items[ITEM_COLUMNS.index("item_price")][item]
        / trade.customers[CUSTOMER_COLUMNS.index("customer_price")][owner]
    )
    out[:, place + 2] = trade.items[ITEM_COLUMNS.index("item_customers_112d")][item] / (
        trade.customers[CUSTOMER_COLUMNS.index("customer_popular_taste")][owner] + 1
    )
    place += 3
    out[:, place : place + len(ITEM_COLUMNS)] = trade.items[:, item].T
    out[:, place + len(ITEM_COLUMNS) :] = trade.customers[:, owner].T
    return out


def rank_within(row: Array, value: Array) -> Array:
    """The place of each value among those of its row, 0 for the highest; `row` is sorted."""
    order = np.lexsort((-value, row))
    start = np.searchsorted(row, row, side="left")
    rank = np.empty(len(row), dtype=np.float32)
    rank[order] = np.arange(len(row)) - start[order]
    return rank


def _pairs(purchases: Purchases, owner: Array, item: Array, baskets: Array) -> Array:
    place = places_of(purchases, owner, item)
    bought = place >= 0
    at = np.maximum(place, 0)
    none = np.where(bought, 0.0, np.nan)
    count, last, first = purchases.baskets[at], purchases.last[at], purchases.first[at]
    gap = np.where(bought & (count > 1), (first - last) / np.maximum(count - 1, 1), np.nan)
    columns = [
        count * bought,
        *(decayed[at] * bought for decayed in purchases.decayed),
        last + none,
        first + none,
        gap,
        last / np.maximum(gap, 1.0),
        purchases.season[at] * bought,
        purchases.recent[at] * bought,
        count * bought / np.maximum(baskets[owner], 1),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def places_of(purchases: Purchases, owner: Array, item: Array) -> Array:
    """Where each pair stands among the bought ones; -1 where it was never bought."""
    width = np.int64(purchases.shape[1])
    # Of the asked customers alone: a block asks for some hundred of perhaps a hundred thousand.
    people, row = np.unique(owner, return_inverse=True)
    start = purchases.pointer[people]
    count = purchases.pointer[people + 1] - start
    place = np.arange(count.sum()) + np.repeat(start - np.cumsum(count) + count, count)
    known = np.repeat(np.arange(len(people)), count) * width + purchases.item[place]
    wanted = row * width + item
    if len(known) == 0:
        return np.full(len(wanted), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[at] == wanted, place[at], -1)
