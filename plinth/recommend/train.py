"""Training: from events and items to a recommender.

What belongs here: the order of the steps, and the cap on threads. What does not: the steps.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

import pyarrow as pa

from plinth.fanout import FanOut, Tell, silent
from plinth.recommend.item_item import Common, baskets_in_common
from plinth.recommend.known import known_at
from plinth.recommend.ranker import are_beside, examples_of, train_ranker
from plinth.recommend.recommender import Recommender
from plinth.recommend.settings import RecommenderSettings
from plinth.recommend.snapshot import learn
from plinth.threads import capped


def train_recommender(
    events: pa.Table,
    items: pa.Table,
    *,
    at: datetime,
    threads: int,
    seed: int,
    settings: RecommenderSettings | None = None,
    fan_out: FanOut | None = None,
    common: Common = baskets_in_common,
    tell: Tell = silent,
) -> Recommender:
    """Learns from what was bought before a moment.

    Args:
        events: customer, basket, item, time, and country where known; see `log.encode`. Events of `at` and later are left out.
        items: item, description, price, and optionally sellable (false for one that must not be recommended); as known at `at`.
        at: the moment, on the scale of the events' time.
        threads: cap of every thread pool (OpenMP, BLAS), and how many cut-offs are learnt at once; the same number gives the same bytes.
        seed: of the draws.
        settings: see `RecommenderSettings`.
        fan_out: how the cut-offs' examples are spread; see `examples_of`.
        common: counts which items stand in the same baskets; whoever does, the model is the same byte for byte.
        tell: hears of each stage, as all of it takes minutes where purchases are many.

    Raises:
        EventsUnusable: columns are missing, or there is too little history.
    """
    settings, fan_out = settings or RecommenderSettings(), fan_out or FanOut()
    with capped(threads), ThreadPoolExecutor(1) as pool:
        known = known_at(events, items, at)
        log = known.log
        tell(
            f"{len(log):,} purchases of {len(log.customers):,} customers, {len(log.goods):,} items, known at {at:%Y-%m-%d}"
        )
        models = partial(learn, log, known.day, known.text, settings, common=common)
        # Where cut-offs are learnt side by side, what is known at the end is one more of them.
        beside = pool.submit(models) if are_beside(log, fan_out, threads) else None
        examples = examples_of(known, seed, settings, fan_out, threads, common, tell)
        tell(f"item-item models of all purchases before {at:%Y-%m-%d}")
        learnt = beside.result() if beside is not None else models()
        tell(f"the ranker learns from {len(examples.bought):,} examples")
        ranker = train_ranker(examples, seed, settings)
    return Recommender(
        at=known.day,
        log=log,
        models=learnt,
        sellable=known.sellable,
        ranker=ranker,
        settings=settings,
        seed=seed,
        threads=threads,
    )
