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
from plinth.platform import Profile
from plinth.sample import campaigns, draws, goods, lines, orders, people, season

if TYPE_CHECKING:
    import duckdb

MEMORY = 256 * 2**20
AHEAD = 40  # days that the calendar goes on, for cancellations that fall after the last day
_PROBE = 2000  # customers whose expected orders tell how many lines a customer brings


@contextmanager
def opened(seed: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with the draws of a seed; closed at the end."""
    con = connect(Profile(cpu=2, memory=MEMORY, threads=2))
    try:
        draws.install(con, seed)
        con.execute(goods.MACROS)
        con.execute("CREATE TABLE redemption (promoid INTEGER, custno INTEGER, d DATE, invno VARCHAR, insts TIMESTAMP)")
        orders.begin_orders(con)
        yield con
    finally:
        con.close()


def set_today(con: duckdb.DuckDBPyConnection, day: date) -> None:
    """Sets the day as of which the rows of masters and promotions are given."""
    con.execute(f"SET VARIABLE today = DATE '{day.isoformat()}'")


def make_fresh(con: duckdb.DuckDBPyConnection, customers: int, start: date, days: int) -> None:
    """Makes all tables of a generated world as of its last day."""
    last = start + timedelta(days=days - 1)
    con.execute(f"SET VARIABLE customers = {customers}")
    set_today(con, last)
    season.make_days(con, start - timedelta(days=1), last + timedelta(days=AHEAD))
    goods.plan_goods(con, goods.planned_items(customers), start, days)
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


def customers_for(lines_wanted: int, start: date, days: int, seed: int) -> int:
    """How many customers bring about so many lines in so many days (within a few per cent for more than 10,000 lines)."""
    with opened(seed) as con:
        make_fresh(con, _PROBE, start, days)
        orders.add_orders(con, start, start + timedelta(days=days - 1))
        lines.make_lines(con, start, start + timedelta(days=days - 1), lines.Counters())
        row = con.execute("SELECT count(*) FROM line").fetchone() or (1,)
    return max(1, round(_PROBE * lines_wanted / max(1, int(row[0]))))
