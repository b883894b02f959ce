"""Training: from events and items to a recommender.

What belongs here: the order of the steps, and the cap on threads. What does not: the steps.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa

from plinth.recommend.errors import EventsUnusable
from plinth.recommend.item_item import descriptions_alike
from plinth.recommend.log import Array, Log, day_of, encode
from plinth.recommend.ranker import examples_of, train_ranker
from plinth.recommend.recommender import Recommender
from plinth.recommend.settings import RecommenderSettings
from plinth.recommend.snapshot import learn
from plinth.recommend.threads import capped

_TEXT_ROWS = 50


def train_recommender(
    events: pa.Table,
    items: pa.Table,
    *,
    at: datetime,
    threads: int,
    seed: int,
    settings: RecommenderSettings | None = None,
) -> Recommender:
    """Learns from what was bought before a moment.

    Args:
        events: customer, basket, item, time, and country where known; see `log.encode`. Events of `at` and later are left out.
        items: item, description, price, and optionally sellable (false for one that must not be recommended); as known at `at`.
        at: the moment, on the scale of the events' time.
        threads: cap of every thread pool (OpenMP, BLAS); the same number gives the same bytes.
        seed: of the draws.
        settings: see `RecommenderSettings`.

    Raises:
        EventsUnusable: columns are missing, or there is too little history.
    """
    settings = settings or RecommenderSettings()
    day = day_of(at)
    log = encode(_past(events, at), items)
    with capped(threads):
        text = descriptions_alike(log.goods.descriptions, row_items=_TEXT_ROWS)
        ranker = train_ranker(examples_of(log, day, text, seed, settings), seed, settings)
        return Recommender(
            at=day,
            log=log,
            models=learn(log, day, text, settings),
            sellable=_sellable(items, log),
            ranker=ranker,
            settings=settings,
            seed=seed,
            threads=threads,
        )


def _past(events: pa.Table, at: datetime) -> pa.Table:
    import pyarrow.compute as pc

    if "time" not in events.column_names:
        raise EventsUnusable("the events lack a column", expected="time", found=", ".join(events.column_names))
    time = events.column("time").cast(pa.timestamp("us"))
    return events.filter(pc.less(time, pa.scalar(at.replace(tzinfo=None), pa.timestamp("us"))))


def _sellable(items: pa.Table, log: Log) -> Array:
    sellable = np.ones(len(log.goods), dtype=bool)
    if "sellable" in items.column_names:
        codes = log.goods.codes(items.column("item").to_pylist())
        sellable[codes] = [value is not False for value in items.column("sellable").to_pylist()]
    return sellable
