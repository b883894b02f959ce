"""Bronze by Spark: the same rows as by DuckDB to the last bit, and of one moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from plinth.contracts.model import Column, Mode, Table
from plinth.ingest import bronze_id
from plinth.sources.jdbc.landing import JdbcRead
from plinth.spark.engine import SparkEngine
from plinth.spark.jdbc import land
from tests.plinth.sources import test_mariadb_types, test_postgres_types
from tests.plinth.sources.landing import contract
from tests.plinth.sources.writers import writer
from tests.spark.twins import ACCOUNTS, MAKE_ACCOUNTS, MAKE_ORDERS, ORDERS, Twins

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow
DATABASES = ["postgres_db", "mariadb_db"]


def wide(native: list[tuple[str, list[str], str, list[Any]]], null: str = "") -> tuple[list[str], Table]:
    """A table with a column of every type, its values below each other and a row of nulls at the end, and its contract."""
    rows = max(len(values) for _, values, *_ in native) + 1
    columns = ", ".join(f"v{number} {kind}{null}" for number, (kind, *_) in enumerate(native))
    statements = [f"CREATE TABLE wide (id int PRIMARY KEY, {columns})"]
    for row in range(rows):
        values = [values[row] if row < len(values) else "NULL" for _, values, *_ in native]
        statements.append(f"INSERT INTO wide VALUES ({row}, {', '.join(values)})")
    return statements, contract("wide", "id " + " ".join(f"v{number}" for number in range(len(native))))


@pytest.mark.parametrize(
    ("twins", "types", "null"),
    [("postgres_db", test_postgres_types, ""), ("mariadb_db", test_mariadb_types, " NULL")],
    indirect=["twins"],
    ids=DATABASES,
)
def test_every_type_lands_as_by_duckdb(twins: Twins, types: Any, null: str) -> None:
    statements, table = wide(types.NATIVE, null)
    writer(twins.url)(*statements)
    ours, theirs = twins.load(table)
    twins.assert_same(table)
    assert (theirs.rows, theirs.source_rows, theirs.notes) == (ours.rows, ours.rows, ours.notes)
    # Once more with a value that does not fit, so that every column is read in its patient form.
    stray = replace(
        table, columns=(*table.columns, Column("stray", "stray", delta_type="integer")), quarantine_share=1.0
    )
    writer(twins.url)("ALTER TABLE wide ADD stray varchar(9)", "UPDATE wide SET stray = 'x1' WHERE id = 0")
    ours, theirs = twins.load(stray)
    assert ours.quarantined == theirs.quarantined == {"stray_type": 1}
    twins.assert_same(stray)


AWKWARD_POSTGRES = (
    "CREATE TYPE mood AS ENUM ('so la', 'gut')",
    "CREATE TABLE awkward (id int PRIMARY KEY, n numeric(12,2), free numeric, nulled date, stood timestamp, kept timestamptz, far timestamp, "
    "pad character(6), m mood, items int[], flag text, whole text, cash money, f real, bools boolean[], floats double precision[])",
    "INSERT INTO awkward VALUES (1, 1.5, 1.25, '2020-02-29', '2020-02-29', '2020-02-29 01:00+01', '2020-02-29', 'ab', 'so la', '{1,NULL}', "
    "'true', '7', 12.5, 0.1, '{t,f,NULL}', '{NaN,-0,1e300,0.1}')",
    "INSERT INTO awkward VALUES (2, 'NaN', 1.00001, 'infinity', '-infinity', 'infinity', '294276-12-31 23:59:59.999999', 'b  c', 'gut', "
    "'{{1,2},{3,4}}', 'perhaps', '7.5', -1, '-0', '{}', NULL)",
    "INSERT INTO awkward VALUES (3, -0.01, NULL, '0044-03-15 BC', '0044-03-15 12:00:00.5 BC', '1500-02-28 23:59:59.999999+00', "
    "'1969-12-31 23:59:59.999999', '', NULL, NULL, NULL, ' 8', NULL, 'NaN', NULL, '{}')",
)
AWKWARD_MARIADB = (
    "CREATE TABLE awkward (id int PRIMARY KEY, nulled date NULL, stood datetime(3) NULL, kept timestamp(6) NULL, flag tinyint(1) NULL, "
    "bits bit(8) NULL, whole varchar(20) NULL, u bigint unsigned NULL, f float NULL, d double NULL, t time(6) NULL, y year NULL, "
    "pad char(6) NULL, big decimal(50,2) NULL, b varbinary(9) NULL)",
    "INSERT INTO awkward VALUES (1, '2020-02-29', '2020-02-29 10:00:00.5', '2020-02-29 10:00:00.000001', 1, b'1', '12.50', 18446744073709551615, "
    "0.1, 0.1, '-838:59:59.000001', 2020, 'ab', 1.5, 'b')",
    "INSERT INTO awkward VALUES (2, '0000-00-00', '2020-00-00 10:00:00', '0000-00-00 00:00:00', 7, b'111', '12,50', 0, 1e-38, -0e0, '00:00:00', 0, "
    "'b  c', 99999999999999999999999999999999999999999999.99, '')",
    "INSERT INTO awkward VALUES (3, '1000-01-01', '1582-10-10', NULL, 0, b'0', '1.505', NULL, NULL, 1.7976931348623157e308, NULL, NULL, '', NULL, x'00ff')",
)


def awkward(url: str) -> tuple[tuple[str, ...], Table]:
    """Values that no plain cast takes, under each rule of a contract for dates that are none."""
    ruled = {
        "nulled": Column("nulled", "nulled"),
        "stood": Column("stood", "stood", zero_dates="9999-12-31"),
        "kept": Column("kept", "kept", zero_dates="quarantine"),
    }
    if url.startswith("postgres"):
        others: dict[str, Any] = {"n": None, "free": "decimal(10,2)", "far": None, "pad": None, "m": None, "items": None,
                                  "flag": "boolean", "whole": "integer", "cash": "decimal(19,2)", "f": "double", "bools": None, "floats": None}  # fmt: skip
        return AWKWARD_POSTGRES, contract("awkward", {"id": None, **ruled, **others})
    others = {"flag": "boolean", "bits": "boolean", "whole": "decimal(10,2)", "u": "string", "f": "string", "d": "string", "t": None,
              "y": "string", "pad": None, "big": None, "b": "string"}  # fmt: skip
    return AWKWARD_MARIADB, contract("awkward", {"id": None, **ruled, **others})


@pytest.mark.parametrize("twins", DATABASES, indirect=True)
def test_what_does_not_cast_goes_the_way_of_the_contract_as_by_duckdb(twins: Twins) -> None:
    statements, table = awkward(twins.url)
    writer(twins.url)(*statements)
    ours, theirs = twins.load(replace(table, quarantine_share=1.0))
    assert ours.quarantined == theirs.quarantined and sum(ours.quarantined.values()) > 0
    assert ours.notes == theirs.notes != {}
    twins.assert_same(table)


@pytest.mark.parametrize("twins", DATABASES, indirect=True)
def test_whole_reads_are_sparks_and_what_changed_since_is_duckdbs_with_the_reason(twins: Twins) -> None:
    writer(twins.url)(*MAKE_ORDERS)
    table = replace(ORDERS, mode=Mode.INCREMENTAL)
    first, second = twins.load(table)
    assert "Spark over JDBC, as the profile big says" in second.engine_reason and first.engine_reason == ""
    assert first.watermark == second.watermark == "2024-01-02 00:00:00" + ("+00" if "postgres" not in twins.url else "")
    writer(twins.url)("INSERT INTO orders VALUES (4, 40, '2024-01-03')", "DELETE FROM orders WHERE id = 1")
    third = twins.by_spark(table)
    assert (third.engine, third.inserted) == ("duckdb", 1)
    assert "only what changed is read" in third.engine_reason and "profile big" in third.engine_reason
    # A type that grows replaces every file: all rows are read, by Spark again.
    grow = "ALTER COLUMN total TYPE bigint" if twins.url.startswith("postgres") else "MODIFY total bigint NULL"
    writer(twins.url)(f"ALTER TABLE orders {grow}")
    fourth = twins.by_spark(table)
    assert (fourth.engine, fourth.rows) == ("spark", 3)
    assert {column.name: column.type for column in fourth.columns}["total"] == "long"


@pytest.mark.parametrize("twins", DATABASES, indirect=True)
def test_an_empty_table_lands_without_rows(twins: Twins) -> None:
    writer(twins.url)("CREATE TABLE orders (id int PRIMARY KEY, total int, upd timestamp(6) NULL)")
    _, theirs = twins.load(ORDERS)
    assert (theirs.rows, theirs.source_rows, theirs.watermark) == (0, 0, None)


@contextmanager
def booking(url: str) -> Iterator[Callable[[], int]]:
    """Somebody who moves amounts between accounts, opens two and closes two all the time: the sum of all amounts stays 0. Gives how often it was."""
    done, ended = [0], threading.Event()

    def work(run: Callable[[str], object]) -> None:
        while not ended.is_set():
            step = done[0]
            low, high, new = 1 + step % 29_000, 30_000 + step % 29_000, 100_000 + 2 * step
            for statement in (
                "BEGIN",
                f"UPDATE accounts SET amount = amount + CASE WHEN id = {low} THEN 7 ELSE -7 END WHERE id IN ({low}, {high})",
                f"INSERT INTO accounts VALUES ({new}, 5, ''), ({new + 1}, -5, '')",
                f"DELETE FROM accounts WHERE id IN ({new - 200}, {new - 199})",
                "COMMIT",
            ):
                run(statement)
            done[0] += 1

    def connected() -> None:
        if url.startswith("postgres"):
            with psycopg.connect(url, autocommit=True) as con:
                work(lambda statement: con.execute(statement.encode()))
        else:
            with test_mariadb_types.cursor_of(url) as cursor:
                work(cursor.execute)

    thread = threading.Thread(target=connected, daemon=True)
    thread.start()
    try:
        yield lambda: done[0]
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("twins", DATABASES, indirect=True)
def test_all_sessions_see_one_moment_while_others_write(twins: Twins, spark: SparkSession) -> None:
    writer(twins.url)(*MAKE_ACCOUNTS["postgres" if twins.url.startswith("postgres") else "mysql"])
    seen: dict[str, int] = {}
    with booking(twins.url) as booked:

        def opened() -> SparkSession:
            # Ours has taken its snapshot, and those of Spark are still to come.
            seen["before"] = booked()
            while booked() < seen["before"] + 50:
                time.sleep(0.01)
            return spark

        twins.session = opened
        outcome = twins.by_spark(ACCOUNTS)
        assert booked() > seen["before"] + 50, "nobody wrote while it was read"
    assert outcome.engine == "spark" and outcome.rows == outcome.source_rows and outcome.rows >= 60_000
    version = twins.spark.open(bronze_id(ACCOUNTS))
    from plinth.engine import connect

    with connect(twins.spark.platform.profile("small"), extensions=("delta",)) as con:
        total, rows, keys = con.execute(
            f"SELECT sum(amount), count(*), count(DISTINCT id) FROM {version.scan}"
        ).fetchone() or (None, None, None)
    assert (total, keys) == (0, rows)
    if twins.url.startswith("postgres"):
        # The snapshot is older than the bookings that were waited for.
        with (
            psycopg.connect(twins.url) as reader,
            connect(twins.spark.platform.profile("small"), extensions=("delta",)) as con,
        ):
            newest = reader.execute("SELECT max(id) FROM accounts").fetchone()
            landed = con.execute(f"SELECT max(id) FROM {version.scan}").fetchone()
        assert newest and landed and newest[0] >= landed[0] + 2 * 50


def test_a_large_table_of_postgres_is_read_in_ranges_that_are_the_table(
    postgres_db: str, tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer(postgres_db)(*MAKE_ACCOUNTS["postgres"], "DELETE FROM accounts WHERE id % 3 = 0")
    read: list[JdbcRead] = []

    def noted(engine: SparkEngine, address: Any, each: JdbcRead, folder: str) -> None:
        read.append(each)
        land(engine, address, each, folder)

    monkeypatch.setattr("plinth.spark.jdbc.land", noted)
    twins = Twins(tmp_path, postgres_db, lambda: spark)
    twins.load(ACCOUNTS)
    twins.assert_same(ACCOUNTS)
    assert len(read[0].parts) >= 3
    with psycopg.connect(postgres_db) as con:
        con.execute("SET enable_seqscan = on")
        plan = "\n".join(
            row[0]
            for row in con.execute(f"EXPLAIN SELECT c0 FROM ({read[0].query}) q WHERE {read[0].parts[1]}".encode())
        )
    assert "Tid Range Scan" in plan, plan
