"""What a customer's orders say of him at an instant: the features of the promotion models, in one SQL over orders and points.

What belongs here: the point-in-time features that are computed straight from orders, and the label "buys within the window". What does not:
the declared feature views (`plinth.features`), whose snapshots can take the place of `history_features`: the models take any table of numeric
columns, and remember by name which ones they were trained on.

Relations are names of tables or views of the connection:
- points: customer BIGINT, at TIMESTAMP; only orders with time < at count, an order of the same instant does not.
- orders: customer BIGINT, basket VARCHAR, time TIMESTAMP, lines, items, units, value (as it was when ordered, before later cancellations: what
  was cancelled after the instant would leak).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from plinth.engine import quote
from plinth.promote.errors import ExamplesUnusable
from plinth.promote.habits import habit_features

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    import pyarrow as pa

HORIZON = timedelta(days=28)
_WINDOWS = (7, 14, 28, 56, 91, 182, 364)
_HALF_LIVES = (14, 30, 90, 180, 365)

_SUMS = ", ".join(
    f"count(time) FILTER (age <= {days})::DOUBLE AS orders_{days}, coalesce(sum(value) FILTER (age <= {days}), 0)::DOUBLE AS value_{days}"
    for days in _WINDOWS
)
_DECAYS = ", ".join(
    f"coalesce(sum(pow(2, -age / {days})), 0)::DOUBLE AS orders_decay_{days}, "
    f"coalesce(sum(ln(1 + greatest(value, 0)) * pow(2, -age / {days})), 0)::DOUBLE AS value_decay_{days}"
    for days in _HALF_LIVES
)
_FEATURES = f"""
WITH aged AS (
    SELECT p.customer, p.at, o.time, o.basket, o.lines::DOUBLE AS lines, o.items::DOUBLE AS items, o.units::DOUBLE AS units, o.value::DOUBLE AS value,
           date_diff('second', o.time, p.at) / 86400.0 AS age
    FROM (SELECT DISTINCT q.customer, q.at FROM {{points}} q) p LEFT JOIN {{orders}} o ON o.customer = p.customer AND o.time < p.at
), spaced AS (
    SELECT *, lag(age) OVER forward - age AS gap, row_number() OVER (PARTITION BY customer, "at" ORDER BY time DESC, basket DESC) AS back
    FROM aged WINDOW forward AS (PARTITION BY customer, "at" ORDER BY time, basket)
), summed AS (
    SELECT customer, "at", count(time)::DOUBLE AS orders, coalesce(sum(value), 0)::DOUBLE AS value_all, min(age) AS recency, max(age) AS tenure,
           avg(gap) AS gap_mean, median(gap) AS gap_median, stddev_samp(gap) AS gap_spread, max(gap) AS gap_max,
           max(gap) FILTER (back = 1) AS gap_last, max(gap) FILTER (back = 2) AS gap_before, avg((gap <= 28)::INT) AS short_gaps,
           max(age) FILTER (back = 2) AS age_second, max(age) FILTER (back = 3) AS age_third, max(age) FILTER (back = 5) AS age_fifth,
           avg(value) AS value_mean, max(value) FILTER (back = 1) AS value_last, stddev_samp(ln(1 + greatest(value, 0))) AS value_spread,
           avg(lines) AS lines_mean, avg(items) AS items_mean, avg(units) AS units_mean, sum(units) / nullif(sum(lines), 0) AS units_per_line,
           count(DISTINCT floor(age / 28)) FILTER (age <= 364)::DOUBLE AS active_periods,
           count(time) FILTER (age > 336 AND age <= 364)::DOUBLE AS season_next, count(time) FILTER (age > 364 AND age <= 392)::DOUBLE AS season_same,
           {_SUMS}, {_DECAYS}
    FROM spaced GROUP BY customer, "at"
)
SELECT *, recency / nullif(gap_mean, 0) AS overdue, recency / nullif(gap_median, 0) AS overdue_median,
       (recency - gap_mean) / nullif(gap_spread, 0) AS overdue_score
