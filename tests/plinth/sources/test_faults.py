"""Faults of a source: each is told as what it is, with what to do and without a password, and none lets half a table pass for a whole one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pymysql
import pytest

from plinth.engine import literal
from plinth.errors import PlinthError, SourceUnavailable, SourceUnreadable
from plinth.sources import Source, open_url
from tests.plinth.sources.landing import connection, contract, land, shared
from tests.plinth.sources.test_mariadb_types import cursor_of
from tests.plinth.sources.writers import writer
from tests.servers import MariaDBServer, PostgresServer
from tests.servers.process import PASSWORD

pytestmark = pytest.mark.slow

TABLE = contract("t", "id v", cursor="id")
SERVERS = ["postgres", "mariadb"]
AWKWARD = "it's a \\ pässword"


def all_looks(source: Source, folder: Path) -> list[Callable[[], Any]]:
    """Everything that asks the database."""
    return [
        lambda: source.describe(),
        lambda: source.describe_table(TABLE),
        lambda: source.probe(TABLE),
        lambda: land(source, TABLE, folder),
        lambda: land(source, TABLE, folder, strict=False),
    ]


def check_silence(error: PlinthError, *secrets: str) -> None:
    """The message and all that led to it hold none of the secrets."""
    seen: BaseException | None = error
    shown = [str(seen), repr(seen)]
    assert not any(secret in text for secret in secrets for text in shown)


@pytest.mark.parametrize("batches", [False, True], ids=["scan", "batches"])
@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_is_not_there_is_unavailable_and_worth_a_retry(
    tmp_path: Path, scheme: str, batches: bool
) -> None:
    source = open_url(f"{scheme}://u:{quote(PASSWORD, safe='')}@127.0.0.1:1/db", force_batches=batches)
    for look in all_looks(source, tmp_path):
        with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:1/db") as caught:
            look()
        assert caught.value.transient
        assert caught.value.remedy
        check_silence(caught.value, PASSWORD, quote(PASSWORD, safe=""))


@pytest.mark.parametrize("batches", [False, True], ids=["scan", "batches"])
@pytest.mark.parametrize("server", SERVERS)
def test_a_wrong_password_or_database_is_no_passing_fault(
    request: pytest.FixtureRequest, tmp_path: Path, server: str, batches: bool
) -> None:
    url = request.getfixturevalue(f"{server}_db")
    parts = urlsplit(url)
    wrong = f"{parts.scheme}://plinth:wrong-secret@127.0.0.1:{parts.port}{parts.path}"
    for given in (wrong, url.rpartition("/")[0] + "/no_such_db"):
        for look in all_looks(open_url(given, force_batches=batches), tmp_path):
            with pytest.raises(SourceUnreadable) as caught:
                look()
            assert not caught.value.transient
            check_silence(caught.value, "wrong-secret", PASSWORD, quote(PASSWORD, safe=""))


@pytest.mark.parametrize("batches", [False, True], ids=["scan", "batches"])
def test_awkward_passwords_and_users_connect(
    postgres_server: PostgresServer, mariadb_server: MariaDBServer, tmp_path: Path, batches: bool
) -> None:
    postgres, maria = postgres_server.new_database(), mariadb_server.new_database()
    for url in (postgres, maria):
        writer(url)("CREATE TABLE t (id int, v int)", "INSERT INTO t VALUES (1, 2)")
    user = "us'er na@me"
    secret = AWKWARD.replace("'", "''")
    writer(postgres)(f"CREATE USER \"{user}\" PASSWORD '{secret}'", f'GRANT SELECT ON t TO "{user}"')
    quoted = secret.replace("\\", "\\\\")
    writer(maria)(
        f"CREATE USER `{user}`@'127.0.0.1' IDENTIFIED BY '{quoted}'", f"GRANT ALL ON *.* TO `{user}`@'127.0.0.1'"
    )
    try:
        for url in (postgres, maria):
            parts = urlsplit(url)
            login = f"{quote(user, safe='')}:{quote(AWKWARD, safe='')}"
            given = f"{parts.scheme}://{login}@127.0.0.1:{parts.port}{parts.path}"
            source = open_url(given, force_batches=batches)
            assert land(source, contract("t", "id v"), tmp_path).rows == [(1, 2)]
    finally:
        writer(maria)(f"DROP USER `{user}`@'127.0.0.1'")
        writer(postgres)(f'DROP OWNED BY "{user}"', f'DROP USER "{user}"')
        postgres_server.drop_database(postgres)
        mariadb_server.drop_database(maria)


def test_unix_sockets_are_taken_from_the_query(
    postgres_server: PostgresServer, mariadb_server: MariaDBServer, postgres_db: str, mariadb_db: str, tmp_path: Path
) -> None:
    login = f"plinth:{quote(PASSWORD, safe='')}"
    for url, address in (
        (postgres_db, f"?host={postgres_server.folder}&port={postgres_server.port}"),
        (mariadb_db, f"?unix_socket={mariadb_server.socket}"),
    ):
        writer(url)("CREATE TABLE t (id int, v int)", "INSERT INTO t VALUES (1, 2)")
        parts = urlsplit(url)
        found = land(f"{parts.scheme}://{login}@{parts.path}{address}", contract("t", "id v"), tmp_path)
        assert found.rows == [(1, 2)]


def test_a_user_without_a_grant_is_told_so(postgres_db: str, mariadb_db: str, tmp_path: Path) -> None:
    for url, grantee in ((postgres_db, "nobody_pg"), (mariadb_db, "nobody_my@'127.0.0.1'")):
        maria = url.startswith("mariadb")
        create = "IDENTIFIED BY" if maria else "PASSWORD"
        writer(url)("CREATE TABLE t (id int, v int)", f"CREATE USER {grantee} {create} 'pw'")
        try:
            parts = urlsplit(url)
            name = grantee.partition("@")[0]
            with pytest.raises(SourceUnreadable) as caught:
                land(f"{parts.scheme}://{name}:pw@127.0.0.1:{parts.port}{parts.path}", TABLE, tmp_path)
            assert "grants" in str(caught.value) or "let the platform's user see" in str(caught.value)
        finally:
            writer(url)(f"DROP USER {grantee}")


@pytest.fixture
def slow_view(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """A view whose rows take 50 s, so that something can happen while it is read."""

    def make(server: str) -> str:
        url = str(request.getfixturevalue(f"{server}_db"))
        rows = "generate_series(1, 5000) id" if server == "postgres" else "seq_1_to_5000"
        number, wait = ("id", "pg_sleep(0.01)::text") if server == "postgres" else ("seq", "sleep(0.01)")
        writer(url)(f"CREATE VIEW t AS SELECT {number} AS id, {wait} AS v FROM {rows}")
        return url

    return make


def cut(url: str, server: PostgresServer | MariaDBServer, way: str) -> None:
    """Waits until a read of the slow view is under way, and cuts it off."""
    database = urlsplit(url).path[1:]
    for _ in range(1000):  # the read may have failed before; then there is nothing to wait for
        if under_way(url, database):
            break
        time.sleep(0.02)
    if way == "connection":
        server.terminate_others(database)
    else:
        server.kill()


def under_way(url: str, database: str) -> bool:
    """Whether somebody reads the slow view now."""
    if url.startswith("postgres"):
        import psycopg

        with psycopg.connect(url.rpartition("/")[0] + "/postgres") as con:
            sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"
            row = con.execute(sql, (database,)).fetchone()
            return bool(row and row[0])
    with cursor_of(url) as cursor:
        cursor.execute(
            "SELECT count(*) FROM information_schema.processlist WHERE db = %s AND state = 'User sleep'", (database,)
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.parametrize("batches", [False, True], ids=["scan", "batches"])
@pytest.mark.parametrize("way", ["connection", "server"])
@pytest.mark.parametrize("server", SERVERS)
def test_a_read_that_is_cut_off_fails_as_unavailable_and_never_ends_as_if_complete(
    request: pytest.FixtureRequest,
    slow_view: Callable[[str], str],
    tmp_path: Path,
    server: str,
    way: str,
    batches: bool,
) -> None:
    url, handle = slow_view(server), request.getfixturevalue(f"{server}_server")
    table = contract("t", {"id": "long", "v": "string"})
    source, con = open_url(url, force_batches=batches), connection()
    thief = threading.Thread(target=cut, args=(url, handle, way))

    def read() -> None:
        with source.snapshot(con, (table,)) as snapshot:
            relation = snapshot.relation(table)
            thief.start()
            con.execute(f"COPY ({relation.sql}) TO {literal(str(tmp_path / 'half.parquet'))} (FORMAT parquet)")

    try:
        with pytest.raises(SourceUnavailable) as caught:
            read()
    finally:
        thief.join()
        if way == "server":
            handle.restart()
    assert caught.value.transient
    check_silence(caught.value, PASSWORD, quote(PASSWORD, safe=""))
    # The connection that DuckDB had its transaction in serves the next read.
    con.execute("BEGIN")
    con.execute("ROLLBACK")


@pytest.mark.parametrize("server", SERVERS)
def test_a_source_reads_again_once_its_server_is_back(
    request: pytest.FixtureRequest, tmp_path: Path, server: str
) -> None:
    url = request.getfixturevalue(f"{server}_db")
    handle = request.getfixturevalue(f"{server}_server")
    writer(url)("CREATE TABLE t (id int, v int)", "INSERT INTO t VALUES (1, 2)")
    source = open_url(url)
    assert land(source, TABLE, tmp_path).rows == [(1, 2)]
    handle.kill()
    try:
        with pytest.raises(SourceUnavailable):
            land(source, TABLE, tmp_path)
    finally:
        handle.start()
    assert land(source, TABLE, tmp_path).rows == [(1, 2)]


def test_a_lock_that_outlasts_the_servers_patience_is_a_passing_fault(mariadb_db: str, tmp_path: Path) -> None:
    writer(mariadb_db)("CREATE TABLE t (id int, v int)", "SET GLOBAL lock_wait_timeout = 1")
    try:
        with cursor_of(mariadb_db) as cursor:
            cursor.execute("LOCK TABLES t WRITE")
            with pytest.raises(SourceUnavailable):
                land(mariadb_db, contract("t", "id v"), tmp_path)
    except pymysql.err.OperationalError:
        pytest.fail("the lock was lost")
    finally:
        writer(mariadb_db)("SET GLOBAL lock_wait_timeout = 86400")


def test_an_sqlite_file_that_is_none_is_told_so(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("this is no database, but it is long enough to look like one" * 100)
    with pytest.raises(SourceUnreadable, match=r"(?i)not a database"):
        open_url(f"sqlite:///{file}").describe()


def test_an_error_of_the_caller_leaves_a_snapshot_as_it_is(sqlite_db: str) -> None:
    writer(sqlite_db)("CREATE TABLE t (id INTEGER)")
    with pytest.raises(KeyError, match="mine"), open_url(sqlite_db).snapshot(shared()):
        raise KeyError("mine")


@pytest.mark.parametrize("dialect", ["postgres_db", "mariadb_db", "sqlite_db"])
def test_a_type_that_cannot_become_the_contracts_is_refused_before_reading(
    request: pytest.FixtureRequest, tmp_path: Path, dialect: str
) -> None:
    url = request.getfixturevalue(dialect)
    kind = {"postgres_db": "bytea"}.get(dialect, "blob")
    writer(url)(f"CREATE TABLE t (id int, v {kind})")
    if dialect == "sqlite_db":
        pytest.skip("SQLite's columns hold any type, so each value is tried: see the lenient reads")
    with pytest.raises(SourceUnreadable, match="cannot become date"):
        land(url, contract("t", {"id": None, "v": "date"}), tmp_path)
