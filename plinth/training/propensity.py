"""The propensity's round: trained on windows before the newest, calibrated on the last of them, judged on the newest.

What belongs here: which cut-offs are learnt from, which one judges, and by which declared views. What does not: what the views compute
(`feature_views.yaml`, `plinth.features`), learning and figures (`plinth.promote`).

A version, and every earlier one, learnt only from windows that were over when the judging window began, so both are judged on what neither saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from plinth.engine import connect
from plinth.features import load_views, training_set
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import TableId
from plinth.training.contents import digest_of_contents
from plinth.training.moments import first_unseen
from plinth.training.target import Desk, NotTrainable, Trained

if TYPE_CHECKING:
    import pyarrow as pa

    from plinth.promote import Propensity, PropensityMetrics

_LINES = TableId("silver", "invoice_lines")
_LEAST_HISTORY = timedelta(days=91)
"""Before the oldest cut-off: with less, the windows that the features look back through are empty."""

FEATURE_VIEWS = ("customer", "buyer")
"""What a customer is known by, offline and when he is scored."""
_RANGES = {"customers": (0.0, inf), "lift_at_10": (0.0, 10.0)}


@dataclass(frozen=True)
class PropensityTarget:
    """Who is likely to buy at all."""

    name: str = "propensity"
    description: str = "The chance that a customer buys within the next 28 days, calibrated."
    metric: str = "brier"
    higher_is_better: bool = False
    inputs: tuple[TableId, ...] = (_LINES,)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=lambda: dict(_RANGES))
    feature_views: tuple[str, ...] = FEATURE_VIEWS
    packages: tuple[str, ...] = ("estimators", "fanout", "features", "promote", "threads", "training")

    def unfit(self, metrics: Mapping[str, float]) -> str:
        """Chances no better than the same chance for everybody; see `Target.unfit`."""
        nothing = metrics["base_rate"] * (1 - metrics["base_rate"])
        if metrics["brier"] < nothing:
            return ""
        return (
            f"its Brier score of {metrics['brier']:.4f} is no better than the {nothing:.4f} of one chance for everybody"
        )

    def open(self, desk: Desk) -> PropensityTask:
        """Reads who bought when, and the features of the declared views as of each cut-off; see `Target.open`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from plinth.promote import HORIZON

        views = load_views(desk.lakehouse.platform)
        lacking = [name for name in self.feature_views if name not in views.views]
        if lacking:
            raise NotTrainable(f"the feature views that it learns from are not declared: {', '.join(lacking)}")
        rows, until = self._labels(desk, sum(len(views.view(name).features) for name in self.feature_views))
        table = training_set(
            desk.lakehouse, views, rows, self.feature_views, tables=desk.versions, profile=desk.profile, tell=desk.tell
        )
        test = until - HORIZON
        judging = pc.equal(table["at"], pa.scalar(test, pa.timestamp("us")))
        return PropensityTask(desk, table.filter(pc.invert(judging)), table.filter(judging), test, until)

    def _labels(self, desk: Desk, features: int) -> tuple[pa.Table, datetime]:
        """The customers of each cut-off, no more than memory has room for, and the end of the newest window."""
        from plinth.promote import HORIZON, SPACING, cutoffs_before, labels, room_for, thinned
        from plinth.promote.booked import make_lines

        con = connect(desk.profile, scratch=desk.scratch)
        try:
            make_lines(con, "lines", rows_of(desk.versions[str(_LINES)]))
            oldest, newest = con.execute("SELECT min(time), max(time) FROM lines").fetchone() or (None, None)
            until = first_unseen(newest)
            test = until - HORIZON
            cutoffs = cutoffs_before(test - HORIZON, oldest + _LEAST_HISTORY, SPACING)
            if not cutoffs_before(test - 2 * HORIZON, oldest + _LEAST_HISTORY):
                raise NotTrainable(
                    f"the orders of {(until - oldest).days} days are too few: they need {(_LEAST_HISTORY + 4 * HORIZON).days}"
                )
            return thinned(labels(con, "lines", [*cutoffs, test]), room_for(desk.profile, features)), until
        finally:
            con.close()


@dataclass(frozen=True)
class PropensityTask:
    """The round on examples; `test` is the cut-off that judges, and `until` the end of its window."""

    desk: Desk
    learnt: pa.Table
    judged: pa.Table
    test: datetime
    until: datetime

    @property
    def snapshot(self) -> str:
        """Names window and tables."""
        return f"orders of {self.test:%Y-%m-%d} to {self.until:%Y-%m-%d} (end left out), tables {digest_of_contents(self.desk.versions)}"

    def train(self) -> Trained:
        """Trains and judges; see `Task.train`.

        Raises:
            NotTrainable: nobody bought in a window, or everybody did.
        """
        from dataclasses import asdict

        from plinth.promote import ExamplesUnusable, train_propensity

        try:
            made = train_propensity(
                self.learnt,
                seed=self.desk.seed,
                threads=self.desk.profile.threads,
                fan_out=self.desk.fan_out,
                tell=self.desk.tell,
            )
            metrics = self._judge(made)
        except ExamplesUnusable as why:
            raise NotTrainable(why.what, expected=why.expected, found=why.found) from why
        return Trained(
            parameters={**asdict(made.settings), "features": len(made.features), "threads": self.desk.profile.threads},
            metrics=metrics.figures(),
            plots={"reliability": self._plot(made)},
            until=self.until,
            save=made.save,
        )

    def value_of(self, folder: Path) -> float | None:
        """The Brier score of an earlier version on this window; see `Task.value_of`."""
        from plinth.promote import ExamplesUnusable, ModelFileRefused, Propensity

        try:
            return self._judge(Propensity.load(folder)).brier
        except (ModelFileRefused, ExamplesUnusable):
            return None

    def _judge(self, model: Propensity) -> PropensityMetrics:
        from plinth.promote import measure_propensity
        from plinth.promote.columns import numbers

        return measure_propensity(model.predict(self.judged), numbers(self.judged, "bought"))

    def _plot(self, model: Propensity) -> bytes:
        from plinth.promote.columns import numbers
        from plinth.promote.measures import reliability
        from plinth.training.plots import diagonal

        groups = reliability(model.predict(self.judged), numbers(self.judged, "bought"))
        points = [(group.mean_chance, group.bought) for group in groups]
        return diagonal(f"{self.test:%d %b} to {self.until:%d %b %Y}", points, "predicted chance", "share that bought")
