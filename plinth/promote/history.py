"""What a customer's orders say of him at an instant: the features of the uplift of promotions, in one SQL over orders and points.

What belongs here: the point-in-time features that are computed straight from orders. A trial's pairs have an instant each, the morning of a
contact, so there are too many of them to compute a declared view at each. What does not: the declared views, which the propensity learns from.

Relations are names of tables or views of the connection:
- points: customer BIGINT, at TIMESTAMP; only orders with time < at and known < at count, an order of the same instant does not.
- orders: customer BIGINT, basket VARCHAR, time TIMESTAMP, lines, items, units, value (as it was when ordered, before later cancellations: what
  was cancelled after the instant would leak); known TIMESTAMP, from when on it was known so, and superseded TIMESTAMP, when more of it became known
  (null: it stands). A line that is booked late, or corrected later, counts at no instant before that, as in the declared views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plinth.engine import quote

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

KNOWN_AT = (
    "({order}.time < {at} AND {order}.known < {at} AND ({order}.superseded IS NULL OR {order}.superseded >= {at}))"
)
"""Whether a row of the orders is what was known of an order at an instant."""

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
    FROM (SELECT DISTINCT q.customer, q.at FROM {{points}} q) p LEFT JOIN {{orders}} o ON o.customer = p.customer AND {KNOWN_AT.format(order="o", at="p.at")}
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


def history_features(con: duckdb.DuckDBPyConnection, points: str, orders: str) -> pa.Table:
    """One row for each point (customer, at) with the features of his orders before it; a customer without orders has zeros and nulls."""
    sql = _FEATURES.format(points=quote(points), orders=quote(orders))
    return con.execute(sql).to_arrow_table()
