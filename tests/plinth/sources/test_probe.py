"""A probe changes when a table does, and stays when it does not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from plinth.contracts.model import Table
from plinth.sources import Probe, Source, open_url
from tests.plinth.sources.landing import contract
from tests.plinth.sources.test_mariadb_types import cursor_of
from tests.plinth.sources.writers import writer
from tests.servers import MariaDBServer, PostgresServer

pytestmark = pytest.mark.slow

DATABASES = ["postgres_db", "mariadb_db", "sqlite_db"]


def soon(holds: Callable[[], bool], seconds: float = 15.0) -> bool:
    """Whether it holds within some seconds: PostgreSQL's counters follow a commit, they are no part of it."""
    limit = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def settle(source: Source, table: Table) -> None:
    """Waits until the counters of all that was written have arrived."""
    seen, since = source.probe(table), time.monotonic()
    while time.monotonic() - since < 0.3:
        time.sleep(0.05)
        now = source.probe(table)
        if now != seen:
            seen, since = now, time.monotonic()


def rows_read(url: str) -> int:
    """Rows that the server has read for anybody so far; of SQLite, which does not count them, none."""
    if url.startswith("postgres"):
        with psycopg.connect(url, autocommit=True) as con:
            con.execute("SELECT pg_stat_force_next_flush()")
            row = con.execute("SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables").fetchone()
            return int(row[0]) if row else 0
    if url.startswith("sqlite"):
        return 0
    with cursor_of(url) as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Handler_read_rnd_next'")
        return int(cursor.fetchone()[1])


def test_a_probe_is_the_same_text_for_the_same_look() -> None:
    assert Probe(rows=3, watermark="x").as_text() == Probe(watermark="x", rows=3).as_text()
    assert json.loads(Probe(rows=3).as_text()) == {"rows": 3, "watermark": None, "token": None}


@pytest.mark.parametrize("batches", [False, True], ids=["own", "sqlalchemy"])
@pytest.mark.parametrize("dialect", DATABASES)
def test_with_a_cursor_inserts_updates_and_deletes_show(
    request: pytest.FixtureRequest, dialect: str, batches: bool
) -> None:
    url = request.getfixturevalue(dialect)
    kind = "datetime(6)" if dialect == "mariadb_db" else "timestamp"
    write = writer(url)
    write(f"CREATE TABLE t (id int PRIMARY KEY, upd {kind}, v int)", "INSERT INTO t VALUES (1, '2020-01-01', 1)")
    table = contract("t", "id upd v", cursor="upd")
    source = open_url(url, force_batches=batches)
    seen = [source.probe(table)]
    assert source.probe(table) == seen[0]
    for change in (
        "INSERT INTO t VALUES (2, '2020-01-01', 2)",
        "UPDATE t SET v = 9, upd = '2020-01-02 00:00:00.000001' WHERE id = 1",
        "DELETE FROM t WHERE id = 2",
    ):
        write(change)
        found = source.probe(table)
        assert found not in seen
        seen.append(found)
    source.close()


@pytest.mark.parametrize("dialect", DATABASES)
def test_without_a_cursor_every_change_of_content_shows(request: pytest.FixtureRequest, dialect: str) -> None:
    url = request.getfixturevalue(dialect)
    write, table = writer(url), contract("t", "a b", key=())
    write("CREATE TABLE t (a int, b varchar(9))", "INSERT INTO t VALUES (1, 'x'), (1, 'x'), (2, NULL)")
    source = open_url(url)
    settle(source, table)
    assert source.probe(table) == source.probe(table)
    for change in (
        "UPDATE t SET b = 'y' WHERE a = 2",
        "UPDATE t SET b = 'z' WHERE a = 2",
        "INSERT INTO t VALUES (1, 'x')",
        "DELETE FROM t WHERE a = 2",
        "ALTER TABLE t ADD COLUMN c int DEFAULT 7",
        *(() if dialect == "sqlite_db" else ("TRUNCATE TABLE t",)),
    ):
        kept = source.probe_before(table)
        write(change)
        assert soon(lambda kept=kept: source.probe(table) != kept), change
    source.close()


