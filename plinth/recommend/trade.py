"""How items and customers stand at a moment: popularity in windows, seasons, ages, and how each customer buys.

What belongs here: one column for each item, or for each customer. What does not: pairs of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from plinth.recommend.log import Array, Log
from plinth.recommend.purchases import Purchases

WINDOWS = (7.0, 14.0, 28.0, 56.0, 112.0, 365.0)
_YEAR = 364.0


@dataclass(frozen=True)
class Trade:
    """Columns of the items and of the customers at a moment; names as in `features`.

    Attributes:
        items: one column an item, in the order of `ITEM_COLUMNS`.
        customers: one column a customer, in the order of `CUSTOMER_COLUMNS`.
        popularity: customers of each item in the newest 28 days: what a stranger is offered.
        by_country: the same by country and item.
    """

    items: Array
    customers: Array
    popularity: Array
    by_country: Array


ITEM_COLUMNS = (
    *(f"item_customers_{int(window)}d" for window in WINDOWS),
    "item_trend_short",
    "item_trend_long",
    "item_customers_season",
    "item_season_lift",
    "item_days_since_first",
    "item_days_since_last",
    "item_repeat_share",
    "item_baskets_per_customer",
    "item_price",
)
CUSTOMER_COLUMNS = (
    "customer_baskets",
    "customer_baskets_28d",
    "customer_baskets_112d",
    "customer_days_since_last",
    "customer_days_since_first",
    "customer_gap",
    "customer_overdue",
    "customer_items",
    "customer_basket_size",
    "customer_last_basket_size",
    "customer_repeat_share",
    "customer_price",
    "customer_season_baskets",
    "customer_popular_taste",
)


def trade_of(log: Log, purchases: Purchases, at: float, window: float) -> Trade:
    """The columns of a log that ends before `at`."""
    newest = log.between(at - 28.0, at)
    countries = max(1, len(log.countries))
    by_country = np.zeros((countries, len(log.goods)), dtype=np.float32)
    pair = np.unique(np.stack([newest.customer, newest.item]), axis=1)
    home = log.country[pair[0]] if len(log.countries) else np.full(pair.shape[1], -1)
    np.add.at(by_country, (home[home >= 0], pair[1][home >= 0]), 1.0)
    items = _items(log, purchases, at, window)
    return Trade(
        items, _customers(log, purchases, at, window, items[WINDOWS.index(112.0)]), _distinct(newest), by_country
    )


def _distinct(log: Log) -> Array:
    """Customers of each item."""
    key = np.unique(log.customer.astype(np.int64) * len(log.goods) + log.item)
    return np.bincount(key % len(log.goods), minlength=len(log.goods)).astype(np.float32)


def _items(log: Log, purchases: Purchases, at: float, window: float) -> Array:
    count = len(log.goods)
    windows = [_distinct(log.between(at - each, at)) for each in WINDOWS]
    season = _distinct(log.between(at - _YEAR, at - _YEAR + window))
    before_season = _distinct(log.between(at - _YEAR - window, at - _YEAR))
    ago = at - log.day
    first, last = np.full(count, np.nan), np.full(count, np.nan)
    np.fmax.at(first, log.item, ago)
    np.fmin.at(last, log.item, ago)
    customers = np.bincount(purchases.item, minlength=count)
    again = np.bincount(purchases.item, purchases.baskets >= 2, count)
    baskets = np.bincount(purchases.item, purchases.baskets, count)
    columns = [
        *windows,
        (windows[0] + 1) / (windows[2] / 4 + 1),
        (windows[2] + 1) / (windows[4] / 4 + 1),
        season,
        (season + 1) / (before_season + 1),
        first,
        last,
        again / (customers + 5.0),
        baskets / np.maximum(customers, 1),
        log.goods.prices,
    ]
    return np.stack(columns).astype(np.float32)


def _customers(log: Log, purchases: Purchases, at: float, window: float, popular: Array) -> Array:
    users = len(log.customers)
    _, first_event, size = np.unique(log.basket, return_index=True, return_counts=True)
    owner, ago = log.customer[first_event], at - log.day[first_event]
    total = np.bincount(owner, minlength=users).astype(float)
    first, last = np.full(users, np.nan), np.full(users, np.nan)
    np.fmax.at(first, owner, ago)
    np.fmin.at(last, owner, ago)
    gap = np.divide(first - last, total - 1, out=np.full(users, np.nan), where=total > 1)
    distinct = np.diff(purchases.pointer).astype(float)
    events = np.bincount(log.customer, minlength=users).astype(float)
    last_size = np.zeros(users)
    last_size[owner] = size  # baskets are numbered in time: the newest one's assignment stays
    season = (ago <= _YEAR) & (ago > _YEAR - window)
    people = np.repeat(np.arange(users), np.diff(purchases.pointer))
    columns = [
        total,
        np.bincount(owner, ago <= 28, users),
        np.bincount(owner, ago <= 112, users),
        last,
        first,
        gap,
        last / np.maximum(gap, 1.0),
        distinct,
        events / np.maximum(total, 1),
        last_size,
        1.0 - distinct / np.maximum(events, 1),
        _mean_of(people, log.goods.prices[purchases.item], users),
        np.bincount(owner, season, users),
        _mean_of(people, popular[purchases.item], users),
    ]
    return np.stack(columns).astype(np.float32)


def _mean_of(owner: Array, values: Array, count: int) -> Array:
    known = ~np.isnan(values)
    number = np.bincount(owner[known], minlength=count)
    mean: Array = np.full(count, np.nan)
    np.divide(np.bincount(owner[known], values[known], count), number, out=mean, where=number > 0)
    return mean


def profiles(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """The rows scaled to sum 1."""
    total = np.asarray(matrix.sum(axis=1)).ravel()
    scale = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    return sparse.csr_matrix(sparse.diags(scale.astype(np.float32)) @ matrix)
