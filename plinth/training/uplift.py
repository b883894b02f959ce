"""The uplift's round: learnt from the older trials, judged on the newest ones.

What belongs here: which trials are learnt from and which judge. What does not: rows, learning and figures (`plinth.promote`).

The newest trials are held out of what is served, not only of what is measured: a version that had learnt from them could never be held fairly beside
a later one. They are learnt from in the next rounds, when newer ones judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from plinth.engine import connect
from plinth.lakehouse.tables import TableId
from plinth.training.contents import digest_of_contents
from plinth.training.target import Desk, NotTrainable, Trained

if TYPE_CHECKING:
    import pyarrow as pa

    from plinth.promote.qini import UpliftMetrics
    from plinth.promote.uplift import Uplift

_JUDGING = 0.25
"""Share of the rows of all trials that the newest trials have to make up to judge."""
_ANY = (-1.0, 1.0)
_POOLED = ("every_trial_qini", "every_trial_qini_low", "every_trial_qini_high")
_COUNT = (0.0, float("inf"))
_RANGES = {
    **dict.fromkeys(("rows", "treated", "held_out", "learnt_rows"), _COUNT),
    **dict.fromkeys(("qini", "qini_low", "qini_high", "uplift", "uplift_low", "uplift_high", "uplift_top_30"), _ANY),
    **dict.fromkeys(_POOLED, _ANY),
    "slope": (-float("inf"), float("inf")),
}


@dataclass(frozen=True)
class UpliftTarget:
    """Whom a promotion moves."""

    name: str = "uplift"
    description: str = "By how much a promotion changes a customer's chance to buy, learnt from randomised trials."
    metric: str = "qini"
    higher_is_better: bool = True
    inputs: tuple[TableId, ...] = (
        TableId("silver", "invoice_lines"),
        TableId("silver", "campaign_contacts"),
        TableId("silver", "promotions"),
        TableId("silver", "customers"),
    )
    feature_views: tuple[str, ...] = ()
    packages: tuple[str, ...] = ("estimators", "fanout", "promote", "threads", "training")
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=lambda: dict(_RANGES))

    def unfit(self, metrics: Mapping[str, float]) -> str:
        """A ranking that may be no better than a random one; see `Target.unfit`."""
        low, qini, high = (metrics.get(f"every_trial_qini{end}", float("nan")) for end in ("_low", "", "_high"))
        if low > 0:
            return ""
        return f"its ranking may be no better than a random one: Qini {qini:.4f} over all trials, 95 % from {low:.4f} to {high:.4f}"

    def open(self, desk: Desk) -> UpliftTask:
        """Reads the trials; see `Target.open`."""
        from plinth.promote.booked import trials

        con = connect(desk.profile, extensions=("delta",), scratch=desk.scratch)
        try:
            contacts = desk.versions["silver/campaign_contacts"].scan
            arms = con.execute(f"SELECT count(DISTINCT trial_group) FROM {contacts}").fetchone()
            if not arms or arms[0] < 2:
                raise NotTrainable(
                    "there is no campaign history with a hold-out, so nobody can say whom an offer moves",
                    expected="rows of both groups in silver/campaign_contacts",
                    found=f"{arms[0] if arms else 0} groups",
                )
            rows = trials(con, desk.versions)
        finally:
            con.close()
        return UpliftTask(desk, *_split(rows))


def _split(rows: pa.Table) -> tuple[pa.Table, pa.Table, datetime]:
    """The trials to learn from, those that judge, and the morning on which the first of the latter began."""
    import pyarrow.compute as pc

    began = (
        rows.group_by("promotion_id").aggregate([("at", "min"), ("at", "count")]).sort_by([("at_min", "descending")])
    )
    judging, enough = 0, False
    for place, count in enumerate(began.column("at_count").to_pylist()):
        judging += count
        if judging >= _JUDGING * rows.num_rows:
            enough = place + 1 < began.num_rows
            break
    if not enough:
        raise NotTrainable(
            "there are too few ended trials to learn from some and judge by others",
            expected="trials of several promotions",
            found=f"{began.num_rows} promotions, {rows.num_rows} rows",
        )
    start = began.column("at_min")[place].as_py()
    judged = pc.is_in(rows.column("promotion_id"), began.slice(0, place + 1).column("promotion_id").combine_chunks())
    return rows.filter(pc.invert(judged)), rows.filter(judged), start


@dataclass(frozen=True)
class UpliftTask:
    """The round on trials that have been read; `start` is when the first judging one began."""

    desk: Desk
    learnt: pa.Table
    judged: pa.Table
    start: datetime

    @property
    def snapshot(self) -> str:
        """Names trials and tables."""
        return f"{self.judged.num_rows:,} rows of the trials from {self.start:%Y-%m-%d} on, tables {digest_of_contents(self.desk.versions)}"

    def train(self) -> Trained:
        """Trains and judges; see `Task.train`.

        Raises:
            NotTrainable: the trials are too small.
        """
        from plinth.promote.errors import ExamplesUnusable
        from plinth.promote.qini import pooled_qini
        from plinth.promote.uplift import train_uplift

        try:
            made = train_uplift(
                self.learnt,
                seed=self.desk.seed,
                threads=self.desk.profile.threads,
                fan_out=self.desk.fan_out,
                tell=self.desk.tell,
            )
            metrics = self._judge(made)
        except ExamplesUnusable as why:
            raise NotTrainable(why.what, expected=why.expected, found=why.found) from why
        # The newest trials alone are too few to tell a fair ranking from none; the older ones were judged by learners that had not seen them.
        pooled = dict(zip(_POOLED, pooled_qini([made.metrics, metrics]), strict=True))
        return Trained(
            parameters={
                "chosen": str(made.chosen),
                "members": len(made.members),
                "features": len(made.features),
                "threads": self.desk.profile.threads,
            },
            metrics={**metrics.figures(), **pooled, "learnt_rows": float(self.learnt.num_rows)},
            plots={"qini": self._plot(made)},
            until=self.start,
            save=made.save,
        )

    def value_of(self, folder: Path) -> float | None:
        """The Qini coefficient of an earlier version on these trials; see `Task.value_of`."""
        from plinth.promote.errors import ExamplesUnusable, ModelFileRefused
        from plinth.promote.uplift import Uplift

        try:
            return self._judge(Uplift.load(folder)).qini
        except (ModelFileRefused, ExamplesUnusable):
            return None

    def _judge(self, model: Uplift) -> UpliftMetrics:
        from plinth.promote.columns import numbers
        from plinth.promote.qini import measure_uplift

        treated, bought, customer = (numbers(self.judged, name) for name in ("treated", "bought", "customer_no"))
        return measure_uplift(model.predict(self.judged).uplift, treated, bought, customer, seed=self.desk.seed)

    def _plot(self, model: Uplift) -> bytes:
        from plinth.promote.columns import numbers
        from plinth.promote.plots import qini_plot
        from plinth.promote.qini import qini_curve

        curve = qini_curve(
            model.predict(self.judged).uplift, numbers(self.judged, "treated"), numbers(self.judged, "bought")
        )
        return qini_plot({"uplift": curve}, f"Trials from {self.start:%d %b %Y} on")
