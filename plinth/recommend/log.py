"""Purchases as whole numbers, in the order of time: what every model of this package reads.

What belongs here: turning the tables of events and items into codes, the views of them before a moment, and the time scale. What does not:
anything that is learnt from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plinth.recommend.errors import EventsUnusable

Array = np.ndarray[Any, np.dtype[Any]]
_COLUMNS = ("customer", "basket", "item", "time")
_EPOCH = np.datetime64("1970-01-01", "us")


@dataclass(frozen=True)
class Goods:
    """The items by code: label (sorted), description (empty where there is none) and price (not a number where there is none)."""

    labels: Array
    descriptions: Array
    prices: Array

    def __len__(self) -> int:
        return len(self.labels)

    def codes(self, labels: Sequence[str] | Array) -> Array:
        """The codes of labels; -1 for an unknown one."""
        return codes_of(self.labels, np.asarray(labels, dtype=str))


@dataclass(frozen=True)
class Log:
    """Who bought what in which basket and when, sorted by time; one row for each item of a basket.

    Attributes:
        customers: labels of the customers by code, sorted.
        goods: the items by code.
        countries: names of the countries by code, sorted.
        country: code of each customer's country of the last purchase, -1 for none.
        customer, item, basket: codes, one each event. Baskets are numbered in the order of time.
        day: days since 1970-01-01, with the time of day as its fraction.
        known: the day from which each event is known, never earlier than `day`; later for what was booked late.
    """

    customers: Array
    goods: Goods
    countries: Array
    country: Array
    customer: Array
    item: Array
    basket: Array
    day: Array
    known: Array

    def __len__(self) -> int:
        return len(self.day)

    def before(self, day: float) -> Log:
        """What was before a moment and known before it; an event of that very moment is not."""
        past = self.between(-np.inf, day)
        known = past.known < day
        return past if known.all() else past._of(known)

    def between(self, first: float, end: float) -> Log:
        """The events from `first` on and before `end`."""
        low, high = (int(np.searchsorted(self.day, each, side="left")) for each in (first, end))
        return self._of(slice(low, high))

    def _of(self, rows: slice | Array) -> Log:
        return replace(
            self,
            customer=self.customer[rows],
            item=self.item[rows],
            basket=self.basket[rows],
            day=self.day[rows],
            known=self.known[rows],
        )


def day_of(moment: datetime) -> float:
    """A naive time on the log's scale."""
    return float((np.datetime64(moment.replace(tzinfo=None), "us") - _EPOCH) / np.timedelta64(1, "D"))


def codes_of(labels: Array, wanted: Array) -> Array:
    """The places of values in a sorted array; -1 for one that is not in it."""
    if len(labels) == 0 or len(wanted) == 0:
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(labels, wanted), len(labels) - 1)
    return np.where(labels[places] == wanted, places, -1)


def encode(events: pa.Table, items: pa.Table) -> Log:
    """The events as codes.

    Args:
        events: customer (whole number or text), basket (text), item (text), time (timestamp without zone or in UTC), and country (text)
            where it is known. Repeated (customer, basket, item) count once, at the first time. `known` (timestamp) says since when an event is
            known, where that is not its time.
        items: item (text), description (text), price (number); items without a purchase may stand in it, others may be missing.

    Raises:
        EventsUnusable: a column is missing, a value is null, or there is no event.
    """
    _check(events, items)
    goods = _goods(events, items)
    customers, customer = _coded(events, "customer")
    baskets, basket = _coded(events, "basket")
    sold, item = _coded(events, "item")
    item = codes_of(goods.labels, sold.astype(str)).astype(np.int32)[item]
    day = _days(events, "time")
    known = np.maximum(day, _days(events, "known")) if "known" in events.column_names else day
    order = np.lexsort((known, item, basket, customer, day))
    customer, basket, item, day, known = customer[order], basket[order], item[order], day[order], known[order]
    key = (customer.astype(np.int64) * len(baskets) + basket) * len(goods) + item
    first = np.sort(np.unique(key, return_index=True)[1])
    countries, country = _countries(events, order, customer, len(customers))
    return Log(
        customers=customers,
        goods=goods,
        countries=countries,
        country=country,
        customer=customer[first].astype(np.int32),
        item=item[first].astype(np.int32),
        basket=_in_time(basket[first]),
        day=day[first],
        known=known[first],
    )


