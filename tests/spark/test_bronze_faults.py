"""A load by Spark that breaks publishes nothing, leaves nothing, says what it was without a password, and can be tried again."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from plinth.errors import DriverMissing, SourceUnavailable, SourceUnreadable
from plinth.ingest import bronze_id
from plinth.sources.address import parse_address
from plinth.sources.jdbc.address import endpoint
from plinth.sources.jdbc.landing import JdbcRead
from plinth.sources.jdbc.postgres import JdbcPostgresSnapshot
from plinth.spark.engine import SparkEngine
from plinth.spark.jdbc import land
from tests.plinth.sources import test_mariadb_types
from tests.plinth.sources.writers import writer
from tests.servers import MariaDBServer, PostgresServer
from tests.servers.process import PASSWORD
from tests.spark.twins import ACCOUNTS, MAKE_ACCOUNTS, MAKE_ORDERS, ORDERS, Twins

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow


def test_rows_that_no_session_has_read_are_missed_and_nothing_is_published(
    postgres_db: str, tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer(postgres_db)(*MAKE_ACCOUNTS["postgres"])
    monkeypatch.setattr(JdbcPostgresSnapshot, "_parts", lambda _, found: ["plinth_place < '(100,0)'::tid"])
    twins = Twins(tmp_path, postgres_db, lambda: spark)
    with pytest.raises(SourceUnavailable, match=r"60,000 rows, as counted at that moment"):
        twins.by_spark(ACCOUNTS)
    assert twins.spark.find(bronze_id(ACCOUNTS)) is None
    assert list(Path(twins.spark.uri_of(bronze_id(ACCOUNTS))).rglob("*.parquet")) == []
    twins.assert_nothing_staged()


def wait_until(reads: Callable[[], bool]) -> None:
    """Until Spark's session is at work on the server."""
    until = time.monotonic() + 60
    while not reads():
        assert time.monotonic() < until, "no session came"
        time.sleep(0.05)


SLOW = {
    "postgres": "CREATE VIEW orders AS SELECT i AS id, CASE WHEN i = 15000 THEN (SELECT 1 FROM pg_sleep(60)) ELSE 1 END AS total, "
    "timestamp '2024-01-01' AS upd FROM generate_series(1, 20000) i",
    "mysql": "CREATE VIEW orders AS SELECT seq AS id, IF(seq = 15000, sleep(60), 1) AS total, CAST('2024-01-01' AS datetime) AS upd FROM seq_1_to_20000",
}


@pytest.mark.parametrize(
    ("twins", "server"), [("postgres_db", "postgres_server"), ("mariadb_db", "mariadb_server")], indirect=["twins"]
)
def test_a_session_that_is_ended_in_mid_read_publishes_nothing_and_a_retry_does(
    twins: Twins, server: str, request: pytest.FixtureRequest
) -> None:
    host: PostgresServer | MariaDBServer = request.getfixturevalue(server)
    dialect = "postgres" if twins.url.startswith("postgres") else "mysql"
    # Looks and counts do not need the column that waits, so that it is Spark that does.
    writer(twins.url)(SLOW[dialect])
    table = ORDERS
    failed: list[BaseException] = []

    def load() -> None:
        try:
            twins.by_spark(table)
        except SourceUnavailable as error:
            failed.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    wait_until(lambda: sessions_at_work(twins.url) > 0)
    time.sleep(0.5)
    host.terminate_others(urlsplit(twins.url).path[1:])
    thread.join()
    assert len(failed) == 1 and failed[0].transient  # type: ignore[attr-defined]
    assert PASSWORD not in "".join(traceback.format_exception(failed[0]))
    assert twins.spark.find(bronze_id(table)) is None
    twins.assert_nothing_staged()
    writer(twins.url)("DROP VIEW orders", *MAKE_ORDERS)
    assert twins.by_spark(table).rows == 3


def sessions_at_work(url: str) -> int:
    """How many sessions read the slow view by Spark's statement."""
    sql = "SELECT count(*) FROM {} WHERE {} LIKE '%plinth_rows%' AND {} NOT LIKE '%1=0%' AND {} NOT LIKE '%LIKE%'"
    place, text = (
        ("pg_stat_activity", "query") if url.startswith("postgres") else ("information_schema.processlist", "info")
    )
    return _count(url, sql.format(place, text, text, text))


def _count(url: str, sql: str) -> int:
    if url.startswith("postgres"):
        with psycopg.connect(url, autocommit=True) as con:
            row = con.execute(sql.encode()).fetchone()
    else:
        with test_mariadb_types.cursor_of(url) as cursor:
            cursor.execute(sql)
            row = cursor.fetchone()
    return int(row[0]) if row else 0


def test_somebody_who_wants_the_table_for_himself_gets_it_and_the_load_is_for_a_retry(
    postgres_db: str, tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plinth.sources.jdbc.address._LOCK_WAIT", "1s")
    writer(postgres_db)(*MAKE_ORDERS)
    owner = threading.Thread(target=writer(postgres_db), args=("ALTER TABLE orders ADD extra int",))

    def opened() -> SparkSession:
        # Ours holds the table, the owner waits for it, and Spark's sessions come after the owner.
        owner.start()
        wait_until(lambda: _count(postgres_db, "SELECT count(*) FROM pg_locks WHERE NOT granted") > 0)
        return spark

    with pytest.raises(SourceUnavailable, match="lock timeout"):
        Twins(tmp_path, postgres_db, opened).by_spark(ORDERS)
    owner.join(timeout=30)
    assert not owner.is_alive() and Twins(tmp_path, postgres_db, lambda: spark).by_spark(ORDERS).rows == 3


@pytest.mark.parametrize("dialect", ["postgres_db", "mariadb_db"])
def test_what_the_driver_says_becomes_an_error_of_ours_without_the_password(
    request: pytest.FixtureRequest, spark: SparkSession, tmp_path: Path, dialect: str
) -> None:
    address = parse_address(request.getfixturevalue(dialect))
    whole = JdbcRead(endpoint(address), "SELECT 1 AS a FROM gone", {"a": "INT"}, "SELECT 1")
    engine, folder = SparkEngine(lambda: spark), str(tmp_path / "landed")
    with pytest.raises(SourceUnreadable, match="gone"):
        land(engine, address, whole, folder)
    wrong = replace(whole.endpoint, properties={**whole.endpoint.properties, "password": "not-" + PASSWORD})
    with pytest.raises(SourceUnreadable, match="refused the platform's user") as refused:
        land(engine, address, replace(whole, endpoint=wrong), folder)
    missing = replace(whole.endpoint, driver="org.nowhere.Driver", package="org.nowhere:driver:1")
    with pytest.raises(DriverMissing, match=r"org\.nowhere:driver:1") as driver:
        land(engine, address, replace(whole, endpoint=missing), folder)
    closed = replace(address, port=1)
    with pytest.raises(SourceUnavailable) as down:
        land(engine, closed, replace(whole, endpoint=endpoint(closed)), folder)
    for error in (refused, driver, down):
        assert PASSWORD not in "".join(traceback.format_exception(error.value))
    assert PASSWORD not in repr(whole) and not (tmp_path / "landed").exists()
    there = replace(whole, query="SELECT 1 AS a")
    properties = {**there.endpoint.properties, "driver": there.endpoint.driver}
    shown = spark.read.jdbc(there.endpoint.url, f"({there.query}) plinth_rows", properties=properties)
    # What its pages and its log of events have of a query.
    assert PASSWORD not in shown._jdf.queryExecution().toString()  # type: ignore[operator]
