"""The recommender's round: trained before the newest window, judged on it, and brought up to date for what it will be asked.

What belongs here: the window, and what is measured on it. What does not: learning, moving a version to another moment, and the figures
themselves (`plinth.recommend`).

A version's ranker has seen nothing of the window that it is judged on, nor has that of an earlier champion: both learnt from windows before it, and
both are given the purchases and the items as they were known when it began: no later text, price or end of sale, no late correction, and what was
cancelled later still stands.
What customers bought, and the item-item models that follow from it, are not learnt by heart but looked up, so both are given the purchases
before the window when they are judged, and all purchases when they are stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from plinth.engine import connect
from plinth.lakehouse.tables import TableId
from plinth.recommend.settings import RecommenderSettings
from plinth.training.contents import digest_of_contents
from plinth.training.moments import first_unseen
from plinth.training.target import Desk, NotTrainable, Trained

if TYPE_CHECKING:
    import pyarrow as pa

    from plinth.recommend import Evaluation, Recommender
    from plinth.recommend.item_item import Common
    from plinth.recommend.log import Log

K = 20
_COMPARED = (f"recall_at_{K}", f"ndcg_at_{K}", f"hit_rate_at_{K}")

_RANGES = {
    "customers": (0.0, inf),
    "new_customers": (0.0, inf),
    "truth_size": (0.0, inf),
    "novelty": (0.0, inf),
    "popularity_bias": (0.0, inf),
}


@dataclass(frozen=True)
class RecommenderTarget:
    """What is recommended to customers, to sessions, and beside items."""

    name: str = "recommender"
    description: str = (
        "Which items a customer is likely to buy next: candidates of several item-item models, and a ranker over them."
    )
    metric: str = f"recall_at_{K}"
    higher_is_better: bool = True
    inputs: tuple[TableId, ...] = (
        TableId("gold", "interactions"),
        TableId("gold", "customer_orders"),
        TableId("gold", "item_catalog"),
        TableId("silver", "invoice_lines"),
    )
    k: int = K
    settings: RecommenderSettings = field(default_factory=RecommenderSettings)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=lambda: dict(_RANGES))
    feature_views: tuple[str, ...] = ()
    packages: tuple[str, ...] = ("estimators", "fanout", "recommend", "threads", "training")

    def unfit(self, metrics: Mapping[str, float]) -> str:
        """Nothing: popular items are among its candidates, and without a champion there would be no list at all. See `Target.unfit`."""
        return ""

    def open(self, desk: Desk) -> RecommenderTask:
        """Reads purchases and items; see `Target.open`."""
        from plinth.recommend import events_from_lakehouse, items_from_lakehouse

        con = connect(desk.profile, extensions=("delta",), scratch=desk.scratch)
        try:
            newest = con.execute(f"SELECT max(bought_at) FROM {desk.versions['gold/interactions'].scan}").fetchone()
            until = first_unseen(newest and newest[0])
            versions = dict(desk.versions)
            events = events_from_lakehouse(con, desk.lakehouse, until, versions=versions)
            moments = (until - timedelta(days=self.settings.window_days), until)
            items = {at: items_from_lakehouse(con, desk.lakehouse, at, versions=versions) for at in moments}
        finally:
            con.close()
        return RecommenderTask(desk, self.settings, events, items, until)


@dataclass(frozen=True)
class RecommenderTask:
    """The round on tables that have been read.

    Attributes:
        events: all purchases, with the moment from which each is known.
        items: the items as they were known at the two ends of the window.
        until: the end of the window.
    """

    desk: Desk
    settings: RecommenderSettings
    events: pa.Table
    items: Mapping[datetime, pa.Table]
    until: datetime

    @cached_property
    def start(self) -> datetime:
        """The first moment of the window that versions are judged on."""
        return self.until - timedelta(days=self.settings.window_days)

    @cached_property
    def common(self) -> Common:
        """What counts the baskets in common: Spark where the profile says so, in one session for the whole round."""
        from plinth.recommend.by_spark import common_for

        return common_for(self.desk.lakehouse.platform, self.desk.profile)

    @cached_property
    def snapshot(self) -> str:
        """Names window and tables."""
        return f"purchases of {self.start:%Y-%m-%d} to {self.until:%Y-%m-%d} (end left out), tables {digest_of_contents(self.desk.versions)}"

    def train(self) -> Trained:
        """Trains, judges and moves to the newest moment; see `Task.train`.

        Raises:
            NotTrainable: there is too little history before the window.
        """
        from plinth.recommend import train_recommender
        from plinth.recommend.errors import EventsUnusable
        from plinth.training.plots import bars

        try:
            before = train_recommender(
                self.events,
                self.items[self.start],
                at=self.start,
                threads=self.desk.profile.threads,
                seed=self.desk.seed,
                settings=self.settings,
                fan_out=self.desk.fan_out,
                common=self.common,
                tell=self.desk.tell,
            )
        except EventsUnusable as why:
            raise NotTrainable(
                f"there is too little history before {self.start:%Y-%m-%d}: {why.what}", found=why.found
            ) from why
        figures = self._judge(before).metrics()
        popular = self._popular(before)
        plot = bars(
            f"{self.start:%d %b} to {self.until:%d %b %Y}",
            {"recommender": {name: figures[name] for name in _COMPARED}, "popular items": popular},
        )
        return Trained(
            parameters={**before.settings.to_dict(), "threads": self.desk.profile.threads},
            metrics={**figures, **{f"popular_{name}": value for name, value in popular.items()}},
            plots={"figures": plot},
            until=self.until,
            save=self._moved(before, self.until).save,
        )

    def value_of(self, folder: Path) -> float | None:
        """The recall of an earlier version on this window; see `Task.value_of`."""
        from plinth.recommend import Recommender
        from plinth.recommend.errors import ModelRefused

        try:
            earlier = Recommender.load(folder, threads=self.desk.profile.threads)
        except ModelRefused:
            return None
        return self._judge(self._moved(earlier, self.start)).recall

    def _judge(self, recommender: Recommender) -> Evaluation:
        from plinth.recommend.evaluate import evaluate

        return evaluate(recommender, self.events, self.start, self.settings.window_days, K)

    def _moved(self, recommender: Recommender, at: datetime) -> Recommender:
        from plinth.recommend import moved

        threads = self.desk.profile.threads
        return moved(recommender, self.events, self.items[at], at, threads=threads, common=self.common)

    def _popular(self, recommender: Recommender) -> dict[str, float]:
        """The figures of one list for everybody: what was bought by most customers in the window before."""
        import numpy as np

        from plinth.recommend.evaluate import hit_rate, ndcg, recall, window_of

        window = window_of(_encoded(self.events), self.start, self.settings.window_days)
        best = recommender.log.goods.labels[recommender.popularity.best(None, K)[0]]
        lists = np.tile(window.log.goods.codes(best), (len(window.customers), 1))
        hits, sizes = window.truth.hits(lists), window.truth.sizes
        return dict(zip(_COMPARED, (recall(hits, sizes), ndcg(hits, sizes), hit_rate(hits)), strict=True))


def _encoded(events: pa.Table) -> Log:
    import pyarrow as pa

    from plinth.recommend.log import encode

    nothing = pa.array([], pa.string())
    return encode(events, pa.table({"item": nothing, "description": nothing, "price": nothing.cast(pa.float64())}))
