"""MariaDB, type by type: what is in the database is what is in the staged Parquet, by a scan and in batches alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pymysql
import pytest

from plinth.contracts.model import Column
from plinth.sources.address import parse_address
from tests.plinth.sources.landing import Landed, contract, land, land_all
from tests.servers import MariaDBServer

pytestmark = pytest.mark.slow


@contextmanager
def cursor_of(url: str) -> Iterator[Any]:
    """A cursor of a session that lets every value in."""
    address = parse_address(url)
    with (
        pymysql.connect(
            host=address.host,
            port=address.port or 0,
            user=address.user,
            password=address.password or "",
            database=address.database,
            charset="utf8mb4",
            autocommit=True,
        ) as con,
        con.cursor() as cursor,
    ):
        cursor.execute("SET sql_mode = '', time_zone = '+00:00'")
        yield cursor


@pytest.fixture
def maria(mariadb_db: str) -> Iterator[Any]:
    with cursor_of(mariadb_db) as cursor:
        yield cursor


def fill(maria: Any, kind: str, *values: str | None) -> None:
    """A table `t` with a key and a column `v` that holds these SQL expressions."""
    maria.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {kind} NULL)")
    for number, value in enumerate(values):
        maria.execute(f"INSERT INTO t VALUES ({number}, {'NULL' if value is None else value})")


def landed(url: str, tmp_path: Path, delta: str | Column | None = None, **how: Any) -> Landed:
    return land(url, contract("t", {"id": None, "v": delta}), tmp_path, **how)


NATIVE: list[tuple[str, list[str], str, list[Any]]] = [
    ("tinyint(1)", ["7", "-128"], "byte", [7, -128]),
    ("tinyint unsigned", ["255"], "short", [255]),
    ("smallint", ["-32768"], "short", [-32768]),
    ("smallint unsigned", ["65535"], "integer", [65535]),
    ("mediumint", ["-8388608"], "integer", [-8388608]),
    ("int", ["-2147483648"], "integer", [-2147483648]),
    ("int unsigned", ["4294967295"], "long", [4294967295]),
    ("int(8) zerofill", ["42"], "long", [42]),
    ("bigint", ["-9223372036854775808"], "long", [-(2**63)]),
    ("bigint unsigned", ["18446744073709551615"], "decimal(20,0)", [Decimal(2**64 - 1)]),
    ("decimal(12,4)", ["99999999.9999", "-0.0001"], "decimal(12,4)", [Decimal("99999999.9999"), Decimal("-0.0001")]),
    ("decimal(38,10)", ["1234567890123456789012345678.0123456789"], "decimal(38,10)",
     [Decimal("1234567890123456789012345678.0123456789")]),
    ("decimal(50,10)", ["1234567890123456789012345678901234567890.0123456789"], "string",
     ["1234567890123456789012345678901234567890.0123456789"]),
    ("float", ["1234567.75", "16777216", "1e-38"], "float", [1234567.75, 16777216.0, 9.999999350456404e-39]),
    ("double", ["1.7976931348623157e308", "5e-324", "0.1"], "double", [1.7976931348623157e308, 5e-324, 0.1]),
    ("date", ["'1000-01-01'", "'9999-12-31'"], "date", ["1000-01-01", "9999-12-31"]),
    ("datetime", ["'2020-02-29 23:59:59'"], "timestamp_ntz", ["2020-02-29 23:59:59"]),
    ("datetime(6)", ["'9999-12-31 23:59:59.999999'"], "timestamp_ntz", ["9999-12-31 23:59:59.999999"]),
    ("timestamp(6)", ["'2020-06-01 10:00:00.000001'"], "timestamp", ["2020-06-01 10:00:00.000001+00"]),
    ("time(6)", ["'838:59:59.999999'", "'-00:00:01'", "'10:00:00.5'"], "string",
     ["838:59:59.999999", "-00:00:01", "10:00:00.5"]),
    ("time", ["'-838:59:59'"], "string", ["-838:59:59"]),
    ("year", ["1901", "2155", "0"], "short", [1901, 2155, 0]),
    ("set('a','b')", ["'a,b'", "''"], "string", ["a,b", ""]),
    ("enum('x','it''s ü')", ["'it''s ü'", "'nonsense'"], "string", ["it's ü", ""]),
    ("bit(1)", ["b'1'"], "binary", [b"\x01"]),
    ("bit(10)", ["b'1000000001'"], "binary", [b"\x02\x01"]),
    ("blob", ["x'ff00'", "''"], "binary", [b"\xff\x00", b""]),
    ("binary(4)", ["x'01'"], "binary", [b"\x01\x00\x00\x00"]),
    ("geometry", ["point(1, 2)"], "binary",
     [b"\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00@"]),
    ("varchar(20) CHARACTER SET latin1", ["'Größe €'"], "string", ["Größe €"]),
    ("varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", ["'😀 '"], "string", ["😀 "]),
    ("varchar(20) CHARACTER SET ucs2", ["'é'"], "string", ["é"]),
    ("longtext", ["repeat('ü', 70000)"], "string", ["ü" * 70000]),
    ("json", ["'{\"a\": 1.0,  \"b\": 1e400}'"], "string", ['{"a": 1.0,  "b": 1e400}']),
    ("uuid", ["'8f14e45f-ceea-467f-a8b5-1d0b1c1d0b1c'"], "string", ["8f14e45f-ceea-467f-a8b5-1d0b1c1d0b1c"]),
    ("inet6", ["'::1'"], "string", ["::1"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def all_types(
    mariadb_server: MariaDBServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, bool], Any]]:
    """Every type of NATIVE in a table of its own, with a null at its end, landed strictly and leniently."""
    url = mariadb_server.new_database("types")
    with cursor_of(url) as con:
        for number, (kind, given, *_) in enumerate(NATIVE):
            con.execute(f"CREATE TABLE t{number} (id int PRIMARY KEY, v {kind} NULL)")
            values = ", ".join(f"({place}, {value})" for place, value in enumerate([*given, "NULL"]))
            con.execute(f"INSERT INTO t{number} VALUES {values}")
    tables = [contract(f"t{number}", "id v") for number in range(len(NATIVE))]
    yield land_all(url, tables, tmp_path_factory.mktemp("types"))
    mariadb_server.drop_database(url)


@pytest.mark.parametrize("number", range(len(NATIVE)), ids=[row[0] for row in NATIVE])
def test_values_land_as_they_stand_in_the_database(all_types: dict[tuple[str, bool], Any], number: int) -> None:
    _, _, delta, expected = NATIVE[number]
    if delta.startswith("decimal"):
        expected = [Decimal(value) for value in expected]
    for strict in (True, False):
        found = all_types[f"t{number}", strict]
        if isinstance(found, Exception):
            raise found
        assert found.values("v") == [*expected, None]
        assert found.column("v").delta_type == delta
        assert found.parquet_types["v"] == found.column("v").duckdb_type
        assert not any(found.rejects)


def test_instants_are_utc_whatever_the_session_of_the_writer_was(maria: Any, mariadb_db: str, tmp_path: Path) -> None:
    maria.execute("SET time_zone = '+05:00'")
    fill(maria, "timestamp", "'2020-01-01 00:00:00'")
    assert landed(mariadb_db, tmp_path).values("v") == ["2019-12-31 19:00:00+00"]


def test_flags_in_tinyint_and_bit_columns_become_booleans_only_where_they_are_flags(
    maria: Any, mariadb_db: str, tmp_path: Path
) -> None:
    fill(maria, "bit(8)", "b'1'", "b'0'", "b'111'")
    with pytest.raises(duckdb.ConversionException):
        landed(mariadb_db, tmp_path, "boolean")
    maria.execute("DELETE FROM t WHERE id = 2")
    assert landed(mariadb_db, tmp_path, "boolean").values("v") == [True, False]
    assert landed(mariadb_db, tmp_path, "long").values("v") == [1, 0]
    maria.execute("DROP TABLE t")
    fill(maria, "tinyint(1)", "1", "7")
    found = landed(mariadb_db, tmp_path, "boolean", strict=False)
    assert found.values("v") == [True, None]
    assert found.rejects[1] == {"v": {"value": "7", "rule": "v_type"}}


@pytest.mark.parametrize(("kind", "shown"), [("date", ""), ("datetime", " 00:00:00"), ("timestamp", " 00:00:00+00")])
def test_zero_dates_are_counted_and_null_by_default(
    maria: Any, mariadb_db: str, tmp_path: Path, kind: str, shown: str
) -> None:
    fill(maria, kind, "'0000-00-00'", "'2020-02-29'", "0", None)
    found = landed(mariadb_db, tmp_path)
    assert found.values("v") == [None, f"2020-02-29{shown}", None, None]
    assert found.notes == {"v.zero_dates": 2}


def test_incomplete_dates_are_counted_with_the_zero_ones(maria: Any, mariadb_db: str, tmp_path: Path) -> None:
    fill(maria, "date", "'0000-00-00'", "'2020-00-00'", "'2020-05-00'", "'2020-05-01'")
    with pytest.raises(duckdb.ConversionException):
        landed(mariadb_db, tmp_path)
    found = landed(mariadb_db, tmp_path, strict=False)
    assert found.values("v") == [None, None, None, "2020-05-01"]
    assert found.notes == {"v.zero_dates": 3}
    assert not any(found.rejects)


def test_zero_dates_become_the_sentinel_of_the_contract(maria: Any, mariadb_db: str, tmp_path: Path) -> None:
    fill(maria, "datetime", "'0000-00-00'", "'2020-00-00 10:00:00'", "'2020-05-01'")
    column = Column("v", "v", zero_dates="1900-01-01")
    with pytest.raises(duckdb.ConversionException):
        landed(mariadb_db, tmp_path, column)
    found = landed(mariadb_db, tmp_path, column, strict=False)
    assert found.values("v") == ["1900-01-01 00:00:00"] * 2 + ["2020-05-01 00:00:00"]
    assert found.notes == {"v.zero_dates": 2}


def test_zero_dates_go_to_quarantine_where_the_contract_says_so(maria: Any, mariadb_db: str, tmp_path: Path) -> None:
    fill(maria, "date", "'0000-00-00'", "'2020-00-00'", "'2020-05-01'")
    column = Column("v", "v", zero_dates="quarantine")
    with pytest.raises(duckdb.ConversionException):
        landed(mariadb_db, tmp_path, column)
    found = landed(mariadb_db, tmp_path, column, strict=False)
    assert found.values("v") == [None, None, "2020-05-01"]
    assert found.rejects == [
        {"v": {"value": "0000-00-00", "rule": "v_zero_date"}},
        {"v": {"value": "2020-00-00", "rule": "v_zero_date"}},
        {},
    ]


def test_text_in_a_column_that_the_contract_takes_for_numbers_is_put_aside(
    maria: Any, mariadb_db: str, tmp_path: Path
) -> None:
    fill(maria, "varchar(20)", "'12.50'", "'12,50'", "'1.505'")
    with pytest.raises(duckdb.ConversionException):
        landed(mariadb_db, tmp_path, "decimal(10,2)")
    found = landed(mariadb_db, tmp_path, "decimal(10,2)", strict=False)
    assert found.values("v") == [Decimal("12.50"), None, None]
    assert [row.get("v", {}).get("value") for row in found.rejects] == [None, "12,50", "1.505"]


def test_a_statement_limit_of_the_server_does_not_cut_a_read(maria: Any, mariadb_db: str, tmp_path: Path) -> None:
    maria.execute("CREATE VIEW t AS SELECT seq AS id, CAST(sleep(0.02) AS signed) AS v FROM seq_1_to_20")
    maria.execute("SELECT @@GLOBAL.max_statement_time")
    before = maria.fetchone()[0]
    maria.execute("SET GLOBAL max_statement_time = 0.2")
    try:
        assert len(landed(mariadb_db, tmp_path).rows) == 20
    finally:
        maria.execute(f"SET GLOBAL max_statement_time = {before}")
