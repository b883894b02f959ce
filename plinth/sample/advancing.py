"""Moves a sample warehouse on by days: inserts, updates and deletes, each day in one transaction.

What belongs here: carrying out a day against the legacy database, and counting. What does not: what the day brings (`plinth.sample.daily`). A
killed advance leaves the warehouse at the end of a day, never within one.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from plinth.sample import campaigns, daily, goods, lines, orders, people, stock, world
from plinth.sample.continued import State, make_continued, read_state
from plinth.sample.moving import fetch_into
from plinth.sample.schema import CAMPCON, CUSTMAS, INVLINE, ITEMMAS, PROMOS, STOCKLVL, TABLES
from plinth.sample.spec import AdvanceReport, Progress, TableChange, check_range, silent
from plinth.sample.warehouse import Warehouse, record

if TYPE_CHECKING:
    import duckdb
    from sqlalchemy import Connection, Table

_TOUCHED_LINES = 4  # per customer: about the lines of the last two weeks, of which some are corrected or removed
_IDS_AT_ONCE = 500


def advance(url: str, days: int, *, progress: Progress = silent) -> AdvanceReport:
    """Applies the next days to a warehouse that `write_sample` or `load_online_retail` has written.

    Args:
        url: where it is.
        days: how many; 1 to 5,000.
        progress: called after each day with `days`, done and total.

    Raises:
        SampleError: there is no sample, it is not complete, or `days` is out of range.
        DriverMissing, SourceUnavailable, StorageFailure: as `Warehouse` says.
    """
    check_range("days", days, 1, 5000)
    began = time.monotonic()
    with Warehouse(url, must_exist=True) as warehouse:
        state = read_state(warehouse)
        tally: Counter[tuple[str, str]] = Counter()
        with world.opened(state.seed) as con:
            with warehouse.transaction() as connection:
                make_continued(con, connection, state, state.last_day + timedelta(days=days))
            for done in range(1, days + 1):
                with warehouse.transaction() as connection:
                    state = _Day(warehouse, connection, con, tally).live(state)
                progress("days", done, days)
        changes = tuple(
            TableChange(name, *(tally[name, kind] for kind in ("insert", "update", "delete"))) for name in TABLES
        )
        return AdvanceReport(warehouse.address, changes, days, state.last_day, time.monotonic() - began)


def _facts(state: State) -> dict[str, str]:
    return {
        "LASTDAY": state.last_day.isoformat(),
        "NEXTLINE": str(state.counters.line),
        "NEXTINV": str(state.counters.invoice),
        "NEXTCUST": str(state.next_customer),
    }


class _Day:
    """One day of one warehouse, within one transaction."""

    def __init__(
        self,
        warehouse: Warehouse,
        connection: Connection,
        con: duckdb.DuckDBPyConnection,
        tally: Counter[tuple[str, str]],
    ) -> None:
        self._warehouse = warehouse
        self._connection = connection
        self._con = con
        self._tally = tally

    def live(self, before: State) -> State:
        """Applies the day after the state's last one, and gives the state after it."""
        day = before.last_day + timedelta(days=1)
        self._con.execute(f"CREATE OR REPLACE TEMP TABLE items_before AS {goods.ITEM_ROWS}")
        world.set_today(self._con, day)
        self._erase(day)
        arrived = self._customers(before, day)
        self._goods(before.real)
        self._promotions()
        counters = self._lines(before, day)
        self._stock(day)
        after = replace(before, last_day=day, counters=counters, next_customer=before.next_customer + arrived)
        changed = dict(set(_facts(after).items()) - set(_facts(before).items()))
        record(self._connection, changed)
        self._tally["SYSINFO", "update"] += len(changed)
        return after

    def _insert(self, table: Table, query: str) -> int:
        rows = self._warehouse.insert(self._connection, table, self._con, query)
        self._tally[table.name, "insert"] += rows
        return rows

    def _update(self, table: Table, query: str) -> None:
        self._tally[table.name, "update"] += self._warehouse.update(self._connection, table, self._con, query)

    def _delete(self, table: Table, query: str) -> None:
        self._tally[table.name, "delete"] += self._warehouse.delete(self._connection, table, self._con, query)

    def _erase(self, day: date) -> None:
        self._con.execute(f"CREATE OR REPLACE TEMP TABLE erased AS {daily.ERASED}")
        numbers = [int(row[0]) for row in self._con.execute("FROM erased").fetchall()]
        if not numbers:
            return
        self._delete(CAMPCON, daily.CONTACTS_OF_ERASED)
        self._delete(CUSTMAS, 'SELECT custno AS "CUSTNO" FROM erased')
        for start in range(0, len(numbers), _IDS_AT_ONCE):
            some = numbers[start : start + _IDS_AT_ONCE]
            anonymous = update(INVLINE).where(INVLINE.c.CUSTNO.in_(some))
            stamp = datetime.combine(day, clock_time(0, 30))
            self._tally["INVLINE", "update"] += self._connection.execute(
                anonymous.values(CUSTNO=None, UPDTS=stamp)
            ).rowcount
        self._con.execute(daily.FORGET)

    def _customers(self, state: State, day: date) -> int:
        self._con.execute(daily.FATES)
        for query in (daily.LAPSED, daily.MOVED, daily.FLIPPED):
            self._update(CUSTMAS, query)
        self._con.execute(daily.REMEMBER_FLIPS)
        a_day = state.customers * people.JOIN_SHARE / max(365, state.days)
        people.new_customers(self._con, state.next_customer, a_day, day)
        arrived = self._insert(CUSTMAS, people.CUSTOMER_ROWS)
        self._con.execute(daily.REMEMBER_NEWCOMERS)
        self._con.execute(f"INSERT INTO cust {people.latent('newcomer')}")
        return arrived

    def _goods(self, real: bool) -> None:
        self._con.execute(f"CREATE OR REPLACE TEMP TABLE items_now AS {goods.ITEM_ROWS}")
        wording, reworded = ("", "false") if real else ('n."DESCR",', 'n."DESCR" IS DISTINCT FROM b."DESCR"')
        self._update(ITEMMAS, daily.CHANGED_ITEMS.format(wording=wording, reworded=reworded))
        self._insert(ITEMMAS, daily.NEW_ITEMS)

    def _promotions(self) -> None:
        self._delete(CAMPCON, daily.CALLED_OFF_CONTACTS)
        self._delete(PROMOS, daily.CALLED_OFF)
        self._con.execute(f"DELETE FROM contact WHERE promoid IN ({daily.CALLED_OFF})")
        consenting = "(SELECT p.*, c.rate FROM people_now p JOIN cust c USING (custno))"
        pairs = campaigns.eligible(consenting, daily.ANNOUNCED_TODAY)
        self._con.execute(f"CREATE OR REPLACE TEMP TABLE announced AS {campaigns.contacts_of(pairs)}")
        self._insert(
            PROMOS,
            f'FROM ({campaigns.PROMO_ROWS}) WHERE "PROMOID" IN (SELECT promoid FROM promo p WHERE {daily.ANNOUNCED_TODAY})',
        )
        self._insert(
            CAMPCON, campaigns.CONTACT_ROWS.replace("FROM contact", "FROM announced") + ' ORDER BY "PROMOID", "CUSTNO"'
        )
        self._con.execute("INSERT INTO contact FROM announced")

    def _lines(self, state: State, day: date) -> lines.Counters:
        self._touch(state)
        orders.add_orders(self._con, day, day)
        counters = lines.make_lines(self._con, day, day, state.counters)
        self._insert(INVLINE, 'FROM line ORDER BY "LINEID"')
        self._update(CAMPCON, daily.REDEEMED)
        return counters

    def _touch(self, state: State) -> None:
        last = state.counters.line
        first = max(state.first_line, last - _TOUCHED_LINES * state.customers)
        self._con.execute(f"SET VARIABLE touch_from = {first}")
        self._con.execute(f"SET VARIABLE touch_to = {last}")
        numbers = [int(row[0]) for row in self._con.execute(f"SELECT id FROM ({daily.TOUCHED}) ORDER BY id").fetchall()]
        columns = INVLINE.c
        shape = (("lineid", "BIGINT"), ("invno", "VARCHAR"), ("qty", "INTEGER"), ("unitpr", "DOUBLE"))
        self._con.execute(
            "CREATE OR REPLACE TEMP TABLE touched_lines (lineid BIGINT, invno VARCHAR, qty INTEGER, unitpr DOUBLE)"
        )
        # A line that was made anonymous today is not touched twice on one day.
        midnight = datetime.combine(state.last_day + timedelta(days=1), clock_time())
        for start in range(0, len(numbers), _IDS_AT_ONCE):
            some = numbers[start : start + _IDS_AT_ONCE]
            statement = select(columns.LINEID, columns.INVNO, columns.QTY, columns.UNITPR)
            statement = statement.where(columns.LINEID.in_(some), columns["UPDTS"] < midnight)
            fetch_into(self._connection, statement, self._con, "some_lines", shape)
            self._con.execute("INSERT INTO touched_lines FROM some_lines")
        self._update(INVLINE, daily.CORRECTED)
        self._delete(INVLINE, daily.REMOVED)

    def _stock(self, day: date) -> None:
        self._con.execute("SET VARIABLE stock_from = getvariable('today')")
        old = delete(STOCKLVL).where(STOCKLVL.c["SNAPDT"] <= day - timedelta(days=stock.NIGHTS))
        self._tally["STOCKLVL", "delete"] += self._connection.execute(old).rowcount
        self._insert(STOCKLVL, stock.STOCK_ROWS)
