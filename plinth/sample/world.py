"""The world behind a sample, assembled in a DuckDB of bounded memory.

What belongs here: the connection, and the order in which calendar, goods, customers and promotions are made from a seed. What does not: each of
them (their own modules) and the legacy database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING

from plinth.engine import connect
from plinth.profile import Profile
from plinth.sample import campaigns, draws, goods, lines, orders, people, season

if TYPE_CHECKING:
    import duckdb

MEMORY = 192 * 2**20
AHEAD = 40  # days that the calendar goes on, for cancellations that fall after the last day
_PROBE = 2000  # customers whose expected orders tell how many lines a customer brings


@contextmanager
def opened(seed: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with the draws of a seed; closed at the end."""
    con = connect(Profile(cpu=2, memory=MEMORY, threads=2), memory=MEMORY * 3 // 4)
    try:
        con.execute("SET enable_progress_bar = false")
        draws.install(con, seed)
        for macros in (goods.MACROS, people.MACROS, campaigns.MACROS):
            con.execute(macros)
        con.execute("CREATE TABLE redemption (promoid INTEGER, custno INTEGER, d DATE, invno VARCHAR, insts TIMESTAMP)")
        orders.begin_orders(con)
        yield con
    finally:
        con.close()


def set_today(con: duckdb.DuckDBPyConnection, day: date) -> None:
    """Sets the day as of which the rows of masters and promotions are given."""
    con.execute(f"SET VARIABLE today = DATE '{day.isoformat()}'")


def make_fresh(
    con: duckdb.DuckDBPyConnection, customers: int, start: date, days: int, items: int | None = None
) -> None:
    """Makes all tables of a generated world as of its last day; `items` plans another range than so many customers would have."""
    last = start + timedelta(days=days - 1)
    con.execute(f"SET VARIABLE customers = {customers}")
    set_today(con, last)
    season.make_days(con, start - timedelta(days=1), last + timedelta(days=AHEAD))
    goods.plan_goods(con, items or goods.planned_items(customers), start, days)
    goods.make_items(con, start)
    people.plan_customers(con, customers, start, days)
    people.make_customers(con)
    campaigns.plan_promotions(con, start, last, start)
    make_known_contacts(con)


def make_known_contacts(con: duckdb.DuckDBPyConnection) -> None:
    """Makes the table `contact` of all promotions that are known today, from `cust` and the consent that was given at first."""
    fresh = "(SELECT custno, crtdt, rate, consent_of(custno) AS mktcns FROM cust)"
    pairs = campaigns.eligible(fresh, campaigns.KNOWN)
    con.execute(f"CREATE OR REPLACE TABLE contact AS {campaigns.contacts_of(pairs)}")


# What a customer can be expected to order within the days, but for a constant: rate x strength of his trading days x lines of an order.
_WEIGHT = """
WITH strength AS (SELECT d, sum(factor) OVER (ORDER BY d) AS upto FROM day)
SELECT sum(c.rate * c.basket * (1.28 + c.repeats) * greatest(0, e.upto - b.upto)) FROM cust c
JOIN strength b ON b.d = greatest(c.crtdt - 1, getvariable('probe_from')::DATE - 1)
JOIN strength e ON e.d = least(c.enddt - 1, getvariable('today')::DATE)
"""


def customers_for(lines_wanted: int, start: date, days: int, seed: int) -> int:
    """How many customers bring about so many lines in so many days; within some 2 % for more than a million lines.

    A small world is made to its end and its lines are counted. From there it is scaled by what the customers of the larger world can be
    expected to order, since a few thousand customers of so unequal habits say too little about a hundred thousand.
    """
    with opened(seed) as con:
        rough = max(1, round(lines_wanted / (days * lines.LINES_PER_DAY)))
        make_fresh(con, _PROBE, start, days, items=goods.planned_items(rough))
        orders.add_orders(con, start, start + timedelta(days=days - 1))
        lines.make_lines(con, start, start + timedelta(days=days - 1), lines.Counters())
        row = con.execute('SELECT count("CUSTNO"), count(*) - count("CUSTNO") FROM line').fetchone() or (1, 0)
        con.execute(f"SET VARIABLE probe_from = DATE '{start.isoformat()}'")
        per_weight, per_customer = max(1, row[0]) / _weight(con, _PROBE, start, days), row[1] / _PROBE
        count = max(1, int(_PROBE * lines_wanted / max(1, row[0] + row[1])))
        for _ in range(3):
            expected = per_weight * _weight(con, count, start, days) + per_customer * count
            count = max(1, int(count * lines_wanted / expected))
    return count


def _weight(con: duckdb.DuckDBPyConnection, customers: int, start: date, days: int) -> float:
    people.plan_customers(con, customers, start, days)
    people.make_customers(con)
    row = con.execute(_WEIGHT).fetchone()
    return max(1e-9, float(row[0])) if row and row[0] is not None else 1e-9
