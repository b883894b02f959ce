"""The orders: who buys on which day, how much, and what becomes of the order; the table `ord`.

What belongs here: the daily chance of an order, its size, its time, whether it is booked late, redeemed or cancelled. What does not: its
lines (`plinth.sample.lines`). Orders of the last `LOOKBACK` days stay in the table, since a line can be booked 9 days late, and cancelled
up to 21 days after it was booked, or the next trading day after that.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

LOOKBACK = 62
MOST = 0.85  # the highest chance of an order on one day
_MAX_EFFECT = 4.0
GUEST_ORDERS = 0.0021  # orders without a customer (the till, DOTCOM), per customer and trading day: 22 % of the lines

_EMPTY = """
CREATE OR REPLACE TABLE ord (
    ok BIGINT, custno INTEGER, cntry VARCHAR, d DATE, dayno INTEGER, xmas DOUBLE, wholesale BOOLEAN, c1 INTEGER, c2 INTEGER, c3 INTEGER,
    s1 INTEGER, s2 INTEGER, basket DOUBLE, repeats DOUBLE, explored INTEGER, promoid INTEGER, redeems BOOLEAN, promtyp VARCHAR,
    discpc DOUBLE, huge BOOLEAN, invts TIMESTAMP, insts TIMESTAMP, cxlts TIMESTAMP)
"""

_DAYS = """
CREATE OR REPLACE TEMP TABLE selling AS
SELECT day.*, p.promoid, p.promtyp, p.discpc FROM day LEFT JOIN promo p ON day.d BETWEEN p.startdt AND p.enddt AND NOT p.called_off
WHERE day.trading AND day.d BETWEEN getvariable('a')::DATE AND getvariable('b')::DATE
"""

# The chance is tested twice: first against its upper bound, which leaves few candidates for the join with the contacts.
_BOUGHT = f"""
WITH likely AS (
    SELECT c.*, s.* EXCLUDE (next_trading), key2(c.custno, s.dayno) AS ok
    FROM cust c, selling s
    WHERE s.d >= c.crtdt AND s.d < c.enddt AND u('order', key2(c.custno, s.dayno)) < least({MOST}, c.rate * s.factor * {_MAX_EFFECT})
), bought AS (
    SELECT l.*, coalesce(k.names_code AND k.grpcd = 'T', false) AS may_redeem
    FROM likely l LEFT JOIN contact k ON k.custno = l.custno AND k.promoid = l.promoid
    WHERE u('order', l.ok) < least({MOST}, l.rate * l.factor * if(k.grpcd = 'T', k.effect, 1.0))
)
SELECT ok, custno, if(u('cntry2', ok) < .3, cntry2, cntry) AS cntry, d, dayno, xmas, wholesale, c1, c2, c3, s1, s2, basket, repeats,
       greatest(1, least(180, round(basket * exp(.7 * z('size', ok)))))::INT AS explored, promoid,
       may_redeem AND row_number() OVER (PARTITION BY custno, promoid ORDER BY d) = 1
           AND NOT EXISTS (SELECT 1 FROM ord o WHERE o.custno = bought.custno AND o.promoid = bought.promoid) AS redeems,
       promtyp, discpc
FROM bought
"""
_GUESTS = f"""
SELECT key2(key2(s.dayno, g), 77) AS ok, NULL::INT AS custno,
       CASE WHEN u('gc', key2(s.dayno, g)) < .985 THEN 'United Kingdom' WHEN u('gc', key2(s.dayno, g)) < .99 THEN 'EIRE'
            WHEN u('gc', key2(s.dayno, g)) < .994 THEN 'Hong Kong' ELSE 'Unspecified' END AS cntry,
       s.d, s.dayno, s.xmas, false AS wholesale, NULL::INT AS c1, NULL::INT AS c2, NULL::INT AS c3, NULL::INT AS s1, NULL::INT AS s2,
       0.0 AS basket, 0.0 AS repeats,
       CASE WHEN u('small', key2(s.dayno, g)) < .5 THEN 1 + floor(2 * u('few', key2(s.dayno, g)))::INT
            ELSE greatest(2, least(600, round(exp(3.95 + z('many', key2(s.dayno, g))))))::INT END AS explored,
       NULL::INT AS promoid, false AS redeems, NULL AS promtyp, NULL::DOUBLE AS discpc
FROM (SELECT *, unnest(range(whole(getvariable('customers') * {GUEST_ORDERS} * factor, 'guests', dayno))) AS g FROM selling) s
"""

# 1.2 % of the orders come late, by file, in the nights of the next 9 days; 15 % of the customers' orders are cancelled in part; one in 10,000 is a slip of the
# keyboard by thousands of pieces, which is taken back within the quarter of an hour.
_FATE = f"""
INSERT INTO ord
WITH wanted AS ({_BOUGHT} UNION ALL {_GUESTS}), timed AS (
    SELECT *, clock(d, 60 * (480 + 720 * least(.999, greatest(0.0, .42 + .17 * z('minute', ok))))) AS invts, u('huge', ok) < 1e-4 AS huge,
           if(u('late', ok) < .012, 1 + floor(9 * pow(u('lateness', ok), 1.5))::INT, 0) AS late
    FROM wanted
), booked AS (
    SELECT *, if(late > 0, clock(d + late, 7200 + 10000 * u('night', ok)), invts + to_seconds(20 + floor(1100 * u('delay', ok))::INT)) AS insts
    FROM timed
), tired AS (
    SELECT *, u('cancel', ok) < if(custno IS NULL, .06, .175) AS cancels, insts::DATE + 1 + floor(20 * pow(u('after', ok), 2))::INT AS cancel_from
    FROM booked
)
SELECT ok, custno, cntry, t.d, t.dayno, t.xmas, wholesale, c1, c2, c3, s1, s2, basket, repeats, explored, promoid, redeems, promtyp, discpc, huge,
       invts, insts, CASE WHEN huge THEN insts + to_seconds(120 + floor(700 * u('oops', ok))::INT)
                          WHEN cancels THEN clock(n.next_trading, 3600 * (9 + 8 * u('cxlhour', ok))) END AS cxlts
FROM tired t LEFT JOIN day n ON n.d = t.cancel_from
ORDER BY insts, ok
"""


def begin_orders(con: duckdb.DuckDBPyConnection) -> None:
    """Makes the empty table `ord`."""
    con.execute(_EMPTY)


def add_orders(con: duckdb.DuckDBPyConnection, first: date, last: date) -> None:
    """Adds the orders of the days from `first` to `last` to `ord`, and drops those that nothing can refer to any more.

    Needs the tables `day` (to 35 days after `last`), `promo`, `contact` and `cust`.
    """
    con.execute(f"SET VARIABLE a = DATE '{first.isoformat()}'")
    con.execute(f"SET VARIABLE b = DATE '{last.isoformat()}'")
    con.execute(f"DELETE FROM ord WHERE d < DATE '{(first - timedelta(days=LOOKBACK)).isoformat()}'")
    con.execute(_DAYS)
    con.execute(_FATE)
