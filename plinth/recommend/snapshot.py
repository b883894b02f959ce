"""All that is known at a moment, learnt from the events before it: what candidates and features are made from.

What belongs here: putting the models of one moment together, and how an item that nobody has bought yet borrows from those described alike.
What does not: the models themselves, and anything after the moment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from plinth.recommend.item_item import baskets_in_common, ease
from plinth.recommend.log import Array, Log
from plinth.recommend.neighbours import neighbours_say, unit_rows
from plinth.recommend.purchases import Purchases, baskets_by_items, last_baskets, purchases_of
from plinth.recommend.settings import RecommenderSettings
from plinth.recommend.trade import Trade, profiles, trade_of

_LONG, _SHORT = 540.0, 60.0  # half-lives of `purchases`: taste, and what is bought these months
_LAST_BASKETS = 3


@dataclass(frozen=True)
class ItemModels:
    """The three item-item models, rows of the same items."""

    ease: sparse.csr_matrix
    baskets: sparse.csr_matrix
    text: sparse.csr_matrix


@dataclass(frozen=True)
class Snapshot:
    """What is known at a moment.

    Attributes:
        sellable: items that may be recommended.
    """

    at: float
    log: Log
    settings: RecommenderSettings
    purchases: Purchases
    trade: Trade
    models: ItemModels
    sellable: Array
    taste: sparse.csr_matrix
    last: sparse.csr_matrix
    units: sparse.csr_matrix
    recent: sparse.csr_matrix
    pool: Array


@dataclass(frozen=True)
class Scores:
    """What each model says of all items for a block of customers: one dense matrix each, customers by items."""

    ease: Array
    neighbours: Array
    baskets: Array
    text: Array


def learn(log: Log, at: float, text: sparse.csr_matrix, settings: RecommenderSettings) -> ItemModels:
    """The item-item models of the events before a moment; `text` is that of all items."""
    past = log.before(at)
    purchases = purchases_of(past, at, settings.window_days)
    weights = purchases.weights(settings.ease_half_life)
    strong = ease(weights, penalty=settings.ease_penalty, most=settings.ease_items, row_items=settings.row_items)
    common = baskets_in_common(baskets_by_items(past), row_items=settings.row_items)
    cold = np.bincount(purchases.item, minlength=len(log.goods)) == 0
    return ItemModels(_lend(strong, text, cold), _lend(common, text, cold), text)


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
        recent=purchases.weights(_SHORT),
        pool=pool[np.isfinite(newest[pool])],
    )


def scores_of(snapshot: Snapshot, customers: Array) -> Scores:
    """What the models say for a block of customers."""
    near = neighbours_say(snapshot.units, snapshot.recent, snapshot.pool, customers, snapshot.settings.neighbours)
    taste, last = snapshot.taste[customers], snapshot.last[customers]
    return Scores(
        ease=(taste @ snapshot.models.ease).toarray(),
        neighbours=near.toarray(),
        baskets=(profiles(last) @ snapshot.models.baskets).toarray(),
        text=(profiles(last) @ snapshot.models.text).toarray(),
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
