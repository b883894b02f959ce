"""SQLite, value by value: types are the values' own there, and the columns' types only wishes."""

from __future__ import annotations

import random
import sqlite3
import struct
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from plinth.contracts.model import Column
from plinth.sources import open_url
from tests.plinth.sources.landing import Landed, connection, contract, land, stage


def fill(url: str, kind: str, values: Sequence[Any]) -> None:
    """A table `t` with a key and a column `v` of the declared type that holds these values."""
    with sqlite3.connect(url.removeprefix("sqlite:///")) as con:
        con.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {kind})")
        con.executemany("INSERT INTO t VALUES (?, ?)", list(enumerate(values)))
    con.close()


def landed(url: str, tmp_path: Path, delta: str | Column | None = None, **how: Any) -> Landed:
    return land(url, contract("t", {"id": None, "v": delta}), tmp_path, **how)


# declared type, values, Delta type that the contract gives (None: SQLite decides), Delta type, values in Parquet
NATIVE: list[tuple[str, list[Any], str | None, str, list[Any]]] = [
    ("INTEGER", [2**63 - 1, -(2**63), 2**53 + 1], None, "long", [2**63 - 1, -(2**63), 2**53 + 1]),
    ("INT", [5.0], None, "long", [5]),
    ("TINYINT", [-128], "byte", "byte", [-128]),
    ("REAL", [0.1, 5e-324, 1.7976931348623157e308, 0.30000000000000004, float("inf")], None, "double",
     [0.1, 5e-324, 1.7976931348623157e308, 0.30000000000000004, float("inf")]),
    ("DOUBLE", [3], None, "double", [3.0]),
    ("DECIMAL(12,4)", [19.99, -0.0001, "99999999.9999", 5, 0.1 + 0.2], None, "decimal(12,4)",
     ["19.9900", "-0.0001", "99999999.9999", "5.0000", "0.3000"]),
    ("DECIMAL(10,6)", [0.00001, 1e-6], None, "decimal(10,6)", ["0.000010", "0.000001"]),
    ("DECIMAL(18,2)", [123456789012345.67, 2**53 + 1], None, "decimal(18,2)", ["123456789012345.67", "9007199254740993.00"]),
    ("NUMERIC", [19.99, 9007199254740993, "abc"], None, "string", ["19.99", "9007199254740993", "abc"]),
    ("BOOLEAN", [1, 0, "true"], None, "boolean", [True, False, True]),
    ("TEXT", ["", "Grüße 😀", "a\x00b", " x "], None, "string", ["", "Grüße 😀", "a\x00b", " x "]),
    ("VARCHAR(5)", ["longer than five", 5], None, "string", ["longer than five", "5"]),
    ("BLOB", [b"\xff\x00", b"", "text", 5], None, "binary", [b"\xff\x00", b"", b"text", b"5"]),
    ("", [1, 1.5, "a"], None, "string", ["1", "1.5", "a"]),
    ("DATE", ["2020-02-29", "2020-02-29 00:00:00", 1582934400, 2458908.5], None, "date", ["2020-02-29"] * 4),
    ("DATETIME", ["2020-02-29T23:59:59.999999", "2020-02-29 10:00", 1582934401, 2458908.75], None, "timestamp_ntz",
     ["2020-02-29 23:59:59.999999", "2020-02-29 10:00:00", "2020-02-29 00:00:01", "2020-02-29 06:00:00"]),
    ("TIMESTAMP", ["2020-02-29T12:00:00+02:00", "2020-02-29 12:00:00Z", "2020-02-29 12:00:00"], "timestamp", "timestamp",
     ["2020-02-29 10:00:00+00", "2020-02-29 12:00:00+00", "2020-02-29 12:00:00+00"]),
    ("INTEGER", [1582934401], "timestamp", "timestamp", ["2020-02-29 00:00:01+00"]),
    ("TEXT", ["1.50", "2"], "decimal(10,2)", "decimal(10,2)", ["1.50", "2.00"]),
    ("BIGINT", [2**63 - 1], "decimal(20,0)", "decimal(20,0)", [str(2**63 - 1)]),
    ("TIME", ["25:61", "10:00"], None, "string", ["25:61", "10:00"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "values", "given", "delta", "expected"), NATIVE, ids=[f"{row[0]}-{row[3]}" for row in NATIVE]
)
def test_values_land_as_they_stand_in_the_file(
    sqlite_db: str, tmp_path: Path, kind: str, values: list[Any], given: str | None, delta: str, expected: list[Any]
) -> None:
    fill(sqlite_db, kind, [*values, None])
    if delta.startswith("decimal"):
        expected = [Decimal(value) for value in expected]
    for strict in (True, False):
        found = landed(sqlite_db, tmp_path, given, strict=strict)
        assert found.values("v") == [*expected, None]
        assert found.column("v").delta_type == delta
        assert found.parquet_types["v"] == found.column("v").duckdb_type
        assert not any(found.rejects)


@pytest.mark.parametrize(
    ("kind", "good", "bad", "shown"),
    [
        ("INTEGER", 1, "zz", "zz"),
        ("INTEGER", 1, 5.5, "5.5"),
        ("INTEGER", 1, b"\xff", "\\xFF"),
        ("INTEGER", 1, "ü", "ü"),
        ("REAL", 1.5, "n/a", "n/a"),
        ("DECIMAL(10,2)", 1.5, 1 / 3, "0.333333333333333"),
        ("DECIMAL(10,2)", 1.5, "1,50", "1,50"),
        ("DATE", "2020-02-29", "29.02.2020", "29.02.2020"),
        ("DATE", "2020-02-29", "2020-02-29 10:00", "2020-02-29 10:00"),
        ("DATE", "2020-02-29", 20200229, "1970-08-22 19:10:29"),
        ("DATETIME", "2020-02-29", 1582934400000000, "1582934400000000"),
        ("DATETIME", "2020-02-29", "2020-02-29 12:00+02:00", "2020-02-29 12:00+02:00"),
        ("BOOLEAN", 1, 2, "2"),
    ],
)
def test_a_value_that_does_not_fit_is_put_aside_with_its_text(
    sqlite_db: str, tmp_path: Path, kind: str, good: Any, bad: Any, shown: str
) -> None:
    fill(sqlite_db, kind, [good, bad])
    with pytest.raises(duckdb.ConversionException):
        landed(sqlite_db, tmp_path)
    found = landed(sqlite_db, tmp_path, strict=False)
    assert found.values("v")[0] is not None
    assert found.values("v")[1] is None
    assert found.rejects == [{}, {"v": {"value": shown, "rule": "v_type"}}]


@pytest.mark.parametrize("kind", ["TEXT", "INTEGER", "DATE"])
def test_bytes_that_are_no_utf8_never_reach_a_parquet_file_nor_end_duckdb(
    sqlite_db: str, tmp_path: Path, kind: str
) -> None:
    fill(sqlite_db, kind, [None])
    with sqlite3.connect(sqlite_db.removeprefix("sqlite:///")) as con:
        con.execute("INSERT INTO t VALUES (1, CAST(x'ff41' AS TEXT))")
    con.close()
    table = contract("t", "id v")
    with connection() as duck:
        with pytest.raises(duckdb.ConversionException), open_url(sqlite_db).snapshot(duck) as snapshot:
            duck.execute(f"COPY ({snapshot.relation(table).sql}) TO '{tmp_path}/x.parquet' (FORMAT parquet)")
        with open_url(sqlite_db).snapshot(duck) as snapshot:
            found = stage(duck, snapshot, table, tmp_path, strict=False)
    assert found.rejects == [{}, {"v": {"value": "\\xFF41", "rule": "v_type"}}]


def test_texts_that_are_no_utf8_land_as_bytes_where_the_contract_says_binary(sqlite_db: str, tmp_path: Path) -> None:
    fill(sqlite_db, "TEXT", ["good"])
    with sqlite3.connect(sqlite_db.removeprefix("sqlite:///")) as con:
        con.execute("INSERT INTO t VALUES (1, CAST(x'ff41' AS TEXT))")
    con.close()
    assert landed(sqlite_db, tmp_path, "binary").values("v") == [b"good", b"\xffA"]


def test_blank_and_zero_dates_follow_the_rule_of_the_contract(sqlite_db: str, tmp_path: Path) -> None:
    fill(sqlite_db, "DATE", ["", "0000-00-00", "2020-00-00", "2020-02-29"])
    with pytest.raises(duckdb.ConversionException):
        landed(sqlite_db, tmp_path)
    nulled = landed(sqlite_db, tmp_path, strict=False)
    assert nulled.values("v") == [None, None, None, "2020-02-29"]
    assert nulled.notes == {"v.zero_dates": 3}
    sentinel = landed(sqlite_db, tmp_path, Column("v", "v", zero_dates="1900-01-01"), strict=False)
    assert sentinel.values("v") == ["1900-01-01"] * 3 + ["2020-02-29"]
    kept = landed(sqlite_db, tmp_path, Column("v", "v", zero_dates="quarantine"), strict=False)
    assert kept.values("v") == [None, None, None, "2020-02-29"]
    assert [row.get("v", {}).get("rule") for row in kept.rejects] == ["v_zero_date"] * 3 + [None]


def test_every_double_comes_back_as_the_same_bits(sqlite_db: str, tmp_path: Path) -> None:
    draw = random.Random(20260101)
    patterns = [struct.unpack("<d", draw.randbytes(8))[0] for _ in range(5000)]
    doubles = [value for value in patterns if value == value] + [draw.random() for _ in range(5000)]
    fill(sqlite_db, "REAL", doubles)
    assert landed(sqlite_db, tmp_path).values("v") == doubles


def test_tables_without_rowid_views_generated_columns_and_strict_tables_are_read(
    sqlite_db: str, tmp_path: Path
) -> None:
    with sqlite3.connect(sqlite_db.removeprefix("sqlite:///")) as con:
        con.executescript(
            "CREATE TABLE a (id TEXT PRIMARY KEY, v INT, w INT AS (v * 2)) WITHOUT ROWID; INSERT INTO a VALUES ('x', 2);"
            "CREATE TABLE s (id INT PRIMARY KEY, v ANY) STRICT; INSERT INTO s VALUES (1, 'any');"
            "CREATE VIEW b AS SELECT id, v + 1 AS v FROM a"
        )
    con.close()
    assert land(sqlite_db, contract("a", "id v w"), tmp_path).rows == [("x", 2, 4)]
    assert land(sqlite_db, contract("s", "id v"), tmp_path).rows == [(1, "any")]
    assert land(sqlite_db, contract("b", {"id": "string", "v": "long"}), tmp_path).rows == [("x", 3)]


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    from plinth.errors import SourceUnavailable

    with pytest.raises(SourceUnavailable, match="plinth sample"):
        open_url(f"sqlite:///{tmp_path / 'none.db'}").describe()
