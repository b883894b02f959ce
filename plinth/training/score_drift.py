"""How well published chances came true: who bought in the weeks after a scoring, held against the chance that he was given.

What belongs here: the figures and the sentence that says what was lost. What does not: which scoring is judged (`plinth.serving.judged`), the limits
(`training.drift` in platform.yaml) and when a look is taken (`plinth.training.watched`).

The ranking is judged by what its ROC-AUC has above one half, the chances by their calibration error. Their Brier score, by which versions meet, is no
measure over time: it follows the share of customers who buy, which is another in January than in November.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from plinth.lakehouse.files import damage_told
from plinth.sections import DriftLimits

if TYPE_CHECKING:
    import duckdb

    from plinth.lakehouse.tables import TableVersion

MOST = 50_000
"""Customers that are judged at most: the ROC-AUC of so many has a standard error of 0.003."""

_OUTCOMES = """
WITH bought AS (
    SELECT DISTINCT customer_no FROM {lines}
    WHERE line_type = 'sale' AND item_kind = 'goods' AND invoiced_at >= $since AND invoiced_at < $until
)
SELECT s.probability, (b.customer_no IS NOT NULL)::DOUBLE AS bought
FROM {scores} s LEFT JOIN bought b ON b.customer_no = s.customer_no
WHERE hash(s.customer_no) % $share = 0 ORDER BY s.customer_no
"""


@dataclass(frozen=True)
class CameTrue:
    """What became of the chances of one scoring.

    Attributes:
        as_of: the first day of the weeks that it was about, and `days` their number.
        customers, buyers: those who were judged, and those of them who bought.
        roc_auc, ece: see `plinth.promote.PropensityMetrics`; None where all were of one kind.
    """

    as_of: date
    days: int
    customers: int
    buyers: int
    roc_auc: float | None
    ece: float | None

    def untold(self, limits: DriftLimits) -> str:
        """Why nothing can be said, for people; empty where it can."""
        others = self.customers - self.buyers
        if (
            self.customers >= limits.customers
            and min(self.buyers, others) >= limits.buyers
            and self.roc_auc is not None
        ):
            return ""
        return (
            f"too few to judge the chances of {self.as_of} by: {self.customers} customers of whom {self.buyers} bought, "
            f"at least {limits.customers} and {limits.buyers} of either kind are to be"
        )

    def reason(self, at_training: Mapping[str, float], limits: DriftLimits) -> str:
        """Whether the chances lost too much of what they had at training, for people; empty where they did not, or where it cannot be told."""
        if self.untold(limits) or self.roc_auc is None or self.ece is None:
            return ""
        least = 0.5 + limits.ranking_kept * (at_training["roc_auc"] - 0.5)
        most = at_training["ece"] + limits.calibration
        lost = []
        if self.roc_auc < least:
            lost.append(
                f"their ROC-AUC is {self.roc_auc:.3f}, less than {least:.3f} ({at_training['roc_auc']:.3f} at training)"
            )
        if self.ece > most:
            lost.append(
                f"their calibration error is {self.ece:.3f}, more than {most:.3f} ({at_training['ece']:.3f} at training)"
            )
        if not lost:
            return ""
        return (
            f"quality drift: of the chances published as of {self.as_of} {' and '.join(lost)}; "
            f"{self.buyers:,} of {self.customers:,} customers bought within {self.days} days"
        )

    def said(self, limits: DriftLimits) -> str:
        """What was seen where nothing is asked for."""
        if self.roc_auc is None or self.ece is None or self.untold(limits):
            return self.untold(limits)
        return f"no limit is passed: ROC-AUC {self.roc_auc:.3f}, calibration error {self.ece:.3f} of the chances of {self.as_of}"


def came_true(con: duckdb.DuckDBPyConnection, scores: TableVersion, lines: TableVersion, as_of: datetime) -> CameTrue:
    """What became of the chances of a version of serving/purchase_propensity; its weeks must be over.

    Args:
        con: a DuckDB with the delta extension.
        lines: silver/invoice_lines.

    Raises:
        StorageFailure: a file of either is damaged or gone.
    """
    from plinth.promote import HORIZON, ExamplesUnusable, measure_propensity

    share = max(1, -(-scores.rows // MOST))
    sql = _OUTCOMES.format(lines=lines.scan, scores=scores.scan)
    with damage_told(scores), damage_told(lines):
        found = con.execute(sql, {"since": as_of, "until": as_of + HORIZON, "share": share}).fetchnumpy()
    bought = found["bought"]
    try:
        figures = measure_propensity(found["probability"], bought)
    except ExamplesUnusable:
        return CameTrue(as_of.date(), HORIZON.days, len(bought), int(bought.sum()), None, None)
    return CameTrue(as_of.date(), HORIZON.days, len(bought), int(bought.sum()), figures.roc_auc, figures.ece)
