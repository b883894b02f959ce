"""A small trade with known structure, and a recommender trained on it once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pytest

from benchmarks.recommender_made import made_end, made_events, made_items
from plinth.recommend import Recommender, RecommenderSettings, train_recommender

QUICK = RecommenderSettings(trees=20, cutoffs=2, seasons=0, leaf_rows=20)


@dataclass(frozen=True)
class Trade:
    """Events of 300 days, the items, and the moment at which the recommender is trained: 28 days before the end."""

    events: pa.Table
    items: pa.Table
    at: datetime


@pytest.fixture(scope="session")
def trade() -> Trade:
    return Trade(made_events(300, 240, 300, seed=1), made_items(240), made_end(272))


@pytest.fixture(scope="session")
def recommender(trade: Trade) -> Recommender:
    return train_recommender(trade.events, trade.items, at=trade.at, threads=1, seed=1, settings=QUICK)
