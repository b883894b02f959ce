"""A probe changes when a table does, and stays when it does not."""

from __future__ import annotations

import json

import pytest

from plinth.sources import Probe, open_url
from tests.plinth.sources.landing import contract
from tests.plinth.sources.writers import writer

pytestmark = pytest.mark.slow

DATABASES = ["postgres_db", "mariadb_db", "sqlite_db"]


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
    seen = [source.probe(table)]
    assert source.probe(table) == seen[0]
    for change in ("UPDATE t SET b = 'y' WHERE a = 2", "INSERT INTO t VALUES (1, 'x')", "DELETE FROM t WHERE a = 2"):
        write(change)
        found = source.probe(table)
        assert found not in seen
        seen.append(found)
    source.close()


def test_without_a_cursor_the_order_of_rows_in_postgres_does_not_matter(postgres_db: str) -> None:
    write, table = writer(postgres_db), contract("t", "a b", key=())
    write("CREATE TABLE t (a int, b text)", "INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    before = open_url(postgres_db).probe(table)
    write("TRUNCATE t", "INSERT INTO t VALUES (2, 'y'), (1, 'x')")
    assert open_url(postgres_db).probe(table) == before


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


def test_an_empty_table_has_no_watermark(postgres_db: str, mariadb_db: str, sqlite_db: str) -> None:
    for url in (postgres_db, mariadb_db, sqlite_db):
        writer(url)("CREATE TABLE t (id int)")
        assert open_url(url).probe(contract("t", "id", cursor="id")) == Probe(rows=0)
