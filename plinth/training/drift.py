"""When training again is worth it: how far purchases have moved since a version was trained, and how well its lists still hit.

What belongs here: the figures of purchases and lists, and the sentence that says which limit was passed. What does not: the limits
(`training.drift` in platform.yaml), the features of a model (`plinth.training.feature_drift`), published chances (`plinth.training.score_drift`), and
asking for a run (`sensors.retraining`). Each look is one aggregate query over a pinned version of gold/interactions.

The limits lie just above what four weeks of ordinary trade brought in each of 20 months of Online Retail II: at most 0.086 new items, 0.257 new
customers, and a PSI of 0.071 (autumn's).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING

from plinth.sections import DriftLimits

if TYPE_CHECKING:
    import duckdb

    from plinth.lakehouse.tables import TableVersion

_BINS = 10
_REFERENCE_DAYS = 91
_FLOOR = 1e-4
"""Share that an empty bin counts as, without which its logarithm would be infinite."""

# One row: the counts before and since, and the shares of items by how much of the reference they made up.
_MOVED = """
WITH items AS (
    SELECT item_code, count(*) FILTER (bought_at < $until) AS known, count(*) FILTER (bought_at >= $until) AS since,
           count(*) FILTER (bought_at < $until AND bought_at >= $until - to_days({days})) AS reference
    FROM {table} GROUP BY item_code
), customers AS (
    SELECT bool_or(bought_at < $until) AS known, bool_or(bought_at >= $until) AS since FROM {table} GROUP BY customer_no
), places AS (
    SELECT reference, since, sum(reference) OVER (ORDER BY reference DESC, item_code) - reference AS above, sum(reference) OVER () AS total
    FROM items WHERE known > 0
), bins AS (
    SELECT least({bins} - 1, floor({bins} * above / greatest(1, total))) AS bin, sum(reference) AS reference, sum(since) AS since
    FROM places GROUP BY bin
), shares AS (
    SELECT greatest({floor}, reference / greatest(1, sum(reference) OVER ())) AS r, greatest({floor}, since / greatest(1, sum(since) OVER ())) AS s
    FROM bins
)
SELECT (SELECT sum(known) FROM items) AS rows_known, (SELECT sum(since) FROM items) AS rows_since,
       (SELECT coalesce(sum(since) FILTER (known = 0), 0) FROM items) AS rows_of_new_items,
       (SELECT count(*) FILTER (since) FROM customers) AS customers_since,
       (SELECT count(*) FILTER (since AND NOT known) FROM customers) AS customers_new,
       (SELECT sum((s - r) * ln(s / r)) FROM shares) AS psi
"""

# Recall as `plinth.recommend.evaluate` has it: items that were sold before, each once, mean over the customers who got a list. Over at most as many
# days as the recall at training was measured on, the newest ones: what is bought grows with the days, a list does not, so over more of them recall
# would fall by itself.
_HITS = """
WITH newest AS (SELECT date_trunc('day', max(bought_at)) + INTERVAL 1 DAY AS moment FROM {table}),
spans AS (SELECT greatest($until, moment - to_days({days})) AS start, moment AS stop FROM newest),
sold AS (SELECT DISTINCT item_code FROM {table}, spans WHERE bought_at < start),
bought AS (
    SELECT DISTINCT customer_no AS customer, item_code AS item FROM {table} SEMI JOIN sold USING (item_code), spans
    WHERE bought_at >= start AND bought_at < stop
), lists AS (
    SELECT DISTINCT customer_no AS customer, item_code AS item FROM {lists} WHERE rank <= $k
), found AS (
    SELECT b.customer, avg(CASE WHEN l.item IS NULL THEN 0.0 ELSE 1.0 END) AS recall
    FROM bought b SEMI JOIN (SELECT DISTINCT customer FROM lists) c ON c.customer = b.customer
    LEFT JOIN lists l ON l.customer = b.customer AND l.item = b.item GROUP BY b.customer
)
SELECT count(*), avg(recall) FROM found
"""


@dataclass(frozen=True)
class Moved:
    """How far purchases have moved since a moment; see `plinth.sections.DriftLimits`."""

    rows: int
    growth: float
    new_items: float
    new_customers: float
    psi: float

    def reason(self, limits: DriftLimits) -> str:
        """Which limits were passed, for people; empty where none was."""
        if self.rows < limits.rows:
            return ""
        passed = [
            f"{field.name.replace('_', ' ')} {getattr(self, field.name):.3f} > {getattr(limits, field.name):g}"
            for field in fields(self)
            if field.name != "rows" and getattr(self, field.name) > getattr(limits, field.name)
        ]
        return f"data drift: {', '.join(passed)}, of {self.rows:,} interactions since" if passed else ""


@dataclass(frozen=True)
class Hits:
    """How well published lists did: the customers who got one and bought since, and the mean share of what they bought that stood in it."""

    customers: int
    recall: float

    def reason(self, at_training: float, limits: DriftLimits) -> str:
        """Whether the lists lost too much, for people; empty where they did not."""
        if self.customers < limits.customers or self.recall >= limits.kept * at_training:
            return ""
        return (
            f"quality drift: the published lists hit {self.recall:.3f} of what {self.customers:,} customers bought since, "
            f"less than {limits.kept:g} x {at_training:.3f} at training"
        )


def moved_since(con: duckdb.DuckDBPyConnection, interactions: TableVersion, until: datetime) -> Moved:
    """How far purchases have moved since a moment."""
    sql = _MOVED.format(table=interactions.scan, days=_REFERENCE_DAYS, bins=_BINS, floor=_FLOOR)
    found = con.execute(sql, {"until": until}).fetchone()
    known, since, of_new, buyers, new, psi = found or (0, 0, 0, 0, 0, 0.0)
    return Moved(
        rows=int(since or 0),
        growth=(since or 0) / max(1, known or 0),
        new_items=of_new / max(1, since or 0),
        new_customers=new / max(1, buyers),
        psi=float(psi or 0.0) if since else 0.0,
    )


def hits_since(
    con: duckdb.DuckDBPyConnection,
    lists: TableVersion,
    interactions: TableVersion,
    until: datetime,
    k: int,
    window_days: int,
) -> Hits:
    """How well lists did that were made of what was known at a moment, over the newest days since then, at most so many."""
    sql = _HITS.format(table=interactions.scan, lists=lists.scan, days=int(window_days))
    customers, recall = con.execute(sql, {"until": until, "k": k}).fetchone() or (0, None)
    return Hits(int(customers), float(recall or 0.0))
