"""Incremental reads give exactly the rows of the cursor value or later, and use its index."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from plinth.errors import ContractError
from plinth.sources import open_url
from tests.plinth.sources.landing import connection, contract, land, shared, stage
from tests.plinth.sources.writers import writer

pytestmark = pytest.mark.slow

# database, type of the cursor, values as SQL, lower bound, ids of the rows that are due
CURSORS: list[tuple[str, str, list[str], str, list[int]]] = [
    ("postgres_db", "timestamp", ["'2020-01-01 00:00:00.000001'", "'2020-01-01 00:00:00.000002'", "NULL"], "2020-01-01 00:00:00.000002", [1]),
    ("postgres_db", "timestamptz", ["'2020-01-01 00:00+01'", "'2020-01-01 00:00+00'"], "2020-01-01 00:00:00+00:00", [1]),
    ("postgres_db", "timestamptz", ["'2020-01-01 00:00+01'", "'2020-01-01 00:00+00'"], "2020-01-01T01:00:00+02:00", [0, 1]),
    ("postgres_db", "date", ["'2020-01-01'", "'2020-01-02'"], "2020-01-02", [1]),
    ("postgres_db", "bigint", ["9223372036854775806", "9223372036854775807"], "9223372036854775807", [1]),
    ("postgres_db", "numeric(30,2)", ["1.01", "1.02"], "1.02", [1]),
    ("postgres_db", "varchar(9)", ["'a'", "'it''s'"], "it's", [1]),
    ("mariadb_db", "datetime(6)", ["'2020-01-01 00:00:00.000001'", "'2020-01-01 00:00:00.000002'", "NULL"], "2020-01-01 00:00:00.000002", [1]),
    ("mariadb_db", "timestamp(6) NULL", ["'2020-01-01 00:00:00.5'", "'2020-01-01 00:00:01'"], "2020-01-01 00:00:01+00:00", [1]),
    ("mariadb_db", "date", ["'2020-01-01'", "'2020-01-02'"], "2020-01-02", [1]),
    ("mariadb_db", "bigint unsigned", ["18446744073709551614", "18446744073709551615"], "18446744073709551615", [1]),
    ("mariadb_db", "decimal(30,2)", ["1.01", "1.02"], "1.02", [1]),
    ("mariadb_db", "varchar(9)", ["'a'", "'it''s'"], "it's", [1]),
    ("sqlite_db", "DATETIME", ["'2020-01-01 23:59:59'", "'2020-01-02T00:00:00'", "'2020-01-02 00:00:00.5'", "1577923199", "1577923200",
                               "2458850.4", "2458850.75", "NULL"], "2020-01-02 00:00:00", [1, 2, 4, 6]),
    ("sqlite_db", "DATE", ["'2020-01-01'", "'2020-01-02'"], "2020-01-02", [1]),
    ("sqlite_db", "INTEGER", ["9223372036854775806", "9223372036854775807"], "9223372036854775807", [1]),
    ("sqlite_db", "DECIMAL(10,2)", ["1.01", "1.02"], "1.02", [1]),
    ("sqlite_db", "TEXT", ["'a'", "'it''s'"], "it's", [1]),
]  # fmt: skip


@pytest.mark.parametrize("batches", [False, True], ids=["scan", "batches"])
@pytest.mark.parametrize(
    ("dialect", "kind", "values", "since", "due"), CURSORS, ids=[f"{row[0]}-{row[1]}" for row in CURSORS]
)
def test_exactly_the_rows_of_the_bound_or_later_come(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    dialect: str,
    kind: str,
    values: list[str],
    since: str,
    due: list[int],
    batches: bool,
) -> None:
    if batches and dialect == "sqlite_db" and kind == "DATETIME":
        pytest.skip(
            "several spellings of a time in one column are read by DuckDB's scanner only; use sqlite:/// without batches"
        )
    url = request.getfixturevalue(dialect)
    rows = ", ".join(f"({place}, {value})" for place, value in enumerate(values))
    writer(url)(f"CREATE TABLE t (id int PRIMARY KEY, upd {kind})", f"INSERT INTO t VALUES {rows}")
    table = contract("t", "id upd", cursor="upd")
    for strict in (True, False):
        found = land(open_url(url, force_batches=batches), table, tmp_path, since=since, strict=strict)
        assert [row[0] for row in found.rows] == due
        keys = land(open_url(url, force_batches=batches), table, tmp_path, since=since, strict=strict, columns=("id",))
        assert keys.rows == [(each,) for each in due]


@pytest.mark.parametrize("batches", [False, True], ids=["scan", "batches"])
@pytest.mark.parametrize("dialect", ["postgres_db", "mariadb_db", "sqlite_db"])
@pytest.mark.parametrize("kind", ["timestamp", "int"])
def test_the_watermark_read_back_is_a_bound_that_gives_the_newest_row(
    request: pytest.FixtureRequest, tmp_path: Path, dialect: str, kind: str, batches: bool
) -> None:
    url = request.getfixturevalue(dialect)
    column = "datetime(6)" if (dialect, kind) == ("mariadb_db", "timestamp") else kind
    values = ["'2020-01-01 10:00:00.123456'", "'2020-01-01 10:00:00.5'"] if kind == "timestamp" else ["9", "10"]
    rows = ", ".join(f"({place}, {value})" for place, value in enumerate([*values, "NULL"]))
    writer(url)(f"CREATE TABLE t (id int PRIMARY KEY, upd {column} NULL)", f"INSERT INTO t VALUES {rows}")
    table, con = contract("t", "id upd", cursor="upd"), shared()
    source = open_url(url, force_batches=batches)
    with source.snapshot(con, (table,)) as snapshot:
        highest = snapshot.watermark(table)
        assert [row[0] for row in stage(con, snapshot, table, tmp_path, since=highest).rows] == [1]
    writer(url)("DELETE FROM t")
    with source.snapshot(con, (table,)) as snapshot:
        assert snapshot.watermark(table) is None
    source.close()


def test_infinity_never_becomes_a_watermark(postgres_db: str) -> None:
    writer(postgres_db)(
        "CREATE TABLE t (id int, upd timestamp)", "INSERT INTO t VALUES (1, '2020-01-01'), (2, 'infinity')"
    )
    with open_url(postgres_db).snapshot(shared()) as snapshot:
        assert snapshot.watermark(contract("t", "id upd", cursor="upd")) == "2020-01-01 00:00:00"


def test_a_row_whose_cursor_does_not_cast_is_put_aside_and_not_overlooked(sqlite_db: str, tmp_path: Path) -> None:
    writer(sqlite_db)(
        "CREATE TABLE t (id INTEGER, upd DATETIME)", "INSERT INTO t VALUES (1, 'yesterday'), (2, '2020-01-01')"
    )
    table = contract("t", "id upd", cursor="upd")
    found = land(sqlite_db, table, tmp_path, since="2020-01-01 00:00:00", strict=False)
    assert found.rows == [(1, None), (2, "2020-01-01 00:00:00")]
    assert found.rejects == [{"upd": {"value": "yesterday", "rule": "upd_type"}}, {}]


def test_an_increment_without_a_cursor_in_the_contract_is_refused(sqlite_db: str, tmp_path: Path) -> None:
    writer(sqlite_db)("CREATE TABLE t (id INTEGER)")
    with pytest.raises(ContractError, match="no cursor"):
        land(sqlite_db, contract("t", "id"), tmp_path, since="1")


def plan_of(url: str, sql: str) -> str:
    """What the server would do for the query that a snapshot sends."""
    from tests.plinth.sources.test_mariadb_types import cursor_of

    if url.startswith("mariadb"):
        with cursor_of(url) as cursor:
            cursor.execute(f"EXPLAIN {sql}")
            return str(cursor.fetchall())
    import psycopg

    with psycopg.connect(url) as con:
        return str(con.execute(f"EXPLAIN {sql}".encode()).fetchall())


def test_postgres_serves_an_increment_by_the_index_in_one_query(postgres_db: str, tmp_path: Path) -> None:
    writer(postgres_db)(
        "CREATE TABLE t AS SELECT i AS id, timestamp '2020-01-01' + i * interval '1 second' AS upd FROM generate_series(1, 50000) i",
        "CREATE INDEX ON t (upd)",
        "ANALYZE t",
    )
    con = connection()
    with open_url(postgres_db).snapshot(con) as snapshot:
        relation = snapshot.relation(contract("t", "id upd", cursor="upd"), since="2020-01-01 13:53:19")
        sent = re.search(r"postgres_query\('\w+', '(.*)'\)\) AS base", relation.sql)
        assert sent is not None
        assert "ctid" not in relation.sql
        assert con.execute(f"SELECT count(*) FROM ({relation.sql})").fetchone() == (2,)
    assert "Index" in plan_of(postgres_db, sent.group(1).replace("''", "'"))


def test_mariadb_serves_an_increment_by_the_index(mariadb_db: str) -> None:
    from tests.plinth.sources.test_mariadb_types import cursor_of

    writer(mariadb_db)(
        "CREATE TABLE t (id int PRIMARY KEY, upd datetime(6), KEY (upd))",
        "INSERT INTO t SELECT seq, timestamp('2020-01-01') + INTERVAL seq SECOND FROM seq_1_to_20000",
        "ANALYZE TABLE t",
    )
    with cursor_of(mariadb_db) as cursor:
        cursor.execute("SET GLOBAL log_output = 'TABLE', GLOBAL general_log = ON")
        try:
            with open_url(mariadb_db).snapshot(shared()) as snapshot:
                table = contract("t", "id upd", cursor="upd")
                relation = snapshot.relation(table, since="2020-01-01 05:33:19.000000")
                assert len(shared().execute(relation.sql).fetchall()) == 2
        finally:
            cursor.execute("SET GLOBAL general_log = OFF")
        cursor.execute("SELECT argument FROM mysql.general_log WHERE argument LIKE '%`upd` >= %'")
        sent = cursor.fetchall()[-1][0]
        cursor.execute("TRUNCATE mysql.general_log")
    assert "range" in plan_of(mariadb_db, sent if isinstance(sent, str) else sent.decode())


def test_sqlite_serves_an_increment_by_the_index(sqlite_db: str) -> None:
    from plinth.sources.sqlite.types import at_least

    writer(sqlite_db)("CREATE TABLE t (id INTEGER PRIMARY KEY, upd DATETIME)", "CREATE INDEX t_upd ON t (upd)")
    import sqlite3

    for delta in ("timestamp_ntz", "timestamp", "date", "long", "string"):
        since = "7" if delta == "long" else "2020-01-02"
        with sqlite3.connect(sqlite_db.removeprefix("sqlite:///")) as con:
            steps: list[Any] = con.execute(
                f"EXPLAIN QUERY PLAN SELECT id FROM t WHERE {at_least('upd', delta, since)}"
            ).fetchall()
        assert any("USING" in step[3] and "INDEX t_upd" in step[3] for step in steps)
        assert not any(step[3].startswith("SCAN") for step in steps)