def _days(table: pa.Table, column: str) -> Array:
    days: Array = (table.column(column).cast(pa.timestamp("us")).to_numpy() - _EPOCH) / np.timedelta64(1, "D")
    return days


def _check(events: pa.Table, items: pa.Table) -> None:
    for name, table, wanted in (("events", events, _COLUMNS), ("items", items, ("item", "description", "price"))):
        missing = [column for column in wanted if column not in table.column_names]
        if missing:
            raise EventsUnusable(
                f"the {name} lack columns", expected=", ".join(wanted), found=", ".join(table.column_names), where=name
            )
    if events.num_rows == 0:
        raise EventsUnusable("there are no events to learn from", remedy="build gold/interactions first")
    for column in (*_COLUMNS, *({"known"} & set(events.column_names))):
        if events.column(column).null_count:
            raise EventsUnusable(
                "an event lacks a value", expected="no nulls", found=events.column(column).null_count, where=column
            )


def _coded(table: pa.Table, column: str) -> tuple[Array, Array]:
    """The sorted distinct values of a column, and the place of each row's among them."""
    values = table.column(column)
    values = values.cast(pa.int64() if pa.types.is_integer(values.type) else pa.string())
    # Arrow finds the distinct ones by hashing: sorting texts of ten million rows would take a minute.
    found = values.combine_chunks().dictionary_encode()
    found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    labels = np.asarray(found.dictionary.to_pylist())
    order = np.argsort(labels, kind="stable")
    place = np.empty(len(order), dtype=np.int32)
    place[order] = np.arange(len(order))
    return labels[order], place[found.indices.to_numpy()]


def _values(table: pa.Table, column: str) -> Array:
    values = table.column(column)
    if pa.types.is_integer(values.type):
        numbers: Array = values.cast(pa.int64()).to_numpy()
        return numbers
    texts: Array = values.cast(pa.string()).to_numpy(zero_copy_only=False).astype(str)
    return texts


def _goods(events: pa.Table, items: pa.Table) -> Goods:
    named = items.filter(pc.is_valid(items.column("item")))
    sold = pc.unique(events.column("item").cast(pa.string()))
    labels = np.unique(np.concatenate([_values(named, "item").astype(str), np.asarray(sold.to_pylist(), dtype=str)]))
    places = codes_of(labels, _values(named, "item").astype(str))
    descriptions = np.full(len(labels), "", dtype=object)
    prices = np.full(len(labels), np.nan)
    descriptions[places] = pc.fill_null(named.column("description").cast(pa.string()), "").to_pylist()
    prices[places] = named.column("price").cast(pa.float64()).to_numpy(zero_copy_only=False)
    return Goods(labels, descriptions.astype(str), prices)


def _countries(events: pa.Table, order: Array, customer: Array, customers: int) -> tuple[Array, Array]:
    country = np.full(customers, -1, dtype=np.int32)
    if "country" not in events.column_names:
        return np.empty(0, dtype="<U1"), country
    # As numpy's texts the countries of ten million events would take gigabytes.
    texts = pc.fill_null(events.column("country").cast(pa.string()), "")
    names, code = _coded(pa.table({"country": texts}), "country")
    country[customer] = code[order]  # the assignment of the last event stays, which is the newest
    known = names != ""
    shifted = np.cumsum(known) - 1
    return names[known], np.where((country >= 0) & known[country], shifted[country], -1).astype(np.int32)


def _in_time(basket: Array) -> Array:
    """Numbers baskets by their first event, so that a higher number is never earlier."""
    _, first, code = np.unique(basket, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int32)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return rank[code]
