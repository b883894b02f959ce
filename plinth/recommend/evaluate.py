"""The figures by which a recommender is judged.

What belongs here: formulas over lists and truths, and the evaluation of a trained recommender on what came after it. What does not: what is
compared with it (`benchmarks`), and who wins (`plinth.registry`).

Sources of the formulas: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 2002 (nDCG); Herlocker et al.,
"Evaluating collaborative filtering recommender systems", ACM TOIS 2004 (precision, recall, coverage); Vargas and Castells, "Rank and
relevance in novelty and diversity metrics", RecSys 2011 (novelty as self-information).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from plinth.recommend.log import Array, Log, codes_of, day_of, encode

if TYPE_CHECKING:
    from plinth.recommend.recommender import Recommender


@dataclass(frozen=True)
class Truth:
    """What customers really bought: items of customer `n` of the asked ones are `item[pointer[n]:pointer[n + 1]]`, each once, sorted."""

    pointer: Array
    item: Array

    @property
    def sizes(self) -> Array:
        """Items of each customer."""
        return np.diff(self.pointer)

    def hits(self, lists: Array) -> Array:
        """Which places of the lists (customers by k, codes; -1 for an empty place) hold an item of the truth."""
        width = np.int64(max(int(lists.max(initial=0)), int(self.item.max(initial=0))) + 1)
        keys = np.repeat(np.arange(len(self.sizes), dtype=np.int64), self.sizes) * width + self.item
        asked = np.arange(len(lists), dtype=np.int64)[:, None] * width + lists
        return (lists >= 0) & np.isin(asked, keys)


def truth_of(customers: Array, pairs: Array, width: int) -> Truth:
    """The truth of customers (sorted codes) from pairs, each the number `customer * width + item`."""
    pairs = np.unique(pairs)
    pairs = pairs[np.isin(pairs // width, customers)]
    place = np.searchsorted(customers, pairs // width)
    return Truth(np.searchsorted(place, np.arange(len(customers) + 1)), (pairs % width).astype(np.int64))


def recall(hits: Array, sizes: Array) -> float:
    """Mean over customers of |list and truth| / |truth|."""
    return float(np.mean(hits.sum(axis=1) / sizes))


def precision(hits: Array) -> float:
    """Mean over customers of |list and truth| / k."""
    return float(np.mean(hits.mean(axis=1)))


def ndcg(hits: Array, sizes: Array) -> float:
    """Mean over customers of DCG / ideal DCG; DCG is the sum of 1 / log2(place + 1) over the hits, the ideal has min(k, |truth|) of them."""
    discount = 1.0 / np.log2(np.arange(hits.shape[1]) + 2)
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(sizes, hits.shape[1])]
    return float(np.mean(hits @ discount / ideal))


def hit_rate(hits: Array) -> float:
    """Share of the customers with at least one hit."""
    return float(np.mean(hits.any(axis=1)))


def mean_average_precision(hits: Array, sizes: Array) -> float:
    """Mean over customers of the sum over the hits of precision at the hit's place, divided by min(k, |truth|)."""
    at_place = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return float(np.mean((at_place * hits).sum(axis=1) / np.minimum(sizes, hits.shape[1])))


def coverage(lists: Array, items: int) -> float:
    """Share of the catalogue that stands in at least one list."""
    return len(np.unique(lists[lists >= 0])) / items


def novelty(lists: Array, popularity: Array) -> float:
    """Mean self-information of the listed items in bits, -log2 of the share of customers who have the item.

    Args:
        popularity: share of the customers who bought each item; an item of none counts as half a customer would.
    """
    floor = popularity[popularity > 0].min(initial=1.0) / 2
    return float(np.mean(-np.log2(np.maximum(popularity[lists[lists >= 0]], floor))))


def popularity_bias(lists: Array, popularity: Array, bought: Array) -> float:
    """Mean popularity of the listed items over that of the items which were really bought; 1 is without bias."""
    return float(np.mean(popularity[lists[lists >= 0]]) / np.mean(popularity[bought]))