@pytest.mark.parametrize("dialect", DATABASES)
def test_a_glance_without_a_cursor_does_not_read_the_table(request: pytest.FixtureRequest, dialect: str) -> None:
    url = request.getfixturevalue(dialect)
    write, table = writer(url), contract("t", "a", key=())
    write("CREATE TABLE t (a int)", f"INSERT INTO t VALUES {', '.join(f'({each})' for each in range(9999))}")
    source = open_url(url)
    settle(source, table)
    before, seen = rows_read(url), source.glance(table)
    assert seen is not None and seen == source.glance(table) == source.probe(table)
    assert rows_read(url) - before < 5000, "looking itself costs some rows of the catalogue"
    source.close()


@pytest.mark.parametrize("dialect", ["postgres_db", "mariadb_db"])
def test_a_user_who_may_only_select_can_glance(request: pytest.FixtureRequest, dialect: str) -> None:
    url = request.getfixturevalue(dialect)
    write, parts = writer(url), urlsplit(url)
    name = f"reader_{parts.path[-6:]}"
    write("CREATE TABLE t (a int)")
    if dialect == "postgres_db":
        write(f"CREATE ROLE {name} LOGIN PASSWORD 'only'", f"GRANT SELECT ON t TO {name}")
    else:
        write(f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY 'only'", f"GRANT SELECT ON t TO {name}@'127.0.0.1'")
    reader = open_url(urlunsplit(parts._replace(netloc=f"{name}:only@{parts.hostname}:{parts.port}")))
    assert reader.glance(contract("t", "a", key=())) == open_url(url).glance(contract("t", "a", key=()))
    write(
        *(
            (f"DROP OWNED BY {name}", f"DROP ROLE {name}")
            if dialect == "postgres_db"
            else (f"DROP USER {name}@'127.0.0.1'",)
        )
    )


def test_what_an_open_transaction_of_postgres_has_done_shows_once_it_is_committed(postgres_db: str) -> None:
    write, table, source = writer(postgres_db), contract("t", "a", key=()), open_url(postgres_db)
    write("CREATE TABLE t (a int)")
    settle(source, table)
    with psycopg.connect(postgres_db) as con:
        con.execute("INSERT INTO t VALUES (1)")
        kept = source.probe_before(table)  # a snapshot that is taken now does not show the row
        con.commit()
    assert soon(lambda: source.probe(table) != kept)


def test_a_change_of_a_partition_of_postgres_shows_in_the_table(postgres_db: str) -> None:
    write, table, source = writer(postgres_db), contract("t", "a", key=()), open_url(postgres_db)
    write(
        "CREATE TABLE t (a int) PARTITION BY RANGE (a)",
        "CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE high (a int)",
    )
    for change in ("INSERT INTO low VALUES (1)", "ALTER TABLE t ATTACH PARTITION high FOR VALUES FROM (10) TO (20)"):
        settle(source, table)
        kept = source.probe_before(table)
        write(change)
        assert soon(lambda kept=kept: source.probe(table) != kept), change


def test_a_server_that_lost_its_counters_is_not_taken_for_one_that_saw_no_change(
    postgres_server: PostgresServer, postgres_db: str
) -> None:
    write, table, source = writer(postgres_db), contract("t", "a", key=()), open_url(postgres_db)
    write("CREATE TABLE t (a int)", "SELECT pg_stat_reset()")
    settle(source, table)
    seen = [source.probe(table)]
    write("SELECT pg_stat_reset()")
    seen.append(source.probe(table))
    postgres_server.restart()  # by SIGKILL, after which it counts from zero
    seen.append(source.probe(table))
    assert len({each.token for each in seen}) == 3


def test_a_restart_of_mariadb_which_forgets_its_times_shows(mariadb_server: MariaDBServer, mariadb_db: str) -> None:
    write, table, source = writer(mariadb_db), contract("t", "a", key=()), open_url(mariadb_db)
    write("CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)")
    mariadb_server.restart()
    kept = source.probe_before(table)
    assert source.probe(table) == kept, "nothing was written since the start"
    time.sleep(1.0)  # a start is told by its second
    write("UPDATE t SET a = 2")
    mariadb_server.restart()
    assert source.probe(table) != kept


@pytest.mark.parametrize(
    ("dialect", "made"),
    [
        ("postgres_db", "CREATE VIEW v AS SELECT * FROM t"),
        ("mariadb_db", "CREATE VIEW v AS SELECT * FROM t"),
        ("mariadb_db", "CREATE TABLE v (a int) PARTITION BY HASH (a) PARTITIONS 2"),
        ("mariadb_db", "CREATE TABLE v (a int) ENGINE = MEMORY"),
    ],
)
def test_what_the_server_tells_nothing_of_has_no_glance_and_is_read(
    request: pytest.FixtureRequest, dialect: str, made: str
) -> None:
    url = request.getfixturevalue(dialect)
    write, table, source = writer(url), contract("v", "a", key=()), open_url(url)
    write("CREATE TABLE t (a int)", made)
    before = source.probe(table)
    assert source.glance(table) is None
    write(f"INSERT INTO {'t' if 'VIEW' in made else 'v'} VALUES (1)")
    assert source.probe(table) != before


def test_a_commit_that_only_stands_in_the_log_of_sqlite_shows(sqlite_db: str) -> None:
    import sqlite3

    con = sqlite3.connect(sqlite_db.removeprefix("sqlite:///"), isolation_level=None)
    con.execute("PRAGMA journal_mode = wal")
    con.execute("CREATE TABLE t (a int)")
    source, table = open_url(sqlite_db), contract("t", "a", key=())
    before = source.probe(table)
    con.execute(
        "INSERT INTO t VALUES (1)"
    )  # the connection stays open, so nothing is copied from the log into the file
    assert source.probe(table) != before
    con.close()
    source.close()


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize("dialect", DATABASES)
@pytest.mark.parametrize("far", ["9999-12-31", "2204-05-06"])
def test_a_row_that_is_ahead_of_the_clock_hides_no_change_from_a_look(
    request: pytest.FixtureRequest, dialect: str, far: str, batches: bool
) -> None:
    url = request.getfixturevalue(dialect)
    write, table = writer(url), contract("t", "id upd", cursor="upd")
    write(
        "CREATE TABLE t (id int PRIMARY KEY, upd timestamp)"
        if dialect != "mariadb_db"
        else "CREATE TABLE t (id int PRIMARY KEY, upd datetime)"
    )
    source = open_url(url, force_batches=batches)
    write(f"INSERT INTO t VALUES (1, '2024-01-01 00:00:00'), (2, '{far} 00:00:00')")
    before = source.probe(table)
    assert source.probe(table) == before
    write("UPDATE t SET upd = '2024-02-01 00:00:00' WHERE id = 1")
    assert source.probe(table) != before
    source.close()


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize("dialect", DATABASES)
@pytest.mark.parametrize("kind", ["int", "bigint", "decimal(8,0)", "varchar(8)"])
def test_a_number_of_nines_for_never_hides_no_change_from_a_look(
    request: pytest.FixtureRequest, dialect: str, kind: str, batches: bool
) -> None:
    url = request.getfixturevalue(dialect)
    write, table = writer(url), contract("t", "id upd", cursor="upd")
    write(f"CREATE TABLE t (id int PRIMARY KEY, upd {kind})", "INSERT INTO t VALUES (1, 20240101), (2, 99999999)")
    source = open_url(url, force_batches=batches)
    before = source.probe(table)
    assert source.probe(table) == before and before.watermark == "99999999"
    assert before.token == "20240101"
    write("UPDATE t SET upd = 20240201 WHERE id = 1")
    assert source.probe(table) != before
    source.close()


def test_an_empty_table_has_no_watermark(postgres_db: str, mariadb_db: str, sqlite_db: str) -> None:
    for url in (postgres_db, mariadb_db, sqlite_db):
        writer(url)("CREATE TABLE t (id int)")
        assert open_url(url).probe(contract("t", "id", cursor="id")) == Probe(rows=0)
