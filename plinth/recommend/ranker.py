"""The second stage: how likely each candidate is bought, learnt at several past cut-offs.

What belongs here: the rows that the ranker learns from, and its training. What does not: candidates and features.

Each cut-off's features come from the events before it alone, its labels from the window after it; the newest window ends where the
recommender is trained, so that nothing later is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from plinth.fanout import FanOut, Tell, counted, silent
from plinth.recommend.candidates import Candidates, candidates_of
from plinth.recommend.errors import EventsUnusable
from plinth.recommend.features import features_of
from plinth.recommend.item_item import Common, baskets_in_common
from plinth.recommend.log import Array, Log
from plinth.recommend.settings import RecommenderSettings
from plinth.recommend.snapshot import Snapshot, learn, look, scores_of

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

    from plinth.recommend.known import Known

_BLOCK = 3_000_000  # cells of a dense block of customers by items: 12 MB in each of some ten matrices
_YEAR = 364.0
SIDE_BY_SIDE = 1_000_000
"""Events up to which cut-offs are learnt side by side: each keeps one thread busy, but has its own matrices in memory."""
_MOST_BESIDE = 4
_LEAST_HISTORY = 56.0  # days before the oldest cut-off; with less there is nothing to learn a habit from


@dataclass(frozen=True)
class Ranked:
    """Candidates of a block of customers with their features."""

    customers: Array
    candidates: Candidates
    features: Array


@dataclass(frozen=True)
class Examples:
    """What the ranker learns from: features, whether the item was bought in the window, and how much that counts."""

    features: Array
    bought: Array
    weight: Array


def blocks(snapshot: Snapshot, customers: Array) -> Iterator[Ranked]:
    """The candidates of many customers, block by block, so that the dense matrices stay small."""
    size = max(16, _BLOCK // max(1, len(snapshot.log.goods)))
    for first in range(0, len(customers), size):
        block = customers[first : first + size]
        scores = scores_of(snapshot, block)
        candidates = candidates_of(snapshot, block, scores)
        yield Ranked(block, candidates, features_of(snapshot, block, scores, candidates))


def examples_of(
    known: Known,
    seed: int,
    settings: RecommenderSettings,
    fan_out: FanOut,
    threads: int,
    common: Common = baskets_in_common,
    tell: Tell = silent,
) -> Examples:
    """The examples of all cut-offs before a moment; each cut-off is a task of its own.

    Args:
        fan_out: how the tasks are spread; where they would be done one after another, side by side where the events are few.
        common: counts the baskets in common, unless tasks leave this process: a session of Spark cannot go with them.
        tell: hears of each cut-off.

    Raises:
        EventsUnusable: there are too few days of events, or too few customers who came back.
    """
    log = known.log
    cuts = {number: known.day - number * settings.window_days for number in cut_numbers(settings)}
    pairs = common if fan_out.backend in ("none", "threads") else baskets_in_common
    tasks = [
        (log, cut, known.text, [seed, number], settings, pairs)
        for number, cut in cuts.items()
        if len(log) and cut - float(log.day[0]) >= _LEAST_HISTORY
    ]
    what = "examples of past cut-offs"
    if not are_beside(log, fan_out, threads):
        found = fan_out.run(_at, tasks, threads=threads, what=what, tell=tell)
    else:
        # Without a cap of their own: BLAS keeps all threads, and so every inverse has the bits that it has of one cut-off after the other.
        with ThreadPoolExecutor(min(threads, _MOST_BESIDE)) as pool:
            waiting = [pool.submit(_at, *task) for task in tasks]
            found = counted((each.result() for each in waiting), len(tasks), what, tell)
    bought = np.concatenate([each.bought for each in found]) if found else np.empty(0, dtype=bool)
    if not bought.any() or bought.all():
        raise EventsUnusable(
            "there is too little to train a ranker on",
            expected=f"customers who bought again, over at least {_LEAST_HISTORY + settings.window_days:.0f} days",
            found=f"{len(log):,} events",
            remedy="train again when there is more history",
        )
    weight = np.concatenate([each.weight for each in found])
    return Examples(
        np.concatenate([each.features for each in found if len(each.bought)]), bought, weight / weight.mean()
    )


def are_beside(log: Log, fan_out: FanOut, threads: int) -> bool:
    """Whether cut-offs that would be learnt one after another are learnt side by side, as many as there are threads."""
    return fan_out.backend == "none" and fan_out.threads == 0 and threads > 1 and len(log) <= SIDE_BY_SIDE


def cut_numbers(settings: RecommenderSettings) -> list[int]:
    """How many windows before the time of training each cut-off lies: the newest ones, and those of last year's season."""
    year = round(_YEAR / settings.window_days)
    first = year - settings.seasons // 2
    return sorted({*range(1, settings.cutoffs + 1), *range(first, first + settings.seasons)})


def _at(
    log: Log, cut: float, text: sparse.csr_matrix, seed: list[int], settings: RecommenderSettings, common: Common
) -> Examples:
    rng = np.random.default_rng(seed)
    past, window = log.before(cut), log.between(cut, cut + settings.window_days)
    sold = np.bincount(past.item, minlength=len(log.goods)) > 0
    customers = np.intersect1d(past.customer, window.customer)
    if len(customers) > settings.customers_per_cutoff:
        customers = np.sort(rng.choice(customers, settings.customers_per_cutoff, replace=False))
    # An item that was first sold after the cut-off must not be a candidate: being sold at all would tell that it was bought.
    snapshot = look(log, cut, learn(log, cut, text, settings, lend=False, common=common), sold, settings)
    width = np.int64(len(log.goods))
    truth = np.unique(window.customer.astype(np.int64) * width + window.item)
    features, labels, weights = [], [], []
    for block in blocks(snapshot, customers):
        bought = np.isin(block.customers[block.candidates.row].astype(np.int64) * width + block.candidates.item, truth)
        keep = bought | (rng.random(len(bought)) < settings.negatives)
        features.append(block.features[keep])
        labels.append(bought[keep])
        row = block.candidates.row
        each = np.maximum(np.bincount(row, bought, len(block.customers)), 1.0) ** -settings.evenness
        weights.append(each[row[keep]])
    if not features:
        return Examples(np.empty((0, 0), dtype=np.float32), np.empty(0, dtype=bool), np.empty(0))
    return Examples(np.concatenate(features), np.concatenate(labels), np.concatenate(weights))


def train_ranker(examples: Examples, seed: int, settings: RecommenderSettings) -> HistGradientBoostingClassifier:
    """The ranker of examples. It gives scores in the order of likelihood; they are not calibrated."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    ranker = HistGradientBoostingClassifier(
        learning_rate=settings.learning_rate,
        max_iter=settings.trees,
        max_leaf_nodes=settings.leaves,
        min_samples_leaf=settings.leaf_rows,
        max_features=settings.split_features,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    return ranker.fit(examples.features, examples.bought, sample_weight=examples.weight)