@dataclass(frozen=True)
class Evaluation:
    """A recommender's figures on one window; see the functions of the same names.

    Attributes:
        customers: those who bought before the window and, in it, an item that had been sold before.
        truth_size: items that one of them bought, on average.
        new_...: the same without the items that the customer had bought before, on both sides.
    """

    k: int
    customers: int
    truth_size: float
    recall: float
    ndcg: float
    hit_rate: float
    precision: float
    new_customers: int
    new_recall: float
    new_ndcg: float
    coverage: float
    novelty: float
    popularity_bias: float

    def metrics(self) -> dict[str, float]:
        """The figures by name, with k in it where it matters, as the registry keeps them."""
        counted = ("recall", "ndcg", "hit_rate", "precision", "new_recall", "new_ndcg")
        return {
            (f"{name}_at_{self.k}" if name in counted else name): float(value)
            for name, value in asdict(self).items()
            if name != "k"
        }


@dataclass(frozen=True)
class Window:
    """Whom a window asks about, and the truths: all, and without what the customer had bought before."""

    log: Log
    customers: Array
    truth: Truth
    new_customers: Array
    new_truth: Truth
    popularity: Array


def window_of(log: Log, at: datetime, days: int) -> Window:
    """The window [at, at + days) of a log: customers with a purchase before it, and distinct items of it that were sold before it."""
    start = day_of(at)
    past, inside = log.before(start), log.between(start, start + days)
    width = len(log.goods)
    before = np.unique(past.customer.astype(np.int64) * width + past.item)
    pairs = np.unique(inside.customer.astype(np.int64) * width + inside.item)
    pairs = pairs[np.isin(pairs // width, before // width) & np.isin(pairs % width, before % width)]
    new = np.setdiff1d(pairs, before)
    customers, new_customers = np.unique(pairs // width), np.unique(new // width)
    share = np.bincount(before % width, minlength=width) / max(1, len(np.unique(before // width)))
    return Window(
        past, customers, truth_of(customers, pairs, width), new_customers, truth_of(new_customers, new, width), share
    )


def judge(window: Window, lists: Array, new_lists: Array) -> Evaluation:
    """The figures of lists of item codes: for the window's customers, and of new items for its `new_customers`."""
    hits, sizes = window.truth.hits(lists), window.truth.sizes
    new_hits, new_sizes = window.new_truth.hits(new_lists), window.new_truth.sizes
    return Evaluation(
        k=lists.shape[1],
        customers=len(lists),
        truth_size=float(sizes.mean()),
        recall=recall(hits, sizes),
        ndcg=ndcg(hits, sizes),
        hit_rate=hit_rate(hits),
        precision=precision(hits),
        new_customers=len(new_lists),
        new_recall=recall(new_hits, new_sizes),
        new_ndcg=ndcg(new_hits, new_sizes),
        coverage=coverage(lists, int((window.popularity > 0).sum())),
        novelty=novelty(lists, window.popularity),
        popularity_bias=popularity_bias(lists, window.popularity, window.truth.item),
    )


def evaluate(recommender: Recommender, events: pa.Table, at: datetime, days: int, k: int = 20) -> Evaluation:
    """A trained recommender's figures on the window [at, at + days).

    Args:
        recommender: trained on events before `at`.
        events: as for training, those of the window among them.
        at: start of the window.
        days: its length.
        k: length of the lists.
    """
    log = encode(
        events,
        pa.table(
            {
                "item": pa.array([], pa.string()),
                "description": pa.array([], pa.string()),
                "price": pa.array([], pa.float64()),
            }
        ),
    )
    window = window_of(log, at, days)
    return judge(
        window,
        _lists(recommender, window.log, window.customers, k, new_only=False),
        _lists(recommender, window.log, window.new_customers, k, new_only=True),
    )


def _lists(recommender: Recommender, log: Log, customers: Array, k: int, *, new_only: bool) -> Array:
    table = recommender.recommend(log.customers[customers].tolist(), k, new_only=new_only, reasons=False)
    lists = np.full((len(customers), k), -1, dtype=np.int64)
    labels = table.column("customer").to_numpy(zero_copy_only=False)
    row = codes_of(log.customers[customers], labels.astype(log.customers.dtype))
    place = table.column("rank").to_numpy() - 1
    lists[row, place] = log.goods.codes(table.column("item").to_pylist())
    return lists
