"""All that is known at a moment, learnt from the events before it: what candidates and features are made from.

What belongs here: putting the models of one moment together, and how an item that nobody has bought yet borrows from those described alike.
What does not: the models themselves, and anything after the moment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import sparse

from plinth.recommend.item_item import Common, baskets_in_common, ease
from plinth.recommend.log import Array, Log
from plinth.recommend.neighbours import nearest, unit_rows
from plinth.recommend.purchases import Purchases, baskets_by_items, days_of_baskets, last_baskets, purchases_of
from plinth.recommend.settings import RecommenderSettings
from plinth.recommend.trade import Trade, profiles, trade_of

_LONG, _SHORT, _NEWEST = (
    540.0,
    60.0,
    14.0,
)  # half-lives of `purchases`: taste, what is bought these months, and these weeks
_LAST_BASKETS = 3


@dataclass(frozen=True)
class ItemModels:
    """The item-item models, rows of the same items.

    Attributes:
        ease, taste: EASE over customers, the newer a purchase the more, and with all purchases alike.
        together: EASE over baskets, the newer the more: what goes into the same basket; sessions follow it.
        baskets: cosine over baskets.
        text: descriptions alike.
    """

    ease: sparse.csr_matrix
    taste: sparse.csr_matrix
    together: sparse.csr_matrix
    baskets: sparse.csr_matrix
    text: sparse.csr_matrix


@dataclass(frozen=True)
class Snapshot:
    """What is known at a moment.

    Attributes:
        sellable: items that may be recommended.
        taste, always, recent, lately: purchases of customers by items, from all alike to the last weeks.
        last: the last baskets; `units`: purchases as rows of length 1; `pool`: customers among whom neighbours are looked for.
    """

    at: float
    log: Log
    settings: RecommenderSettings
    purchases: Purchases
    trade: Trade
    models: ItemModels
    sellable: Array
    taste: sparse.csr_matrix
    always: sparse.csr_matrix
    recent: sparse.csr_matrix
    lately: sparse.csr_matrix
    last: sparse.csr_matrix
    units: sparse.csr_matrix
    pool: Array


class Scores(NamedTuple):
    """What each model says of all items for a block of customers: one dense matrix each, customers by items.

    Attributes:
        ease, taste: EASE of the newer purchases, and of all.
        together, recent: what goes into a basket with the last basket, and with what was bought these months.
        neighbours, near: what customers alike bought these months, and in the last weeks.
        baskets, text: cosine to the last baskets, over baskets and over descriptions.
    """

    ease: Array
    taste: Array
    together: Array
    recent: Array
    neighbours: Array
    near: Array
    baskets: Array
    text: Array


def learn(
    log: Log,
    at: float,
    text: sparse.csr_matrix,
    settings: RecommenderSettings,
    *,
    lend: bool = True,
    common: Common = baskets_in_common,
) -> ItemModels:
    """The item-item models of the events before a moment; `text` is that of all items.

    Args:
        lend: whether items without a purchase borrow from those described alike; idle where they cannot be recommended.
        common: counts the baskets in common.
    """
    past = log.before(at)
    purchases = purchases_of(past, at, settings.window_days)
    held = baskets_by_items(past)
    newer = sparse.diags(
        np.sqrt(0.5 ** ((at - days_of_baskets(past)) / settings.together_half_life)).astype(np.float32)
    )

    def solved(weights: sparse.csr_matrix) -> sparse.csr_matrix:
        return ease(weights, penalty=settings.ease_penalty, most=settings.ease_items, row_items=settings.row_items)

    cold = lend & (np.bincount(purchases.item, minlength=len(log.goods)) == 0)
    return ItemModels(
        ease=_lend(solved(purchases.weights(settings.ease_half_life)), text, cold),
        taste=_lend(solved(purchases.matrix(np.sqrt(purchases.baskets))), text, cold),
        together=_lend(solved(sparse.csr_matrix(newer @ held)), text, cold),
        baskets=_lend(common(held, row_items=settings.row_items), text, cold),
        text=text,
    )


def look(log: Log, at: float, models: ItemModels, sellable: Array, settings: RecommenderSettings) -> Snapshot:
    """The snapshot of a moment, with models learnt before it."""
    past = log.before(at)
    purchases = purchases_of(past, at, settings.window_days)
    trade = trade_of(past, purchases, at, settings.window_days)
    cold = np.bincount(purchases.item, minlength=len(log.goods)) == 0
    newest = np.full(len(log.customers), -np.inf)
    np.maximum.at(newest, past.customer, past.day)
    pool = np.sort(np.argsort(-newest, kind="stable")[: settings.neighbour_pool])
    return Snapshot(
        at=at,
        log=past,
        settings=settings,
        purchases=purchases,
        trade=_lend_trade(trade, models.text, cold),
        models=models,
        sellable=sellable,
        taste=purchases.weights(settings.ease_half_life),
        last=last_baskets(past, _LAST_BASKETS),
        units=unit_rows(purchases.weights(_LONG)),
        always=purchases.matrix(np.sqrt(purchases.baskets)),
        recent=purchases.weights(_SHORT),
        lately=purchases.weights(_NEWEST),
        pool=pool[np.isfinite(newest[pool])],
    )


def scores_of(snapshot: Snapshot, customers: Array) -> Scores:
    """What the models say for a block of customers."""
    settings, models = snapshot.settings, snapshot.models
    near = nearest(snapshot.units, snapshot.pool, customers, settings.neighbours)
    taste, last, recent = snapshot.taste[customers], snapshot.last[customers], snapshot.recent[customers]
    newest = sparse.csr_matrix(last.multiply(last == 1.0))
    return Scores(
        ease=(taste @ models.ease).toarray(),
        taste=(snapshot.always[customers] @ models.taste).toarray(),
        together=(profiles(newest) @ models.together).toarray(),
        recent=(recent @ models.together).toarray(),
        neighbours=(near @ snapshot.recent[snapshot.pool]).toarray(),
        near=(near @ snapshot.lately[snapshot.pool]).toarray(),
        baskets=(profiles(last) @ models.baskets).toarray(),
        text=(profiles(last) @ models.text).toarray(),
    )


def _lend(model: sparse.csr_matrix, text: sparse.csr_matrix, cold: Array) -> sparse.csr_matrix:
    """Gives items without a purchase the mean row and column of the items described like them."""
    if not cold.any():
        return model
    alike = profiles(
        sparse.csr_matrix(sparse.diags(cold.astype(np.float32)) @ text @ sparse.diags((~cold).astype(np.float32)))
    )
    lent = (model + alike @ model + model @ alike.T).tocsr()
    lent.sort_indices()
    return sparse.csr_matrix(lent, dtype=np.float32)


def _lend_trade(trade: Trade, text: sparse.csr_matrix, cold: Array) -> Trade:
    """Gives items without a purchase the mean columns of the items described like them; their own price stays."""
    if not cold.any():
        return trade
    alike = profiles(sparse.csr_matrix(text[cold] @ sparse.diags((~cold).astype(np.float32))))
    columns = trade.items.copy()
    known = np.nan_to_num(columns)
    columns[:-1, cold] = (alike @ known.T).T[:-1]
    return replace(trade, items=columns)
