"""What a recommender knows at a moment without learning it by heart, and how one is moved to another moment.

What belongs here: the purchases before the moment, the items as they stood, and the same ranker over those of a newer moment. What does not:
learning the ranker (`train`), and where events and items come from (`gold`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from plinth.recommend.errors import EventsUnusable
from plinth.recommend.item_item import Common, baskets_in_common, descriptions_alike
from plinth.recommend.log import Array, Log, day_of, encode
from plinth.recommend.recommender import Recommender
from plinth.recommend.snapshot import learn
from plinth.threads import capped

_TEXT_ROWS = 50


@dataclass(frozen=True)
class Known:
    """Events and items at a moment.

    Attributes:
        day: the moment, in days since 1970-01-01.
        log: the purchases before it.
        sellable: items that may be recommended.
        text: descriptions alike.
    """

    day: float
    log: Log
    sellable: Array
    text: sparse.csr_matrix


def known_at(events: pa.Table, items: pa.Table, at: datetime) -> Known:
    """What events and items say at a moment.

    Args:
        events, items: as `train_recommender` takes them.

    Raises:
        EventsUnusable: columns are missing, or there is no event before the moment.
    """
    log = encode(_past(events, at), items)
    text = descriptions_alike(log.goods.descriptions, row_items=_TEXT_ROWS)
    return Known(day_of(at), log, _sellable(items, log), text)


def moved(
    recommender: Recommender,
    events: pa.Table,
    items: pa.Table,
    at: datetime,
    *,
    threads: int,
    common: Common = baskets_in_common,
) -> Recommender:
    """The same ranker with what is known at another moment: what customers bought by then, the items, and which go together.

    Nothing is trained: purchases, candidates and features are looked up, and the item-item models are solved from the purchases, so a customer's
    newest basket is in the lists of a ranker however old.

    Args:
        events, items: as `train_recommender` takes them; events of `at` and later are left out.
        threads: cap of every thread pool.
        common: counts which items stand in the same baskets.

    Raises:
        EventsUnusable: as `known_at`.
    """
    with capped(threads):
        known = known_at(events, items, at)
        models = learn(known.log, known.day, known.text, recommender.settings, common=common)
    return replace(recommender, at=known.day, log=known.log, models=models, sellable=known.sellable, threads=threads)


def _past(events: pa.Table, at: datetime) -> pa.Table:
    if "time" not in events.column_names:
        raise EventsUnusable("the events lack a column", expected="time", found=", ".join(events.column_names))
    end = pa.scalar(at.replace(tzinfo=None), pa.timestamp("us"))
    for name in {"time", "known"} & set(events.column_names):
        moment = events.column(name).cast(pa.timestamp("us"))
        newest = pc.max(moment)
        # Where all of them are before it, as for a model of today, nothing is copied.
        if not (newest.is_valid and pc.less(newest, end).as_py()):
            events = events.filter(pc.less(moment, end))
    return events


def _sellable(items: pa.Table, log: Log) -> Array:
    sellable = np.ones(len(log.goods), dtype=bool)
    if "sellable" in items.column_names:
        codes = log.goods.codes(items.column("item").to_pylist())
        sellable[codes] = [value is not False for value in items.column("sellable").to_pylist()]
    return sellable
