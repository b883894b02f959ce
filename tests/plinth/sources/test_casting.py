"""Casts take exactly the values that stand in the target type, and fail or give null for every other."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from plinth.sources.casting import RAW, Cast, cast, from_text

EXACT = [
    ("long", "9223372036854775807", "9223372036854775807"),
    ("long", "-9223372036854775808", "-9223372036854775808"),
    ("long", "5.0", "5"),
    ("byte", "-128", "-128"),
    ("decimal(12,4)", "19.99", "19.9900"),
    ("decimal(12,4)", "-0.0001", "-0.0001"),
    ("decimal(12,4)", "1.50000000", "1.5000"),
    ("decimal(12,6)", "1.0e-05", "0.000010"),
    ("decimal(38,0)", "99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
    ("double", "0.1", "0.1"),
    ("double", "NaN", "nan"),
    ("date", "2020-02-29", "2020-02-29"),
    ("date", "2020-02-29 00:00:00.000", "2020-02-29"),
    ("timestamp_ntz", "2020-02-29", "2020-02-29 00:00:00"),
    ("timestamp_ntz", "2020-02-29T23:59:59.999999", "2020-02-29 23:59:59.999999"),
    ("timestamp", "2020-02-29 12:00:00+02:00", "2020-02-29 10:00:00+00"),
    ("timestamp", "2020-02-29 12:00:00", "2020-02-29 12:00:00+00"),
    ("timestamp", "2020-02-29T12:00:00Z", "2020-02-29 12:00:00+00"),
    ("boolean", "1", "true"),
    ("boolean", "false", "false"),
    ("string", " as it is\x00", " as it is\x00"),
]
UNFIT = [
    ("long", "5.5"),
    ("long", "9223372036854775808"),
    ("long", "1e30"),
    ("long", "0x"),
    ("byte", "128"),
    ("decimal(12,2)", "1.005"),
    ("decimal(12,2)", "NaN"),
    ("decimal(12,2)", "1.5e-05"),
    ("decimal(4,2)", "100.00"),
    ("date", "2020-02-30"),
    ("date", "2020-02-29 10:00:00"),
    ("date", "0000-00-00"),
    ("date", ""),
    ("date", "infinity"),
    ("date", "epoch"),
    ("timestamp_ntz", "2020-02-29 12:00:00+02:00"),
    ("timestamp_ntz", "2020-02-29 12:00-05"),
    ("timestamp_ntz", "2020-02-29 12:00:00.1234567"),
    ("timestamp_ntz", "yesterday"),
    ("timestamp", "2020-02-29 25:00:00"),
    ("boolean", "7"),
    ("boolean", "maybe"),
]
BETWEEN: list[tuple[str, str, str, str | None]] = [
    ("UBIGINT", "18446744073709551615", "decimal(20,0)", "18446744073709551615"),
    ("UBIGINT", "18446744073709551615", "long", None),
    ("INTEGER", "40000", "short", None),
    ("INTEGER", "40000", "long", "40000"),
    ("TINYINT", "7", "boolean", None),
    ("TINYINT", "1", "boolean", "true"),
    ("BIGINT", "9007199254740993", "double", None),
    ("BIGINT", "9007199254740992", "double", "9007199254740992.0"),
    ("DECIMAL(12,4)", "1.2345", "decimal(12,2)", None),
    ("DECIMAL(12,4)", "1.2300", "decimal(12,2)", "1.23"),
    ("DECIMAL(12,4)", "12345678.0000", "decimal(6,4)", None),
    ("DECIMAL(12,2)", "5.00", "long", "5"),
    ("DECIMAL(12,2)", "5.50", "long", None),
    ("DOUBLE", "19.99", "decimal(12,2)", "19.99"),
    ("DOUBLE", "0.1", "float", None),
    ("DOUBLE", "0.5", "float", "0.5"),
    ("FLOAT", "0.1", "double", "0.10000000149011612"),
    ("DATE", "2020-02-29", "timestamp_ntz", "2020-02-29 00:00:00"),
    ("TIMESTAMP", "2020-02-29 10:00:00", "date", None),
    ("TIMESTAMP", "2020-02-29 00:00:00", "date", "2020-02-29"),
    ("TIMESTAMP", "2020-02-29 10:00:00", "timestamp", "2020-02-29 10:00:00+00"),
    ("TIMESTAMP WITH TIME ZONE", "2020-02-29 10:00:00+02", "timestamp_ntz", "2020-02-29 08:00:00"),
    ("VARCHAR[]", "['1', NULL]", "array<integer>", "[1, NULL]"),
    ("VARCHAR[]", "['1', 'x']", "array<integer>", None),
    ("VARCHAR[]", "['2020-02-29', 'infinity']", "array<date>", None),
]


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def run(con: duckdb.DuckDBPyConnection, expression: str, raw: str, kind: str = "VARCHAR") -> Any:
    """The expression over a column that holds one value, as text."""
    con.execute("CREATE OR REPLACE TABLE given AS SELECT CAST(? AS VARCHAR) AS text", [raw])
    con.execute(f"CREATE OR REPLACE TABLE typed AS SELECT CAST(text AS {kind}) AS raw FROM given")
    row = con.execute(f"SELECT CAST({expression.replace(RAW, 'raw')} AS VARCHAR) FROM typed").fetchone()
    return row[0] if row else None


@pytest.mark.parametrize(("delta", "raw", "shown"), EXACT)
def test_a_text_that_stands_for_a_value_becomes_it(
    con: duckdb.DuckDBPyConnection, delta: str, raw: str, shown: str
) -> None:
    made = from_text(delta)
    assert run(con, made.value, raw) == shown
    assert run(con, made.attempt, raw) == shown


@pytest.mark.parametrize(("delta", "raw"), UNFIT)
def test_a_text_that_does_not_fit_fails_as_a_conversion_and_is_never_rounded_or_cut(
    con: duckdb.DuckDBPyConnection, delta: str, raw: str
) -> None:
    made = from_text(delta)
    with pytest.raises(duckdb.ConversionException):
        run(con, made.value, raw)
    assert run(con, made.attempt, raw) is None


@pytest.mark.parametrize(("kind", "raw", "delta", "shown"), BETWEEN)
def test_between_types_only_what_is_equal_passes(
    con: duckdb.DuckDBPyConnection, kind: str, raw: str, delta: str, shown: str | None
) -> None:
    made = cast(kind, delta)
    assert made is not None
    if shown is None:
        with pytest.raises(duckdb.ConversionException):
            run(con, made.value, raw, kind)
    else:
        assert run(con, made.value, raw, kind) == shown
    assert run(con, made.attempt, raw, kind) == shown


@pytest.mark.parametrize("delta", sorted({delta for delta, *_ in EXACT}))
def test_null_stays_null(con: duckdb.DuckDBPyConnection, delta: str) -> None:
    made = from_text(delta)
    con.execute("CREATE OR REPLACE TABLE typed AS SELECT CAST(NULL AS VARCHAR) AS raw")
    for expression in (made.value, made.attempt):
        assert con.execute(f"SELECT {expression.replace(RAW, 'raw')} FROM typed").fetchall() == [(None,)]


def test_a_cast_that_claims_to_be_sure_has_one_form() -> None:
    kinds = [
        "TINYINT",
        "BIGINT",
        "UBIGINT",
        "DECIMAL(12,4)",
        "DOUBLE",
        "FLOAT",
        "DATE",
        "TIMESTAMP",
        "VARCHAR",
        "BOOLEAN",
    ]
    targets = [
        "long",
        "short",
        "decimal(38,4)",
        "decimal(12,2)",
        "double",
        "float",
        "string",
        "date",
        "timestamp",
        "boolean",
    ]
    made = [cast(kind, delta) for kind in kinds for delta in targets]
    assert all(each.value == each.attempt for each in made if isinstance(each, Cast) and each.sure)


@pytest.mark.parametrize(
    ("kind", "delta"), [("DATE", "long"), ("BOOLEAN", "date"), ("BLOB", "long"), ("BIGINT", "date")]
)
def test_types_that_mean_different_things_have_no_cast(kind: str, delta: str) -> None:
    assert cast(kind, delta) is None
