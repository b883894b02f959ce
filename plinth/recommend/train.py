"""Training: from events and items to a recommender.

What belongs here: the order of the steps, and the cap on threads. What does not: the steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

import pyarrow as pa

from plinth.fanout import FanOut
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
    tell: Callable[[str], None] = lambda _: None,
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
        tell: hears what is done and how long it took: a training says something every few seconds.

    Raises:
        EventsUnusable: columns are missing, or there is too little history.
    """
    settings, fan_out = settings or RecommenderSettings(), fan_out or FanOut()
    began = time.monotonic()
    with capped(threads), ThreadPoolExecutor(1) as pool:
        known = known_at(events, items, at)
        tell(f"{len(known.log):,} events and {len(known.log.goods):,} items read in {time.monotonic() - began:.1f} s")
        models = partial(learn, known.log, known.day, known.text, settings, common=common)
        # Where cut-offs are learnt side by side, what is known at the end is one more of them.
        beside = pool.submit(models) if are_beside(known.log, fan_out, threads) else None
        examples = examples_of(known, seed, settings, fan_out, threads, common, tell)
        learnt = beside.result() if beside is not None else models()
        started = time.monotonic()
        ranker = train_ranker(examples, seed, settings)
        tell(f"the ranker learnt from {len(examples.bought):,} examples in {time.monotonic() - started:.1f} s")
    return Recommender(
        at=known.day,
        log=known.log,
        models=learnt,
        sellable=known.sellable,
        ranker=ranker,
        settings=settings,
        seed=seed,
        threads=threads,
    )
