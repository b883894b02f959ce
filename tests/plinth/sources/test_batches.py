"""Batches give what scans give, bounded in memory, and speak the dialects that are not here."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mssql, mysql, oracle, postgresql, sqlite

from plinth.contracts.model import Column
from plinth.sources import open_url
from plinth.sources.batches.statements import rows_of, send
from plinth.sources.batches.values import as_bytes, as_text
from plinth.sources.catalogue import SourceColumn, SourceTable
from plinth.sources.reading import plan
from tests.plinth.sources.landing import contract, land, shared
from tests.plinth.sources.writers import writer


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("as it is", "as it is"),
        (True, "true"),
        (2**70, str(2**70)),
        (Decimal("1E-12"), "0.000000000001"),
        (Decimal("1E+3"), "1000"),
        (Decimal("NaN"), "NaN"),
        (0.1, "0.1"),
        (5e-324, "5e-324"),
        (datetime(2020, 2, 29, 10, 0, 0, 5), "2020-02-29 10:00:00.000005"),
        (datetime.fromisoformat("2020-02-29T10:00:00+02:00"), "2020-02-29 10:00:00+02:00"),
        (date(2020, 2, 29), "2020-02-29"),
        (time(10, 0, 0, 5), "10:00:00.000005"),
        (timedelta(days=34, hours=22, seconds=59, microseconds=999999), "P34DT22H0M59.999999S"),
        (-timedelta(seconds=1), "-P0DT0H0M1S"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"a": [1, None, "ü"]}, '{"a": [1, null, "ü"]}'),
        (b"text", "text"),
    ],
)
def test_a_value_of_a_driver_has_one_text_that_casts_back(value: Any, text: str | None) -> None:
    assert as_text(value) == text


def test_bytes_are_taken_as_they_are() -> None:
    assert [as_bytes(value) for value in (None, b"\xff", bytearray(b"a"), memoryview(b"b"), "ü")] == [
        None, b"\xff", b"a", b"b", "ü".encode(),
    ]  # fmt: skip


TABLE = contract(
    "INVLINE",
    {"id": "long", "qty": "integer", "upd": Column("upd", "Upd Ts"), "doc": None, "at": None},
    key=("id",),
    cursor="upd",
)


def statement(dialect: sa.Dialect, cursor: str, since: str | None) -> str:
    """The SELECT of a batch read, as the dialect spells it."""
    found = SourceTable(
        "dbo",
        "INVLINE",
        (
            SourceColumn("id", "bigint", False),
            SourceColumn("qty", "int", True),
            SourceColumn("Upd Ts", cursor, True),
            SourceColumn("doc", "xml", True),
            SourceColumn("at", "datetimeoffset(7)", True),
        ),
        ("id",),
        True,
        (),
        (),
        (),
        None,
        None,
    )
    readings = plan(TABLE, found, dialect.name, lambda *given: send(*given, dialect.name, strict=True))
    compiled = rows_of(TABLE, found, readings, dialect, since).compile(
        dialect=dialect, compile_kwargs={"literal_binds": True}
    )
    return " ".join(str(compiled).split())


def test_sql_server_is_asked_in_its_own_words() -> None:
    text = statement(mssql.dialect(), "datetime2(6)", "2020-01-31 08:00:00.000001")
    assert "FROM [dbo].[INVLINE]" in text
    assert "[dbo].[INVLINE].[Upd Ts]" in text
    assert "CAST([dbo].[INVLINE].[doc] AS nvarchar(max))" in text
    assert "CAST([dbo].[INVLINE].[at] AS varchar(34))" in text
    assert ">= '2020-01-31 08:00:00.000001'" in text


def test_oracle_is_asked_in_its_own_words_with_names_in_any_case_as_they_are_meant() -> None:
    text = statement(oracle.dialect(), "timestamp(6)", "2020-01-31 08:00:00.000001")
    assert 'FROM dbo."INVLINE"' in text
    assert '"Upd Ts"' in text
    assert "TO_DATE" in text or "TO_TIMESTAMP" in text or "2020-01-31 08:00:00.000001" in text


@pytest.mark.parametrize(
    ("dialect", "quoted"),
    [
        (mysql.dialect(), "`Upd Ts`"),
        (postgresql.dialect(), '"Upd Ts"'),
        (sqlite.dialect(), '"Upd Ts"'),
        (mssql.dialect(), "[Upd Ts]"),
    ],
    ids=lambda given: getattr(given, "name", None),
)
def test_names_are_quoted_by_every_dialect(dialect: sa.Dialect, quoted: str) -> None:
    assert quoted in statement(dialect, "integer", "5")


@pytest.mark.parametrize("kind", ["decimal(10,2)", "int", "date"])
def test_bounds_are_values_of_the_cursors_type(kind: str) -> None:
    since = {"decimal(10,2)": "5.25", "int": "5", "date": "2020-01-31"}[kind]
    shown = {"decimal(10,2)": ">= 5.25", "int": ">= 5", "date": ">= '2020-01-31'"}[kind]
    assert shown in statement(mssql.dialect(), kind, since)


def test_nanoseconds_that_a_driver_cuts_are_told_in_the_column() -> None:
    for kind, dialect, note in (
        ("datetime2(7)", "mssql", "to the microsecond"),
        ("datetime2(6)", "mssql", ""),
        ("timestamp(9)", "oracle", "to the microsecond"),
    ):
        reading = send(Column("v", "v"), SourceColumn("v", kind, True), "timestamp_ntz", dialect, strict=True)
        assert reading.column.note == note


SAME = {
    "postgres_db": (
        (
            "id int PRIMARY KEY, a numeric(12,4), b timestamptz, c timestamp, d date, e boolean, f bytea, g double precision, "
            "h jsonb, i uuid, j interval, k int[], l text[], m real, n bigint, o time"
        ),
        (
            "(1, 1.5, '2020-02-29 10:00+02', '2020-02-29 10:00:00.000001', '2020-02-29', true, '\\xff00', 0.1, '{\"a\": 1.0}', "
            "'8f14e45f-ceea-467f-a8b5-1d0b1c1d0b1c', '1 mon -2 days', '{1,NULL}', '{\"a b\",NULL}', 0.1, 9223372036854775807, '10:00:00.5')"
        ),
    ),
    "mariadb_db": (
        (
            "id int PRIMARY KEY, a decimal(12,4), b timestamp(6) NULL, c datetime(6), d date, e tinyint(1), f varbinary(9), g double, "
            "h json, i uuid, j time(6), k set('a','b'), l bit(9), m float, n bigint unsigned, o year"
        ),
        (
            "(1, 1.5, '2020-02-29 10:00', '2020-02-29 10:00:00.000001', '2020-02-29', 7, x'ff00', 0.1, '{\"a\": 1.0}', "
            "'8f14e45f-ceea-467f-a8b5-1d0b1c1d0b1c', '-100:00:00.5', 'a,b', b'100000001', 1234567.75, 18446744073709551615, 2020)"
        ),
    ),
    "sqlite_db": (
        "id INTEGER PRIMARY KEY, a decimal(12,4), b text, c timestamp, d date, e boolean, f blob, g double, h text, i bigint",
        "(1, 1.5, 'ü', '2020-02-29 10:00:00.000001', '2020-02-29', 1, x'ff00', 0.1, 'x', 9223372036854775807)",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
@pytest.mark.parametrize("dialect", SAME)
def test_batches_give_what_a_scan_gives(
    request: pytest.FixtureRequest, tmp_path: Path, dialect: str, strict: bool
) -> None:
    url = request.getfixturevalue(dialect)
    columns, row = SAME[dialect]
    empty = ", ".join(["2"] + ["NULL"] * columns.count(", "))
    writer(url)(f"CREATE TABLE t ({columns})", f"INSERT INTO t VALUES {row}", f"INSERT INTO t VALUES ({empty})")
    names = " ".join(part.split()[0] for part in columns.split(", "))
    scanned = land(url, contract("t", names), tmp_path, strict=strict)
    batched = land(open_url(url, force_batches=True), contract("t", names), tmp_path, strict=strict)
    assert batched.rows == scanned.rows
    assert batched.parquet_types == scanned.parquet_types
    assert [column.delta_type for column in batched.columns] == [column.delta_type for column in scanned.columns]


@pytest.mark.slow
def test_a_batch_relation_says_that_it_can_be_read_once(sqlite_db: str) -> None:
    writer(sqlite_db)("CREATE TABLE t (id INTEGER)")
    with open_url(sqlite_db, force_batches=True).snapshot(shared()) as snapshot:
        assert not snapshot.relation(contract("t", "id")).reread
    with open_url(sqlite_db).snapshot(shared()) as snapshot:
        assert snapshot.relation(contract("t", "id")).reread


_MEMORY = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.plinth.sources.landing import connection, contract
from plinth.sources import open_url

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

table, con = contract("t", "id v"), connection()
con.execute("SET enable_progress_bar = false")
def read(where):
    with open_url(sys.argv[1], force_batches=sys.argv[2] == "batches").snapshot(con) as snapshot:
        relation = snapshot.relation(table, columns=("id",) if where else None)
        con.execute(f"SELECT count(*), max(length(COLUMNS(*)::VARCHAR)) FROM ({relation.sql})").fetchall()
read(True)
before = peak()
read(False)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["scan", "batches"])
@pytest.mark.parametrize("dialect", ["postgres_db", "mariadb_db", "sqlite_db"])
def test_memory_is_bounded_however_large_the_table(request: pytest.FixtureRequest, dialect: str, way: str) -> None:
    url = request.getfixturevalue(dialect)
    # 100,000 rows of 1,500 bytes: 150 MB in all.
    wide = "repeat(md5(i::text), 47)" if dialect == "postgres_db" else "repeat(md5(seq), 47)"
    source = (
        "SELECT i, {} FROM generate_series(1, 100000) i"
        if dialect == "postgres_db"
        else "SELECT seq, {} FROM seq_1_to_100000"
    )
    if dialect == "sqlite_db":
        wide = "hex(zeroblob(750)) || i"
        source = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i, {} FROM n"
    writer(url)("CREATE TABLE t (id int, v text)", f"INSERT INTO t {source.format(wide)}")
    root = str(Path(__file__).resolve().parents[3])
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, url, way, root], capture_output=True, text=True, check=False, cwd=root
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 100
