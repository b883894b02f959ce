"""The truth behind a sample warehouse, which no reader of the warehouse may know, but by which its results can be judged.

What belongs here: the true effect of each contact, the hidden tastes of the customers, the true taste for an item. What does not: estimates. All
of it follows from the seed and from what the warehouse records, so it can be asked for at any time, and after any `advance`.

How the truth of a contact comes about: on each trading day of the promotion the customer orders with chance h = rate x strength of the day, at
most 0.85, and a treatment multiplies it by the contact's effect. Days are independent, so the chance of at least one purchase is
1 - product(1 - h), exactly, and the uplift is the difference of the two chances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from plinth.sample import campaigns, orders, people, season, world
from plinth.sample.continued import State, make_continued, read_people, read_state
from plinth.sample.moving import fetch_into
from plinth.sample.schema import CAMPCON
from plinth.sample.vocabulary import CATEGORIES, STYLES, sql_list
from plinth.sample.warehouse import Warehouse

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_UPLIFT = f"""
WITH pairs AS (
    SELECT k.promoid, k.custno, c.rate, c.crtdt, c.enddt, p.startdt, p.enddt AS promo_end, p.promtyp,
           group_of(k.custno, k.promoid) AS grpcd, effect(k.custno, k.promoid, c.rate, p.depth) AS effect
    FROM contacted k JOIN cust c USING (custno) JOIN promo p USING (promoid)
), chances AS (
    SELECT q.promoid, q.custno, any_value(grpcd) AS grpcd, any_value(promtyp) AS promtyp, max(promo_end) AS promo_end,
           1 - exp(coalesce(sum(ln(1 - least({orders.MOST}, rate * factor))) FILTER (d.d IS NOT NULL), 0)) AS untreated,
           1 - exp(coalesce(sum(ln(1 - least({orders.MOST}, rate * factor * effect))) FILTER (d.d IS NOT NULL), 0)) AS treated
    FROM pairs q LEFT JOIN day d ON d.d BETWEEN q.startdt AND q.promo_end AND d.trading AND d.d >= q.crtdt AND d.d < q.enddt
    GROUP BY q.promoid, q.custno
)
SELECT promoid AS "PROMOID", custno AS "CUSTNO", grpcd AS "GRPCD", untreated AS "PURCHASE_UNTREATED", treated AS "PURCHASE_TREATED",
       treated - untreated AS "UPLIFT", treated * code_chance(custno, promtyp) AS "REDEMPTION", promo_end <= getvariable('today')::DATE AS "ENDED"
FROM chances ORDER BY promoid, custno
"""

_TASTES = f"""
SELECT custno AS "CUSTNO", cluster_of(custno) AS "CLUSTER", wholesale AS "WHOLESALE", rate AS "RATE", repeats AS "REPEATS", basket AS "BASKET",
       {sql_list(list(CATEGORIES))}[1 + c1] AS "CATEGORY1", {sql_list(list(CATEGORIES))}[1 + c2] AS "CATEGORY2",
       {sql_list(list(CATEGORIES))}[1 + c3] AS "CATEGORY3", {sql_list(STYLES)}[1 + s1] AS "STYLE1", {sql_list(STYLES)}[1 + s2] AS "STYLE2",
       enddt AS "LEAVES"
FROM cust ORDER BY custno
"""

# The chance that one act of browsing picks the item, out of season: category x style x rank, as `plinth.sample.lines` draws them.
_PREFERENCES = f"""
WITH ranked AS (
    SELECT itemno, pool // {len(STYLES)} AS category, pool % {len(STYLES)} AS style, count(*) OVER (PARTITION BY pool) AS n,
           idx - min(idx) OVER (PARTITION BY pool) AS r
    FROM item
)
SELECT custno AS "CUSTNO", itemno AS "ITEMNO",
       (if(category = c1, .42, 0) + if(category = c2, .22, 0) + if(category = c3, .12, 0)
            + .24 * (pow((category + 1) / 12.0, 1 / 1.15) - pow(category / 12.0, 1 / 1.15)))
       * (if(style = s1, .5, 0) + if(style = s2, .25, 0) + .25 / {len(STYLES)})
       * (pow(r + 2, .3) - pow(r + 1, .3)) / (pow(n + 1, .3) - 1) AS "CHANCE"
FROM cust, ranked WHERE custno IN (SELECT unnest($customers)) ORDER BY custno, "CHANCE" DESC, itemno
"""


def uplift_truth(url: str) -> pa.Table:
    """The true chances of every row of CAMPCON.

    Columns: PROMOID, CUSTNO, GRPCD; PURCHASE_UNTREATED and PURCHASE_TREATED, the chances of at least one order in the promotion's days; UPLIFT,
    their difference; REDEMPTION, the chance that RDMFLG becomes Y if treated (a hold-out never redeems); ENDED, whether all its days
    are over. Late bookings come up to 9 days after the end. Of a warehouse with real transactions the promotions before the
    generated days have no effect, and chances of 0 (nobody knows them).

    Raises:
        SampleError: there is no complete sample at this URL.
        DriverMissing, SourceUnavailable: as `Warehouse` says.
    """
    with _world(url) as (con, warehouse, state):
        columns = CAMPCON.c
        with warehouse.transaction() as connection:
            read_people(con, connection)
            shape = (("promoid", "INTEGER"), ("custno", "INTEGER"))
            fetch_into(connection, select(columns.PROMOID, columns.CUSTNO), con, "contacted", shape)
        world.set_today(con, state.last_day)
        season.make_days(con, state.generated_from, state.last_day + timedelta(days=world.AHEAD))
        people.make_customers(con, "people_now")
        campaigns.plan_promotions(con, state.first_day, state.last_day, state.generated_from)
        return con.execute(_UPLIFT).to_arrow_table()


def taste_truth(url: str) -> pa.Table:
    """The hidden side of every customer of CUSTMAS.

    Columns: CUSTNO, CLUSTER (0 to 7), WHOLESALE, RATE (orders per trading day of mean strength), REPEATS (how readily a favourite is bought
    again, 0.05 to 1), BASKET (scale of the number of lines), CATEGORY1 to 3 (42, 22 and 12 % of the choices), STYLE1 and 2 (50 and 25 %),
    LEAVES (the first day without orders).

    Raises:
        SampleError: there is no complete sample at this URL.
        DriverMissing, SourceUnavailable: as `Warehouse` says.
    """
    with _world(url) as (con, warehouse, _):
        with warehouse.transaction() as connection:
            read_people(con, connection)
        people.make_customers(con, "people_now")
        return con.execute(_TASTES).to_arrow_table()


def preference_truth(url: str, customers: Sequence[int]) -> pa.Table:
    """The chance with which one act of browsing of a customer picks an item, for every item of the range: CUSTNO, ITEMNO, CHANCE.

    The best ranking that a recommender of new items can find; the Christmas season, favourites and items out of their time are left out.
    The rows count customers times items, so ask for some customers, not for all.

    Raises:
        SampleError: there is no complete sample at this URL.
        DriverMissing, SourceUnavailable: as `Warehouse` says.
    """
    with _world(url) as (con, warehouse, state):
        with warehouse.transaction() as connection:
            make_continued(con, connection, state, state.last_day)
        return con.execute(_PREFERENCES, {"customers": list(customers)}).to_arrow_table()


@contextmanager
def _world(url: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, Warehouse, State]]:
    with Warehouse(url, must_exist=True) as warehouse:
        state = read_state(warehouse)
        with world.opened(state.seed) as con:
            yield con, warehouse, state
