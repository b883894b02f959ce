"""The world of a warehouse that stands: what SYSINFO and the masters say, brought back to the state of its last day.

What belongs here: reading a complete sample, and making the same tables that a fresh world has. What does not: what the next day brings
(`plinth.sample.daily`). Since draws are pure functions, orders of the last weeks are made again, not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from plinth.sample import campaigns, goods, lines, orders, people, season, world
from plinth.sample.moving import fetch_into
from plinth.sample.schema import CAMPCON, CUSTMAS, FORMAT, ITEMMAS
from plinth.sample.spec import SampleError
from plinth.sample.vocabulary import CATEGORIES, STYLES, sql_list
from plinth.sample.warehouse import Warehouse

if TYPE_CHECKING:
    import duckdb
    from sqlalchemy import Connection


@dataclass(frozen=True)
class State:
    """What SYSINFO says of a sample.

    `first_line` is the LINEID of the first generated line: lines below it are real and never corrected.
    """

    origin: str
    seed: int
    customers: int
    first_day: date
    generated_from: date
    days: int
    last_day: date
    first_line: int
    counters: lines.Counters
    next_customer: int

    @property
    def real(self) -> bool:
        """Whether the transactions up to `generated_from` are those of Online Retail II."""
        return self.origin != "generated"


def read_state(warehouse: Warehouse) -> State:
    """Reads SYSINFO.

    Raises:
        SampleError: there is no sample, it was not written to its end, or another version of the sample wrote it.
    """
    facts = warehouse.facts()
    if facts.get("COMPLETE") != "Y":
        raise SampleError(
            "the sample warehouse is not complete: its writing was broken off",
            expected="COMPLETE = Y in SYSINFO",
            found=facts.get("COMPLETE", "no such key"),
            where=warehouse.address,
            remedy="write it again with --replace",
        )
    if facts.get("FORMAT") != FORMAT:
        raise SampleError(
            "the sample warehouse was written by another version",
            expected=f"FORMAT {FORMAT}",
            found=facts.get("FORMAT"),
            where=warehouse.address,
            remedy="write it again with --replace",
        )
    return State(
        origin=facts["ORIGIN"],
        seed=int(facts["SEED"]),
        customers=int(facts["CUSTOMERS"]),
        first_day=date.fromisoformat(facts["FIRSTDAY"]),
        generated_from=date.fromisoformat(facts["GENFROM"]),
        days=int(facts["DAYS"]),
        last_day=date.fromisoformat(facts["LASTDAY"]),
        first_line=int(facts["GENLINE"]),
        counters=lines.Counters(int(facts["NEXTLINE"]), int(facts["NEXTINV"])),
        next_customer=int(facts["NEXTCUST"]),
    )


def make_continued(con: duckdb.DuckDBPyConnection, connection: Connection, state: State, until: date) -> None:
    """Makes the tables of the world as of the last day, with calendar and promotions up to `until`.

    Beside those of a fresh world there is `people_now(custno, crtdt, cntry, mktcns)`; `contact` and `redemption` hold what the orders and lines
    of the last weeks can refer to.
    """
    con.execute(f"SET VARIABLE customers = {state.customers}")
    world.set_today(con, state.last_day)
    back = state.last_day - timedelta(days=orders.LOOKBACK)
    season.make_days(con, back, until + timedelta(days=world.AHEAD))
    _make_goods(con, connection, state)
    read_people(con, connection)
    people.make_customers(con, "people_now")
    campaigns.plan_promotions(con, state.first_day, until, state.generated_from)
    _read_contacts(con, connection, f"p.enddt >= DATE '{back.isoformat()}'")
    first = max(state.generated_from, back)
    if first <= state.last_day:
        orders.add_orders(con, first, state.last_day)


def read_people(con: duckdb.DuckDBPyConnection, connection: Connection) -> None:
    """Makes the table `people_now(custno, crtdt, cntry, mktcns)` from CUSTMAS."""
    columns = CUSTMAS.c
    statement = select(columns.CUSTNO, columns.CRTDT, columns.CNTRY, columns.MKTCNS).order_by(columns.CUSTNO)
    shape = (("custno", "INTEGER"), ("crtdt", "DATE"), ("cntry", "VARCHAR"), ("mktcns", "VARCHAR"))
    fetch_into(connection, statement, con, "people_now", shape)


def _make_goods(con: duckdb.DuckDBPyConnection, connection: Connection, state: State) -> None:
    if not state.real:
        goods.plan_goods(con, goods.planned_items(state.customers), state.first_day, state.days)
        goods.make_items(con, state.first_day)
        return
    columns = ITEMMAS.c
    statement = (
        select(columns.ITEMNO, columns.DESCR, columns.CATCD, columns.COSTPR, columns.INTRDT)
        .where(
            columns.CATCD != "SERV", columns["INTRDT"] < state.generated_from, columns["DISCDT"] >= state.generated_from
        )
        .order_by(columns.ITEMNO)
    )
    shape = (("itemno", "VARCHAR"), ("descr", "VARCHAR"), ("catcd", "VARCHAR"), ("costpr", "DOUBLE"), ("intr", "DATE"))
    fetch_into(connection, statement, con, "real_goods", shape)
    goods.plan_more_goods(con, state.customers // 20, state.generated_from)
    con.execute(
        f"""INSERT INTO range_of_goods BY NAME
        SELECT itemno, goods_key(itemno) AS ikey, coalesce(descr, 'UNNAMED') AS descr, intr, greatest(.05, round(costpr / .45, 2)) AS base,
               (list_position({sql_list(list(CATEGORIES))}, catcd) - 1) * {len(STYLES)} + floor({len(STYLES)} * u('style', goods_key(itemno)))::INT
                   AS pool
        FROM real_goods"""
    )
    goods.make_items(con, state.generated_from)


def _read_contacts(con: duckdb.DuckDBPyConnection, connection: Connection, condition: str) -> None:
    first = con.execute(f"SELECT min(promoid) FROM promo p WHERE {condition}").fetchone()
    columns = CAMPCON.c
    statement = select(
        columns.PROMOID, columns.CUSTNO, columns.RDMFLG, columns.RDMDT, columns.RDMINV, columns.UPDTS
    ).where(columns["PROMOID"] >= (first[0] if first and first[0] is not None else 2**31 - 1))
    shape = (
        ("promoid", "INTEGER"),
        ("custno", "INTEGER"),
        ("rdmflg", "VARCHAR"),
        ("rdmdt", "DATE"),
        ("rdminv", "VARCHAR"),
        ("updts", "TIMESTAMP"),
    )
    fetch_into(connection, statement.order_by(columns.PROMOID, columns.CUSTNO), con, "campcon_now", shape)
    pairs = "SELECT k.promoid, k.custno, c.rate FROM campcon_now k JOIN cust c USING (custno)"
    con.execute(f"CREATE OR REPLACE TABLE contact AS {campaigns.contacts_of(pairs)}")
    con.execute(
        "INSERT INTO redemption SELECT promoid, custno, rdmdt, rdminv, updts FROM campcon_now WHERE rdmflg = 'Y'"
    )
