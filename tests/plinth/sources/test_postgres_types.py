"""PostgreSQL, type by type: what is in the database is what is in the staged Parquet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from plinth.contracts.model import Column
from tests.plinth.sources.landing import Landed, contract, land, land_all
from tests.servers import PostgresServer

pytestmark = pytest.mark.slow


@pytest.fixture
def pg(postgres_db: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_db, autocommit=True) as con:
        yield con


def fill(pg: psycopg.Connection[Any], kind: str, *values: str | None) -> None:
    """A table `t` with a key and a column `v` that holds these SQL expressions."""
    pg.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {kind})")
    for number, value in enumerate(values):
        pg.execute(f"INSERT INTO t VALUES ({number}, {'NULL' if value is None else value})")


def landed(url: str, tmp_path: Path, delta: str | Column | None = None, **how: Any) -> Landed:
    return land(url, contract("t", {"id": None, "v": delta}), tmp_path, **how)


# type, SQL values, Delta type, values in Parquet (dates and times as DuckDB prints them)
NATIVE: list[tuple[str, list[str], str, list[Any]]] = [
    ("smallint", ["-32768", "32767"], "short", [-32768, 32767]),
    ("integer", ["-2147483648", "2147483647"], "integer", [-2147483648, 2147483647]),
    ("bigint", ["-9223372036854775808", "9223372036854775807"], "long", [-(2**63), 2**63 - 1]),
    ("oid", ["0", "4294967295"], "long", [0, 4294967295]),
    ("real", ["'1e-38'", "0.1", "'-Infinity'"], "float", [9.999999350456404e-39, 0.10000000149011612, -math.inf]),
    ("double precision", ["1.7976931348623157e308", "5e-324", "0.1"], "double", [1.7976931348623157e308, 5e-324, 0.1]),
    ("boolean", ["true", "false"], "boolean", [True, False]),
    ("numeric(12,4)", ["99999999.9999", "-0.0001", "0"], "decimal(12,4)", ["99999999.9999", "-0.0001", "0.0000"]),
    ("numeric(38,0)", ["10::numeric^38 - 1"], "decimal(38,0)", ["9" * 38]),
    ("numeric(38,38)", ["1e-38"], "decimal(38,38)", ["0." + "0" * 37 + "1"]),
    ("numeric(5,-2)", ["1234567"], "decimal(7,0)", ["1234600"]),
    ("numeric(3,5)", ["0.00123"], "decimal(5,5)", ["0.00123"]),
    ("numeric", ["1e-12", "'NaN'", "'Infinity'", "12345678901234567890123456789012345678901.5"], "string",
     ["0.000000000001", "NaN", "Infinity", "12345678901234567890123456789012345678901.5"]),
    ("numeric(50,10)", ["1234567890123456789012345678901234567890.0123456789"], "string",
     ["1234567890123456789012345678901234567890.0123456789"]),
    ("text", ["''", "'Grüße 😀'", "E'a\\tb\\n\\\\'"], "string", ["", "Grüße 😀", "a\tb\n\\"]),
    ("varchar(10)", ["'cd '"], "string", ["cd "]),
    ("bytea", ["''", "'\\xdeadbeef00'"], "binary", [b"", b"\xde\xad\xbe\xef\x00"]),
    ("date", ["'0001-01-01'", "'9999-12-31'", "'2020-02-29'", "'0044-03-15 BC'"], "date",
     ["0001-01-01", "9999-12-31", "2020-02-29", "0044-03-15 (BC)"]),
    ("timestamp", ["'1900-01-01 00:00:00.000001'", "'9999-12-31 23:59:59.999999'"], "timestamp_ntz",
     ["1900-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999"]),
    ("timestamptz", ["'2020-06-01 12:00:00+02'", "'1969-12-31 23:59:59.999999+00'"], "timestamp",
     ["2020-06-01 10:00:00+00", "1969-12-31 23:59:59.999999+00"]),
    ("time", ["'24:00'", "'00:00:00.000001'"], "string", ["24:00:00", "00:00:00.000001"]),
    ("timetz", ["'23:59:59.999999+15:59'"], "string", ["23:59:59.999999+15:59"]),
    ("interval", ["'1 year 2 mons -3 days 04:05:06.789'", "'-1 mon'"], "string", ["P1Y2M-3DT4H5M6.789S", "P-1M"]),
    ("uuid", ["'8f14e45f-ceea-467f-a8b5-1d0b1c1d0b1c'"], "string", ["8f14e45f-ceea-467f-a8b5-1d0b1c1d0b1c"]),
    ("json", ["'{\"b\": 1.0,  \"a\": 1e400, \"a\": 2}'"], "string", ['{"b": 1.0,  "a": 1e400, "a": 2}']),
    ("jsonb", ["'{\"n\":1.00000000000000000000000001}'"], "string", ['{"n": 1.00000000000000000000000001}']),
    ("xml", ["'<a b=\"c\"/>'"], "string", ['<a b="c"/>']),
    ("inet", ["'10.0.0.1/24'", "'::1'"], "string", ["10.0.0.1/24", "::1/128"]),
    ("macaddr", ["'08:00:2b:01:02:03'"], "string", ["08:00:2b:01:02:03"]),
    ("money", ["1234.5"], "string", ["$1,234.50"]),
    ("int4range", ["'[1,5)'"], "string", ["[1,5)"]),
    ("bit(5)", ["B'10101'"], "string", ["10101"]),
    ("bit varying", ["B'1'"], "string", ["1"]),
    ("tsvector", ["'a b'::tsvector"], "string", ["'a' 'b'"]),
    ("point", ["'(1.5,2)'"], "string", ["(1.5,2)"]),
    ("int[]", ["'{1,NULL,3}'", "'{}'"], "array<integer>", ["[1, NULL, 3]", "[]"]),
    ("text[]", ["'{a,\"b, c\",NULL}'"], "array<string>", ["[a, 'b, c', NULL]"]),
    ("date[]", ["'{2020-02-29,NULL}'"], "array<date>", ["[2020-02-29, NULL]"]),
    ("numeric(10,2)[]", ["'{1.50,2}'"], "array<decimal(10,2)>", ["[1.50, 2.00]"]),
    ("numeric[]", ["'{1.50,NaN}'"], "string", ["{1.50,NaN}"]),
    ("int[][]", ["'{{1,2},{3,4}}'"], "string", ["{{1,2},{3,4}}"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def all_types(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, bool], Any]]:
    """Every type of NATIVE in a table of its own, with a null at its end, landed strictly and leniently."""
    url = postgres_server.new_database("types")
    with psycopg.connect(url, autocommit=True) as con:
        for number, (kind, given, *_) in enumerate(NATIVE):
            con.execute(f"CREATE TABLE t{number} (id int PRIMARY KEY, v {kind} NULL)")
            values = ", ".join(f"({place}, {value})" for place, value in enumerate([*given, "NULL"]))
            con.execute(f"INSERT INTO t{number} VALUES {values}")
    tables = [contract(f"t{number}", "id v") for number in range(len(NATIVE))]
    yield land_all(url, tables, tmp_path_factory.mktemp("types"))
    postgres_server.drop_database(url)


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


def test_nan_doubles_stay_nan(pg: psycopg.Connection[Any], postgres_db: str, tmp_path: Path) -> None:
    fill(pg, "double precision", "'NaN'")
    assert math.isnan(landed(postgres_db, tmp_path).values("v")[0])


def test_the_type_of_the_database_is_kept_beside_the_column(
    pg: psycopg.Connection[Any], postgres_db: str, tmp_path: Path
) -> None:
    fill(pg, "interval")
    column = landed(postgres_db, tmp_path).column("v")
    assert (column.physical_type, column.note) == ("interval", "ISO 8601 duration")


def test_nan_in_a_decimal_column_never_becomes_zero(
    pg: psycopg.Connection[Any], postgres_db: str, tmp_path: Path
) -> None:
    fill(pg, "numeric(12,2)", "'NaN'", "1.5")
    with pytest.raises(duckdb.ConversionException, match="NaN"):
        landed(postgres_db, tmp_path)
    found = landed(postgres_db, tmp_path, strict=False)
    assert found.values("v") == [None, Decimal("1.50")]
    assert found.rejects == [{"v": {"value": "NaN", "rule": "v_type"}}, {}]


def test_nan_in_a_decimal_column_lands_as_nan_where_the_contract_says_double(
    pg: psycopg.Connection[Any], postgres_db: str, tmp_path: Path
) -> None:
    fill(pg, "numeric(12,2)", "'NaN'", "1.5")
    values = landed(postgres_db, tmp_path, "double").values("v")
    assert math.isnan(values[0])
    assert values[1] == 1.5


def test_numeric_without_precision_lands_in_the_decimal_of_the_contract_exactly_or_not_at_all(
    pg: psycopg.Connection[Any], postgres_db: str, tmp_path: Path
) -> None:
    fill(pg, "numeric", "12.3400", "1.00001")
    with pytest.raises(duckdb.ConversionException):
        landed(postgres_db, tmp_path, "decimal(10,2)")
    found = landed(postgres_db, tmp_path, "decimal(10,2)", strict=False)
    assert found.values("v") == [Decimal("12.34"), None]
    assert found.rejects[1] == {"v": {"value": "1.00001", "rule": "v_type"}}


@pytest.mark.parametrize(("kind", "shown"), [("date", ""), ("timestamp", " 00:00:00"), ("timestamptz", " 00:00:00+00")])
def test_infinite_dates_follow_the_rule_of_the_contract(
    pg: psycopg.Connection[Any], postgres_db: str, tmp_path: Path, kind: str, shown: str
) -> None:
    fill(pg, kind, "'infinity'", "'-infinity'", "'2020-02-29'")
    real = f"2020-02-29{shown}"
    with pytest.raises(duckdb.ConversionException, match="infinity"):
        landed(postgres_db, tmp_path)
    nulled = landed(postgres_db, tmp_path, strict=False)
    assert nulled.values("v") == [None, None, real]
    assert nulled.notes == {"v.infinite_dates": 2}
    assert not any(nulled.rejects)
    sentinel = landed(postgres_db, tmp_path, Column("v", "v", zero_dates="9999-12-31"), strict=False)
    assert sentinel.values("v") == [f"9999-12-31{shown}"] * 2 + [real]
    assert sentinel.notes == {"v.infinite_dates": 2}
    kept = Column("v", "v", zero_dates="quarantine")
    with pytest.raises(duckdb.ConversionException):
        landed(postgres_db, tmp_path, kept)
    found = landed(postgres_db, tmp_path, kept, strict=False)
    assert found.values("v") == [None, None, real]
    assert found.rejects[1] == {"v": {"value": "-infinity", "rule": "v_zero_date"}}
    assert found.rejects[2] == {}
    assert found.notes == {}


def test_instants_beyond_the_range_of_duckdb_do_not_wrap_around(
    pg: psycopg.Connection[Any], postgres_db: str, tmp_path: Path
) -> None:
    fill(pg, "timestamptz", "'294276-12-31 23:59:59.999999+00'")
    with pytest.raises(duckdb.ConversionException):
        landed(postgres_db, tmp_path)
    found = landed(postgres_db, tmp_path, strict=False)
    assert found.values("v") == [None]
    assert found.rejects[0]["v"]["value"] == "294276-12-31 23:59:59.999999+00"


def test_an_array_of_several_dimensions_in_a_column_of_one_is_put_aside(
    pg: psycopg.Connection[Any], postgres_db: str, tmp_path: Path
) -> None:
    fill(pg, "int[]", "'{{1,2},{3,4}}'", "'{5}'")
    with pytest.raises(duckdb.ConversionException):
        landed(postgres_db, tmp_path)
    found = landed(postgres_db, tmp_path, strict=False)
    assert found.values("v") == [None, "[5]"]
    assert found.rejects == [{"v": {"value": "[[1,2],[3,4]]", "rule": "v_type"}}, {}]


def test_domains_are_read_as_the_type_they_rest_on(
    pg: psycopg.Connection[Any], postgres_db: str, tmp_path: Path
) -> None:
    pg.execute("CREATE DOMAIN amount AS numeric(6,2) CHECK (value >= 0); CREATE DOMAIN fee AS amount")
    fill(pg, "fee", "1.5")
    found = landed(postgres_db, tmp_path)
    assert found.values("v") == [Decimal("1.50")]
    assert found.column("v").delta_type == "decimal(6,2)"


def test_enums_and_composites_come_as_their_text(pg: psycopg.Connection[Any], postgres_db: str, tmp_path: Path) -> None:
    pg.execute("CREATE TYPE mood AS ENUM ('so la', 'gut'); CREATE TYPE pair AS (a int, b text)")
    pg.execute("CREATE TABLE t (id int, v mood, w pair)")
    pg.execute("""INSERT INTO t VALUES (1, 'so la', '(1,"x y")')""")
    found = land(postgres_db, contract("t", "id v w"), tmp_path)
    assert found.rows == [(1, "so la", '(1,"x y")')]


def test_an_extension_type_comes_as_its_text(pg: psycopg.Connection[Any], postgres_db: str, tmp_path: Path) -> None:
    pg.execute("CREATE EXTENSION hstore")
    fill(pg, "hstore", "'a=>1, b=>NULL'")
    assert landed(postgres_db, tmp_path).values("v") == ['"a"=>"1", "b"=>NULL']


def test_money_lands_as_decimal_where_the_contract_says_so(
    pg: psycopg.Connection[Any], postgres_db: str, tmp_path: Path
) -> None:
    fill(pg, "money", "-1234.5")
    assert landed(postgres_db, tmp_path, "decimal(19,2)").values("v") == [Decimal("-1234.50")]


def test_a_column_that_the_database_has_lost_is_null(
    pg: psycopg.Connection[Any], postgres_db: str, tmp_path: Path
) -> None:
    fill(pg, "int", "1")
    gone = Column("gone", "gone", delta_type="decimal(5,2)", absent=True)
    found = land(postgres_db, contract("t", {"gone": gone, "v": None}, key=()), tmp_path)
    assert found.rows == [(None, 1)]
    assert found.parquet_types["gone"] == "DECIMAL(5,2)"


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_texts_of_a_database_in_another_encoding_land_as_the_same_letters(
    postgres_server: PostgresServer, tmp_path: Path, encoding: str
) -> None:
    name = f"encoded_{encoding.lower()}"
    url = postgres_server.url(name)
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as con:
        con.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        with psycopg.connect(url, autocommit=True, client_encoding="UTF8") as con:
            fill(con, "text", "'Größe'")
            for kept in (True, False):
                assert landed(url, tmp_path, strict=kept).values("v") == ["Größe"]
            if encoding == "SQL_ASCII":  # it keeps whatever bytes it is given
                con.execute("INSERT INTO t VALUES (1, convert_from('\\x4772f6df65'::bytea, 'SQL_ASCII'))")
                with pytest.raises(duckdb.ConversionException):
                    landed(url, tmp_path)
                found = landed(url, tmp_path, strict=False)
                assert found.values("v") == ["Größe", None]
                assert found.rejects[1] == {"v": {"value": "\\x4772F6DF65", "rule": "v_type"}}
    finally:
        postgres_server.drop_database(url)
