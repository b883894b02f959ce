"""Writes a generated warehouse, block of days by block of days.

What belongs here: the order of the work, the blocks that bound the memory, and the mark that says that all of it is there. What does not: the
rows themselves, or how a database takes them.
"""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import TYPE_CHECKING

from plinth.sample import campaigns, goods, lines, orders, people, schema, stock, world
from plinth.sample.spec import Progress, SampleReport, SampleSpec, TableRows, silent
from plinth.sample.warehouse import Warehouse, record

if TYPE_CHECKING:
    import duckdb

BLOCK_LINES = 200_000  # about so many are booked in one go, whatever the size of the shop


def write_sample(url: str, spec: SampleSpec, *, replace: bool = False, progress: Progress = silent) -> SampleReport:
    """Writes a generated legacy warehouse into a database.

    Args:
        url: `sqlite:///path`, `postgresql://…` or `mysql://…`.
        spec: how large, which seed, from which day.
        replace: drop an older sample in this database first.
        progress: called with stage, done and total.

    Raises:
        SampleError: the URL is of another kind, or tables of these names are there.
        DriverMissing, SourceUnavailable, StorageFailure: as `Warehouse` says.
    """
    began = time.monotonic()
    customers = (
        spec.customers if spec.lines is None else world.customers_for(spec.lines, spec.start, spec.days, spec.seed)
    )
    last = spec.start + timedelta(days=spec.days - 1)
    with Warehouse(url) as warehouse, world.opened(spec.seed) as con:
        warehouse.make_tables(replace=replace)
        world.make_fresh(con, customers, spec.start, spec.days)
        counters = _write_lines(warehouse, con, spec, customers, progress)
        _write_masters(warehouse, con, spec.start, progress)
        facts = {
            "FORMAT": schema.FORMAT,
            "ORIGIN": "generated",
            "SEED": str(spec.seed),
            "CUSTOMERS": str(customers),
            "FIRSTDAY": spec.start.isoformat(),
            "GENFROM": spec.start.isoformat(),
            "DAYS": str(spec.days),
            "GENLINE": "1",
            "NEXTCUST": str(people.FIRST_CUSTNO + customers),
            **{f"GENERATED.{name}": "all columns" for name in schema.TABLES},
        }
        return finish(warehouse, facts, last, counters, spec.start, began, progress)


def _write_lines(
    warehouse: Warehouse, con: duckdb.DuckDBPyConnection, spec: SampleSpec, customers: int, progress: Progress
) -> lines.Counters:
    counters = lines.Counters()
    span = max(1, min(spec.days, int(BLOCK_LINES / (customers * lines.LINES_PER_DAY))))
    for done in range(0, spec.days, span):
        first = spec.start + timedelta(days=done)
        last = spec.start + timedelta(days=min(done + span, spec.days) - 1)
        orders.add_orders(con, first, last)
        counters = lines.make_lines(con, first, last, counters)
        warehouse.bulk(con, schema.INVLINE, 'FROM line ORDER BY "LINEID"')
        progress("INVLINE", min(done + span, spec.days), spec.days)
    return counters


def _write_masters(warehouse: Warehouse, con: duckdb.DuckDBPyConnection, start: date, progress: Progress) -> None:
    con.execute(f"SET VARIABLE stock_from = getvariable('today')::DATE - {stock.NIGHTS - 1}")
    items = f'SELECT * FROM ({goods.ITEM_ROWS} UNION ALL {goods.service_rows(start)}) ORDER BY "ITEMNO"'
    work = (
        (schema.CUSTMAS, people.CUSTOMER_ROWS),
        (schema.ITEMMAS, items),
        (schema.PROMOS, campaigns.PROMO_ROWS),
        (schema.CAMPCON, campaigns.CONTACT_ROWS + ' ORDER BY "PROMOID", "CUSTNO"'),
        (schema.STOCKLVL, stock.STOCK_ROWS),
    )
    for done, (table, query) in enumerate(work, start=1):
        warehouse.bulk(con, table, query)
        progress("masters", done, len(work))


def finish(
    warehouse: Warehouse,
    facts: dict[str, str],
    last: date,
    counters: lines.Counters,
    first: date,
    began: float,
    progress: Progress,
) -> SampleReport:
    """Makes the indexes, counts, and sets the mark of completeness in SYSINFO, last of all."""
    progress("indexes", 0, 1)
    with warehouse.transaction() as connection:
        warehouse.make_indexes(connection)
    progress("indexes", 1, 1)
    state = {
        "LASTDAY": last.isoformat(),
        "NEXTLINE": str(counters.line),
        "NEXTINV": str(counters.invoice),
        "COMPLETE": "Y",
    }
    with warehouse.transaction() as connection:
        record(connection, {**facts, **state})
        rows = tuple(
            TableRows(name, warehouse.count(connection, schema.metadata.tables[name])) for name in schema.TABLES
        )
    return SampleReport(warehouse.address, rows, first, last, time.monotonic() - began)
