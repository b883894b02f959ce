"""Names are quoted: mixed case, spaces, quotes, reserved words and other scripts read in every database, by every way."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from plinth.contracts.model import Column, Table
from plinth.errors import SourceUnreadable
from plinth.sources import open_url
from tests.plinth.sources.landing import connection, land, stage
from tests.plinth.sources.test_mariadb_types import cursor_of

TABLES = [
    "Mixed Case",
    "select",
    'double"quote',
    "it's",
    "日本語",
    "semi;colon--",
    "back`tick",
    "per%cent",
    "back\\slash",
]
COLUMNS = ["ID", "from", "Größe €", 'a"b', "c'd", "e`f", "g;h", "i.j", "k%l"]

pytestmark = pytest.mark.slow


def sqlite_writer(url: str) -> Callable[[str], Any]:
    def run(sql: str) -> None:
        with sqlite3.connect(url.removeprefix("sqlite:///")) as con:
            con.execute(sql)
        con.close()

    return run


def postgres_writer(url: str) -> Callable[[str], Any]:
    def run(sql: str) -> None:
        with psycopg.connect(url, autocommit=True) as con:
            con.execute(sql.encode())

    return run


def mariadb_writer(url: str) -> Callable[[str], Any]:
    def run(sql: str) -> None:
        with cursor_of(url) as cursor:
            cursor.execute(sql)

    return run


WRITERS = {"sqlite_db": sqlite_writer, "postgres_db": postgres_writer, "mariadb_db": mariadb_writer}


def quoted(dialect: str, name: str) -> str:
    mark = "`" if dialect == "mariadb_db" else '"'
    return mark + name.replace(mark, mark * 2) + mark


def table_of(name: str, columns: list[str]) -> Table:
    made = tuple(Column(f"c{place}", each) for place, each in enumerate(columns))
    return Table("legacy", f"t{abs(hash(name))}", name, made, key=("c0",), cursor="c0")


@pytest.mark.parametrize("batches", [False, True], ids=["scan", "batches"])
@pytest.mark.parametrize("dialect", WRITERS)
def test_awkward_names_of_tables_and_columns_are_read(
    request: pytest.FixtureRequest, tmp_path: Path, dialect: str, batches: bool
) -> None:
    url = request.getfixturevalue(dialect)
    write = WRITERS[dialect](url)
    # SQLAlchemy's reading of MySQL's catalogue knows no backtick in a name; the platform's own does.
    foreign = batches and dialect == "mariadb_db"
    tables, columns = ([name for name in names if not (foreign and "`" in name)] for names in (TABLES, COLUMNS))
    listed = ", ".join(f"{quoted(dialect, name)} int" for name in columns)
    row = tuple(range(len(columns)))
    for name in tables:
        write(f"CREATE TABLE {quoted(dialect, name)} ({listed})")
        write(f"INSERT INTO {quoted(dialect, name)} VALUES ({', '.join(map(str, row))})")
    source = open_url(url, force_batches=batches)
    assert {each.name for each in source.describe()} == set(tables)
    with connection() as con, source.snapshot(con) as snapshot:
        for name in tables:
            assert stage(con, snapshot, table_of(name, columns), tmp_path).rows == [row]
            assert stage(con, snapshot, table_of(name, columns), tmp_path, since="0").rows == [row]
    assert source.probe(table_of(tables[-1], columns)).rows == 1
    source.close()


@pytest.mark.parametrize("dialect", ["postgres_db", "mariadb_db"])
def test_names_that_differ_by_case_only_are_not_confused(
    request: pytest.FixtureRequest, tmp_path: Path, dialect: str
) -> None:
    url = request.getfixturevalue(dialect)
    write = WRITERS[dialect](url)
    for name, value in (("Orders", 1), ("orders", 2), ("ORDERS", 3)):
        write(f"CREATE TABLE {quoted(dialect, name)} (id int)")
        write(f"INSERT INTO {quoted(dialect, name)} VALUES ({value})")
    for name, value in (("Orders", 1), ("orders", 2), ("ORDERS", 3)):
        assert land(url, table_of(name, ["id"]), tmp_path).rows == [(value,)]


def test_columns_that_differ_by_case_only_are_not_confused(postgres_db: str, tmp_path: Path) -> None:
    write = postgres_writer(postgres_db)
    write('CREATE TABLE t (a int, "A" int, "a b" int)')
    write("INSERT INTO t VALUES (1, 2, 3)")
    assert land(postgres_db, table_of("t", ["a", "A", "a b"]), tmp_path).rows == [(1, 2, 3)]


def test_schemas_are_told_apart(postgres_db: str, tmp_path: Path) -> None:
    write = postgres_writer(postgres_db)
    for place, schema in enumerate(("Sales", "Old Sales")):
        write(f'CREATE SCHEMA "{schema}"')
        write(f'CREATE TABLE "{schema}"."T" AS SELECT {place} AS id')
    for place, schema in enumerate(("Sales", "Old Sales")):
        table = Table("legacy", "t", "T", (Column("id", "id"),), physical_schema=schema)
        assert land(postgres_db, table, tmp_path).rows == [(place,)]
    with pytest.raises(SourceUnreadable, match=r"Old Sales\.T, Sales\.T"):
        open_url(postgres_db).describe_table(table_of("T", ["id"]))


@pytest.mark.parametrize("dialect", WRITERS)
def test_a_table_that_is_not_there_is_answered_with_near_names(request: pytest.FixtureRequest, dialect: str) -> None:
    url = request.getfixturevalue(dialect)
    WRITERS[dialect](url)(
        "CREATE TABLE CUSTMAS (id int)" if dialect != "postgres_db" else 'CREATE TABLE "CUSTMAS" (id int)'
    )
    for wrong in ("custmas", "CUSTMASS"):
        with pytest.raises(SourceUnreadable, match="CUSTMAS") as caught:
            open_url(url).describe_table(table_of(wrong, ["id"]))
        assert not caught.value.transient


@pytest.mark.parametrize("dialect", WRITERS)
def test_a_column_that_is_not_there_is_answered_with_near_names(
    request: pytest.FixtureRequest, tmp_path: Path, dialect: str
) -> None:
    url = request.getfixturevalue(dialect)
    WRITERS[dialect](url)("CREATE TABLE t (custno int)")
    with pytest.raises(SourceUnreadable, match="near names: custno"):
        land(url, table_of("t", ["custnr"]), tmp_path)
