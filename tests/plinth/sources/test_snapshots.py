"""Everything read within a snapshot is from one moment, whatever others commit in between."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from plinth.engine import load_extension
from plinth.sources import open_url
from tests.plinth.sources.landing import connection, contract, land, shared, stage
from tests.plinth.sources.writers import sqlite_writer, writer

pytestmark = pytest.mark.slow

DATABASES = ["postgres_db", "mariadb_db", "sqlite_db"]
ORDERS = contract("orders", "id total upd", cursor="upd")
PARTS = contract("parts", "id v")
SETUP = (
    "CREATE TABLE orders (id int PRIMARY KEY, total int, upd int)",
    "INSERT INTO orders VALUES (1, 10, 100), (2, 20, 200)",
    "CREATE TABLE parts (id int PRIMARY KEY, v int)",
    "INSERT INTO parts VALUES (1, 1), (2, 2)",
)
CHANGE = (
    "INSERT INTO orders VALUES (3, 30, 300)",
    "UPDATE orders SET total = 11, upd = 301 WHERE id = 1",
    "DELETE FROM orders WHERE id = 2",
    "DELETE FROM parts",
)


@pytest.mark.parametrize("batches", [False, True], ids=["scan", "batches"])
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
@pytest.mark.parametrize("dialect", DATABASES)
def test_rows_counts_keys_and_watermark_are_of_one_moment(
    request: pytest.FixtureRequest, tmp_path: Path, dialect: str, strict: bool, batches: bool
) -> None:
    url = request.getfixturevalue(dialect)
    writer(url)(*SETUP)
    if dialect == "sqlite_db":
        writer(url)("PRAGMA journal_mode = wal")
    source, con = open_url(url, force_batches=batches), shared()
    with source.snapshot(con, (ORDERS, PARTS)) as snapshot:
        first = stage(con, snapshot, ORDERS, tmp_path, strict=strict)
        writer(url)(*CHANGE)
        assert snapshot.count(ORDERS) == 2
        assert snapshot.watermark(ORDERS) == "200"
        assert sorted(con.execute(snapshot.keys(ORDERS).sql).fetchall()) == [(1,), (2,)]
        assert stage(con, snapshot, ORDERS, tmp_path, strict=strict).rows == first.rows == [(1, 10, 100), (2, 20, 200)]
        assert stage(con, snapshot, PARTS, tmp_path, strict=strict).rows == [(1, 1), (2, 2)]
        assert snapshot.count(PARTS) == 2
    with source.snapshot(con, (ORDERS,)) as snapshot:
        assert stage(con, snapshot, ORDERS, tmp_path, strict=strict).rows == [(1, 11, 301), (3, 30, 300)]
        assert snapshot.watermark(ORDERS) == "301"
    source.close()


def test_a_snapshot_of_mariadb_holds_where_the_server_defaults_to_read_committed(
    mariadb_db: str, tmp_path: Path
) -> None:
    write = writer(mariadb_db)
    write(*SETUP, "SET GLOBAL tx_isolation = 'READ-COMMITTED'")
    try:
        con = connection()
        with open_url(mariadb_db).snapshot(con) as snapshot:
            assert snapshot.count(ORDERS) == 2
            write(*CHANGE)
            assert stage(con, snapshot, ORDERS, tmp_path).rows == [(1, 10, 100), (2, 20, 200)]
    finally:
        write("SET GLOBAL tx_isolation = 'REPEATABLE-READ'")


def test_sqlite_without_a_log_holds_commits_back_until_the_snapshot_ends(sqlite_db: str, tmp_path: Path) -> None:
    path = sqlite_db.removeprefix("sqlite:///")
    sqlite_writer(path)(*SETUP)
    con = connection()
    with open_url(sqlite_db).snapshot(con) as snapshot:
        assert snapshot.count(ORDERS) == 2
        with pytest.raises(BlockingIOError, match="locked"):
            sqlite_writer(path)(*CHANGE)
        assert stage(con, snapshot, ORDERS, tmp_path).rows == [(1, 10, 100), (2, 20, 200)]
    sqlite_writer(path)(*CHANGE)
    assert land(sqlite_db, ORDERS, tmp_path).rows == [(1, 11, 301), (3, 30, 300)]


def test_a_large_postgres_table_is_scanned_in_parallel_under_one_snapshot(postgres_db: str, tmp_path: Path) -> None:
    writer(postgres_db)(
        "CREATE TABLE parts AS SELECT i AS id, 1 AS v FROM generate_series(1, 300000) i",
    )
    con = connection()
    load_extension(con, "postgres_scanner")
    con.execute("SET pg_pages_per_task = 100")
    with open_url(postgres_db).snapshot(con) as snapshot:
        assert snapshot.count(PARTS) == 300_000
        writer(postgres_db)("UPDATE parts SET v = 2 WHERE id % 3 = 0", "DELETE FROM parts WHERE id % 3 = 1")
        relation = snapshot.relation(PARTS)
        assert con.execute(f"SELECT count(*), sum(v), count(DISTINCT id) FROM ({relation.sql})").fetchone() == (
            300_000,
            300_000,
            300_000,
        )


@pytest.mark.parametrize("dialect", DATABASES)
def test_a_snapshot_leaves_nothing_behind_in_duckdb(
    request: pytest.FixtureRequest, tmp_path: Path, dialect: str
) -> None:
    url = request.getfixturevalue(dialect)
    writer(url)(*SETUP)
    con = connection()

    def left() -> list[tuple[str]]:
        return con.execute(
            "SELECT name FROM duckdb_secrets() UNION ALL SELECT database_name FROM duckdb_databases() "
            "UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1"
        ).fetchall()

    before = left()
    for strict in (True, False):
        with open_url(url).snapshot(con) as snapshot:
            stage(con, snapshot, PARTS, tmp_path, strict=strict)
    with pytest.raises(RuntimeError, match="on purpose"), open_url(url).snapshot(con):
        raise RuntimeError("on purpose")
    with pytest.raises(duckdb.ConversionException), open_url(url).snapshot(con) as snapshot:
        con.execute("SELECT CAST('x' AS INTEGER)")
    assert left() == before
    con.execute("BEGIN")
    con.execute("ROLLBACK")


@pytest.mark.parametrize("dialect", DATABASES)
def test_nothing_can_be_written_through_a_snapshot(request: pytest.FixtureRequest, dialect: str) -> None:
    url = request.getfixturevalue(dialect)
    writer(url)(*SETUP)
    attached = {"postgres_db": "plinth_postgres.public", "sqlite_db": "plinth_sqlite.main"}
    attached["mariadb_db"] = f'plinth_mysql."{url.rpartition("/")[2]}"'
    con = connection()
    with pytest.raises(duckdb.Error, match=r"(?i)read.only"), open_url(url).snapshot(con):
        con.execute(f"DELETE FROM {attached[dialect]}.parts")
    with open_url(url).snapshot(con) as snapshot:
        assert snapshot.count(PARTS) == 2
