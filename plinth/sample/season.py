"""The calendar of the trade: on which days the shop trades, and how strongly.

What belongs here: trading days, weekdays, months, as the table `day`. The figures are those of Online Retail II, rounded: no Saturdays, shut
from Christmas Eve to 3 January, November at twice the mean month.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

EPOCH = date(1950, 1, 1)
"""Day numbers count from here."""

_DAY = """
CREATE OR REPLACE TABLE day AS
WITH plain AS (
    SELECT d::DATE AS d, date_diff('day', DATE '1950-01-01', d::DATE)::INT AS dayno,
           month(d) AS m, dayofmonth(d) AS md, dayofweek(d) AS w
    FROM range(getvariable('day_from'), getvariable('day_to') + INTERVAL 1 DAY, INTERVAL 1 DAY) t(d)
), trade AS (
    SELECT *, w <> 6 AND NOT (m = 12 AND md >= 24) AND NOT (m = 1 AND md <= 3) AS trading,
           [.76, .72, .92, .80, .88, .93, .86, .84, 1.12, 1.38, 1.90, 1.75][m]
           * [.75, 1.0, 1.04, .98, 1.07, .84, 0.0][w + 1] * if(m = 12 AND md > 14, .55, 1.0) AS factor,
           CASE m WHEN 9 THEN .05 WHEN 10 THEN .13 WHEN 11 THEN .22 WHEN 12 THEN .28 ELSE .004 END AS xmas
    FROM plain
)
SELECT d, dayno, trading, if(trading, factor, 0.0) AS factor, xmas,
       min(if(trading, d, NULL)) OVER (ORDER BY d ROWS BETWEEN CURRENT ROW AND 15 FOLLOWING) AS next_trading
FROM trade
"""


def make_days(con: duckdb.DuckDBPyConnection, first: date, last: date) -> None:
    """Makes the table `day(d, dayno, trading, factor, xmas, next_trading)` from `first` to `last`.

    `factor` is the strength of trade (about 1 on average over the trading days of a year), `xmas` the share of browsing that goes to
    Christmas goods, `next_trading` the first trading day from that day on.
    """
    con.execute(f"SET VARIABLE day_from = TIMESTAMP '{first.isoformat()}'")
    con.execute(f"SET VARIABLE day_to = TIMESTAMP '{last.isoformat()}'")
    con.execute(_DAY)
