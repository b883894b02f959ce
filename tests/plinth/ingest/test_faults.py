"""Killed, cut off, out of disk or raced by another run: no row is lost or doubled, and the table is as it was or as it should be."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from plinth.contracts.model import Mode
from plinth.errors import SourceUnavailable, StorageFailure
from plinth.ingest import bronze_id, ingest
from plinth.lakehouse.quarantine import held_by_rule, quarantine_id
from plinth.lakehouse.tables import Lakehouse
from plinth.sources import open_url
from tests.servers import PostgresServer

from .conftest import ORDERS, Shop, make_platform

KILLS = 26


class Worker:
    """A load in a process of its own, ready to go."""

    def __init__(self, home: Path, url: str, mode: Mode) -> None:
        command = [sys.executable, "-m", "tests.plinth.ingest.load_worker", str(home), url, mode.value]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None and self.process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def finish(self) -> tuple[int, str]:
        output, _ = self.process.communicate()
        return self.process.returncode, output


def source_rows(path: Path) -> Counter[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT ORDID, CUST, printf('%.2f', AMT), UPDTS FROM ORDERS WHERE AMT >= 0").fetchall()
    connection.close()
    return Counter(rows)


def bronze_rows(shop: Shop, con: duckdb.DuckDBPyConnection) -> Counter[tuple[object, ...]] | None:
    version = shop.lakehouse.find(bronze_id(ORDERS))
    if version is None:
        return None
    return Counter(
        con.execute(f"SELECT order_id, customer, amount::VARCHAR, updated_at::VARCHAR FROM {version.scan}").fetchall()
    )


def change(shop: Shop, draw: random.Random, step: int) -> None:
    """Inserts, updates, deletes and a broken row now and then, all with the clock moving on."""
    moment = f"2024-02-01 {step // 60:02d}:{step % 60:02d}:00"
    connection = sqlite3.connect(shop.path)
    with connection:
        for number in range(300):
            amount = -1 if number == 0 and step % 4 == 0 else round(draw.uniform(0, 900), 2)
            connection.execute(
                "INSERT INTO ORDERS VALUES (?, ?, ?, ?)", (10_000 + step * 1000 + number, f"c{number}", amount, moment)
            )
        known = [row[0] for row in connection.execute("SELECT ORDID FROM ORDERS")]
        for key in draw.sample(known, min(60, len(known))):
            connection.execute(
                "UPDATE ORDERS SET AMT = ?, UPDTS = ? WHERE ORDID = ?", (round(draw.uniform(0, 900), 2), moment, key)
            )
        for key in draw.sample(known, min(5, len(known))):
            connection.execute("DELETE FROM ORDERS WHERE ORDID = ?", (key,))
    connection.close()


@pytest.mark.slow
def test_a_load_killed_at_any_moment_leaves_the_old_rows_or_the_new(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    draw = random.Random(5)
    started = time.monotonic()
    shop.load(quarantine_share=0.5)
    typical = max(0.3, time.monotonic() - started)
    states = [source_rows(shop.path)]
    outcomes: Counter[str] = Counter()
    worker = Worker(shop.lakehouse.platform.home, shop.url, Mode.INCREMENTAL)
    for step in range(KILLS):
        change(shop, draw, step)
        states.append(source_rows(shop.path))
        following = Worker(shop.lakehouse.platform.home, shop.url, Mode.INCREMENTAL) if step + 1 < KILLS else None
        worker.go()
        time.sleep(draw.uniform(0, typical))
        worker.process.kill()
        code, _ = worker.finish()
        rows = bronze_rows(shop, con)
        assert rows in states, "the table is a mixture of two states of the source"
        outcomes["published" if rows == states[-1] else "as it was"] += 1
        if code == 0:
            outcomes["finished first"] += 1
        if following is not None:
            worker = following
    assert outcomes["as it was"] >= 3, f"the kills came too late to prove anything: {outcomes}"
    shop.load(quarantine_share=0.5)
    assert bronze_rows(shop, con) == source_rows(shop.path)
    broken = sqlite3.connect(shop.path).execute("SELECT count(*) FROM ORDERS WHERE AMT < 0").fetchone()[0]
    held = held_by_rule(con, shop.lakehouse.open(quarantine_id(ORDERS)))
    assert held["amount_minimum"] >= broken

    undisturbed = Shop(
        shop.url, shop.path, Lakehouse(make_platform(shop.lakehouse.platform.home / "undisturbed", shop.url))
    )
    undisturbed.load(quarantine_share=0.5)
    assert bronze_rows(undisturbed, con) == bronze_rows(shop, con)


@pytest.mark.slow
def test_concurrent_loads_neither_lose_nor_double_a_row(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    draw = random.Random(6)
    for step in range(3):
        change(shop, draw, step)
        workers = [Worker(shop.lakehouse.platform.home, shop.url, Mode.INCREMENTAL) for _ in range(3)]
        for worker in workers:
            worker.go()
        ends = [worker.finish() for worker in workers]
        assert {code for code, _ in ends} <= {0, 3}, ends
        assert any(code == 0 for code, _ in ends), "one of them has to win"
        assert bronze_rows(shop, con) == source_rows(shop.path)


def test_a_source_that_is_down_says_so_and_changes_nothing(tmp_path: Path, postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    lakehouse = Lakehouse(make_platform(tmp_path, "sqlite:///x"))
    postgres_server.kill()
    try:
        with pytest.raises(SourceUnavailable) as failed:
            ingest(ORDERS, open_url(url), lakehouse)
    finally:
        postgres_server.restart()
    assert failed.value.transient and failed.value.remedy
    assert "postgres" in str(failed.value).lower() and ":p" not in str(failed.value)
    assert lakehouse.find(bronze_id(ORDERS)) is None


@pytest.mark.slow
def test_a_connection_cut_in_mid_read_leaves_the_table_as_it_was(
    tmp_path: Path, postgres_server: PostgresServer, postgres_db: str, con: duckdb.DuckDBPyConnection
) -> None:
    """The view sleeps after some rows, so that the cut comes when part of the table has been read."""
    import threading

    import psycopg

    with psycopg.connect(postgres_db, autocommit=True) as connection:
        connection.execute("CREATE TABLE base (n BIGINT)")
        connection.execute("INSERT INTO base SELECT generate_series(1, 200000)")
        connection.execute(
            'CREATE VIEW "ORDERS" AS SELECT n AS "ORDID", \'c\' || n AS "CUST", 1.00::numeric(10,2) AS "AMT", '
            "timestamp '2024-01-01' + CASE WHEN n = 150000 THEN (SELECT pg_sleep(20) IS NULL)::int ELSE 0 END * interval '1 s' AS \"UPDTS\" FROM base"
        )
    lakehouse = Lakehouse(make_platform(tmp_path, "sqlite:///x"))
    database = postgres_db.rsplit("/", 1)[1].split("?")[0]
    cutter = threading.Timer(3.0, postgres_server.terminate_others, [database])
    cutter.start()
    from dataclasses import replace

    try:
        with pytest.raises(SourceUnavailable):
            ingest(replace(ORDERS, mode=Mode.SNAPSHOT, cursor=None, lookback=0.0), open_url(postgres_db), lakehouse)
    finally:
        cutter.join()
    assert lakehouse.find(bronze_id(ORDERS)) is None
    assert list(Path(lakehouse.uri_of(bronze_id(ORDERS))).rglob("*.parquet")) == []


def test_a_server_that_is_gone_when_an_increment_has_been_read_leaves_the_table_as_it_was(
    tmp_path: Path,
    postgres_server: PostgresServer,
    postgres_db: str,
    con: duckdb.DuckDBPyConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rows wait in a table of the transaction that reads them: cut off at its end, they are gone, and the next run reads them again."""
    import psycopg

    from plinth.sources.postgres.snapshot import PostgresSnapshot

    lakehouse = Lakehouse(make_platform(tmp_path, "sqlite:///x"))
    with psycopg.connect(postgres_db, autocommit=True) as connection:
        connection.execute(
            'CREATE TABLE "ORDERS" ("ORDID" BIGINT PRIMARY KEY, "CUST" TEXT, "AMT" numeric(10,2), "UPDTS" timestamp)'
        )
        connection.execute("INSERT INTO \"ORDERS\" SELECT n, 'c', 1, '2024-01-01' FROM generate_series(1, 5) n")
        ingest(ORDERS, open_url(postgres_db), lakehouse)
        connection.execute("INSERT INTO \"ORDERS\" VALUES (6, 'd', 2, '2024-01-02')")
    database = postgres_db.rsplit("/", 1)[1].split("?")[0]

    def cut(*_: object) -> dict[str, int]:
        postgres_server.terminate_others(database)
        return {}

    with monkeypatch.context() as patched:
        patched.setattr(PostgresSnapshot, "notes", cut)
        with pytest.raises(SourceUnavailable, match="went away while rows"):
            ingest(ORDERS, open_url(postgres_db), lakehouse)
    assert lakehouse.open(bronze_id(ORDERS)).rows == 5
    assert ingest(ORDERS, open_url(postgres_db), lakehouse).inserted == 1
    assert lakehouse.open(bronze_id(ORDERS)).rows == 6


def test_a_full_disk_fails_with_a_remedy_and_leaves_the_table_as_it_was(
    shop: Shop, con: duckdb.DuckDBPyConnection, small_disk: Path
) -> None:
    platform = make_platform(small_disk, shop.url)
    small = Shop(shop.url, shop.path, Lakehouse(platform))
    small.load(quarantine_share=0.5)
    before = bronze_rows(small, con)
    connection = sqlite3.connect(shop.path)
    with connection:
        draw = random.Random(1)
        rows = (
            (n, "".join(draw.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=60)), 1, "2024-03-01 00:00:00")
            for n in range(10**6, 10**6 + 250_000)
        )
        connection.executemany("INSERT INTO ORDERS VALUES (?, ?, ?, ?)", rows)
    connection.close()
    with pytest.raises(StorageFailure, match="as it was") as failed:
        small.load(quarantine_share=0.5)
    assert failed.value.remedy
    assert bronze_rows(small, con) == before