FROM summed ORDER BY "at", customer
"""
_LABELS = """
SELECT p.customer, p.customer AS customer_no, p.at,
       p.customer IN (SELECT o.customer FROM {orders} o WHERE o.time >= p.at AND o.time < p.at + INTERVAL {days} DAY) AS bought
FROM plinth_points p ORDER BY p.at, p.customer
"""


def history_features(con: duckdb.DuckDBPyConnection, points: str, orders: str) -> pa.Table:
    """One row for each point (customer, at) with the features of his orders before it; a customer without orders has zeros and nulls."""
    sql = _FEATURES.format(points=quote(points), orders=quote(orders))
    return con.execute(sql).to_arrow_table()


def examples(
    con: duckdb.DuckDBPyConnection,
    orders: str,
    cutoffs: Sequence[datetime],
    horizon: timedelta = HORIZON,
    lines: str | None = None,
) -> pa.Table:
    """The training examples of a propensity: `labels` with the features of `buyer_features`.

    Args:
        lines: the relation of lines, for the features of `habits`; without it there are those of orders alone.

    Raises:
        ExamplesUnusable: no cut-off is given.
    """
    rows = labels(con, orders, cutoffs, horizon)
    con.register("plinth_labels", rows.drop_columns(["customer_no"]))
    con.register("plinth_buyers", buyer_features(con, "plinth_labels", orders, lines))
    try:
        return con.execute(
            'SELECT h.*, l.bought FROM plinth_labels l JOIN plinth_buyers h ON h.customer = l.customer AND h."at" = l."at" '
            "ORDER BY h.at, h.customer"
        ).to_arrow_table()
    finally:
        con.unregister("plinth_labels")
        con.unregister("plinth_buyers")


def buyer_features(con: duckdb.DuckDBPyConnection, points: str, orders: str, lines: str | None = None) -> pa.Table:
    """What a propensity asks of each point (customer, at): `history_features`, and `habit_features` where there are lines."""
    of_orders = history_features(con, points, orders)
    if lines is None:
        return of_orders
    con.register("plinth_history", of_orders)
    con.register("plinth_habits", habit_features(con, points, lines))
    try:
        return con.execute(
            'SELECT h.*, o.* EXCLUDE (customer, "at") FROM plinth_history h JOIN plinth_habits o ON o.customer = h.customer AND o."at" = h."at" '
            'ORDER BY h."at", h.customer'
        ).to_arrow_table()
    finally:
        con.unregister("plinth_history")
        con.unregister("plinth_habits")


def labels(
    con: duckdb.DuckDBPyConnection, orders: str, cutoffs: Sequence[datetime], horizon: timedelta = HORIZON
) -> pa.Table:
    """At each cut-off every customer who had ordered before (`customer`, and again as `customer_no`), `at`, and whether he buys within the horizon: `bought`.

    Here declared views take over: `training_set(lakehouse, views, labels(...), ["customer"])` gives examples with their features in place of these. The
    cut-offs should then be Mondays, on which the snapshots stand.

    Raises:
        ExamplesUnusable: no cut-off is given.
    """
    if not cutoffs:
        raise ExamplesUnusable("there is no cut-off to learn from", expected="at least one instant", found="none")
    con.execute('CREATE OR REPLACE TEMP TABLE plinth_cutoffs ("at" TIMESTAMP)')
    con.executemany("INSERT INTO plinth_cutoffs VALUES (?)", [(at,) for at in cutoffs])
    con.execute(
        "CREATE OR REPLACE TEMP TABLE plinth_points AS SELECT DISTINCT o.customer, c.at "
        f"FROM plinth_cutoffs c JOIN {quote(orders)} o ON o.time < c.at"
    )
    return con.execute(_LABELS.format(orders=quote(orders), days=horizon.days)).to_arrow_table()


def cutoffs_before(last: datetime, first: datetime, step: timedelta = HORIZON) -> tuple[datetime, ...]:
    """`last` and the instants before it in steps, not before `first`, oldest first."""
    found = []
    while last >= first:
        found.append(last)
        last -= step
    return tuple(reversed(found))
