"""The first stage: the few hundred items that a customer may want, from all sources.

What belongs here: choosing by each source's best and putting them together. What does not: ranking them (`ranker`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plinth.recommend.log import Array
from plinth.recommend.snapshot import Scores, Snapshot
from plinth.recommend.trade import WINDOWS


@dataclass(frozen=True)
class Candidates:
    """Pairs to be ranked: place of the customer within the block, and the item; sorted by both."""

    row: Array
    item: Array


def candidates_of(snapshot: Snapshot, customers: Array, scores: Scores) -> Candidates:
    """The candidates of a block of customers."""
    settings = snapshot.settings
    chosen = np.zeros(scores.ease.shape, dtype=bool)
    own = snapshot.purchases.weights(540.0)[customers].toarray()
    for source, count in (
        (own, settings.own_candidates),
        (scores.ease, settings.ease_candidates),
        (scores.neighbours, settings.neighbour_candidates),
        (scores.baskets, settings.basket_candidates),
        (scores.text, settings.text_candidates),
    ):
        _mark_best(chosen, source, count)
    for popular in _popular(snapshot):
        chosen[:, np.argsort(-popular, kind="stable")[: settings.popular_candidates]] = True
    chosen &= snapshot.sellable
    row, item = np.nonzero(chosen)
    return Candidates(row.astype(np.int32), item.astype(np.int32))


def _popular(snapshot: Snapshot) -> list[Array]:
    newest = snapshot.trade.items[WINDOWS.index(14.0)]
    season = snapshot.trade.items[len(WINDOWS) + 2]
    return [newest, season]


def _mark_best(chosen: Array, source: Array, count: int) -> None:
    """Marks the best `count` above zero of each row."""
    width = source.shape[1]
    if count >= width:
        chosen |= source > 0
        return
    if count <= 0:
        return
    best = np.argpartition(-source, count - 1, axis=1)[:, :count]
    rows = np.arange(len(source))[:, None]
    chosen[rows, best] |= source[rows, best] > 0
