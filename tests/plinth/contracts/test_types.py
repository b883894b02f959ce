"""Delta types, their widening, and what legacy type names mean."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plinth.contracts.physical import parse_physical_type
from plinth.contracts.types import PRIMITIVES, decimal_digits, parse_delta_type, widens
from plinth.lakehouse.schema import duckdb_type

decimals = st.integers(1, 38).flatmap(
    lambda digits: st.integers(0, digits).map(lambda places: f"decimal({digits},{places})")
)
delta_types = st.sampled_from(PRIMITIVES) | decimals
WIDER = [
    ("byte", "short"), ("byte", "long"), ("short", "integer"), ("integer", "long"), ("integer", "double"), ("short", "decimal(5,0)"),
    ("integer", "decimal(12,2)"), ("long", "decimal(20,0)"), ("decimal(10,2)", "decimal(12,2)"), ("decimal(10,2)", "decimal(12,4)"),
    ("float", "double"), ("date", "timestamp_ntz"), ("varchar(10)", "varchar(20)"), ("char(2)", "string"), ("array<integer>", "array<long>"),
]  # fmt: skip
NOT_WIDER = [
    ("long", "double"), ("long", "decimal(19,0)"), ("integer", "float"), ("integer", "decimal(10,2)"), ("decimal(10,2)", "decimal(10,3)"),
    ("decimal(10,2)", "double"), ("date", "timestamp"), ("timestamp_ntz", "timestamp"), ("string", "binary"), ("long", "string"),
    ("varchar(20)", "varchar(10)"), ("boolean", "byte"), ("string", "varchar(20)"), ("array<long>", "long"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), WIDER)
def test_a_wider_type_widens_and_the_way_back_does_not(old: str, new: str) -> None:
    assert widens(old, new)
    assert not widens(new, old)


@pytest.mark.parametrize(("old", "new"), NOT_WIDER)
def test_what_could_lose_a_value_is_no_widening(old: str, new: str) -> None:
    assert not widens(old, new)


@given(delta_types, delta_types, delta_types)
def test_widening_is_an_order(one: str, two: str, three: str) -> None:
    assert widens(one, one)
    assert one == two or not (widens(one, two) and widens(two, one))
    assert widens(one, three) or not (widens(one, two) and widens(two, three))


def _extremes(delta: str) -> list[str]:
    """SQL values at the ends of a type."""
    digits = decimal_digits(delta)
    if digits:
        text = "9" * (digits[0] - digits[1]) or "0"
        text += f".{'9' * digits[1]}" if digits[1] else ""
        return [text, f"-{text}"]
    bits = {"byte": 8, "short": 16, "integer": 32, "long": 64}.get(delta)
    if bits:
        return [str(2 ** (bits - 1) - 1), str(-(2 ** (bits - 1)))]
    return {"float": ["1.1", "-3.4e38"], "double": ["1.1"], "date": ["'1582-10-15'", "'9999-12-31'"]}.get(delta, [])


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


@given(pair=st.tuples(delta_types, delta_types).filter(lambda pair: widens(*pair) and bool(_extremes(pair[0]))))
def test_the_ends_of_a_type_stand_unchanged_in_a_wider_one(
    con: duckdb.DuckDBPyConnection, pair: tuple[str, str]
) -> None:
    old, new = (duckdb_type(each) for each in pair)
    for value in _extremes(pair[0]):
        same = f"CAST(CAST(x AS {new}) AS {old}) = x AND CAST(x AS {new}) = x"
        assert con.execute(f"SELECT {same} FROM (SELECT CAST({value} AS {old}) AS x)").fetchall() == [(True,)]


@given(delta_types)
def test_a_type_reads_back_as_itself(delta: str) -> None:
    assert parse_delta_type(f" {delta.upper()} ") == delta


@pytest.mark.parametrize(
    ("text", "hint"),
    [("bigint", "'long'"), ("varchar(20)", "'string'"), ("TIMESTAMP WITH TIME ZONE", "'timestamp'"), ("numeric(3)", "'decimal(38,0)'"), ("array<int>", "'integer'")],
)  # fmt: skip
def test_a_type_of_another_system_is_refused_with_the_delta_type_that_is_meant(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match="did you mean") as caught:
        parse_delta_type(text)
    assert hint in str(caught.value)


@pytest.mark.parametrize("text", ["decimal(0,0)", "decimal(39,0)", "decimal(5,6)"])
def test_a_decimal_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a decimal has 1 to 38 digits"):
        parse_delta_type(text)


MEANINGS = [
    ("postgresql", "character varying(20)", "string", "string"), ("postgresql", "integer", "integer", "integer"),
    ("postgresql", "bigint", "integer", "long"), ("postgresql", "numeric(12,4)", "number", "decimal(12,4)"),
    ("postgresql", "numeric(12,0)", "integer", "decimal(12,0)"), ("postgresql", "numeric", "number", None),
    ("postgresql", "numeric(60,4)", "number", None), ("postgresql", "double precision", "number", "double"),
    ("postgresql", "real", "number", "float"), ("postgresql", "timestamp without time zone", "timestamp", "timestamp_ntz"),
    ("postgresql", "timestamp(3) with time zone", "timestamp", "timestamp"), ("postgresql", "time(6) with time zone", "time", "string"),
    ("postgresql", "jsonb", "object", "string"), ("postgresql", "integer[]", "array", "array<integer>"),
    ("postgresql", "numeric[]", "array", None), ("postgresql", "bytea", "string", "binary"), ("postgresql", "money", "string", "string"),
    ("postgresql", "uuid", "string", "string"), ("postgresql", "interval", "string", "string"), ("postgresql", "mood", "string", "string"),
    ("mysql", "int(11)", "integer", "integer"), ("mysql", "int(10) unsigned", "integer", "long"),
    ("mysql", "bigint(20) unsigned zerofill", "integer", "decimal(20,0)"), ("mysql", "tinyint(1)", "integer", "byte"),
    ("mysql", "tinyint(3) unsigned", "integer", "short"), ("mysql", "mediumint(9)", "integer", "integer"),
    ("mysql", "datetime(6)", "timestamp", "timestamp_ntz"), ("mariadb", "timestamp", "timestamp", "timestamp"),
    ("mysql", "enum('a','b(1)')", "string", "string"), ("mysql", "set('a','b')", "string", "string"), ("mysql", "year(4)", "integer", "short"),
    ("mysql", "bit(8)", "string", "binary"), ("mysql", "float", "number", "float"), ("mysql", "double(10,2)", "number", "double"),
    ("mysql", "decimal", "integer", "decimal(10,0)"), ("mysql", "longtext", "string", "string"), ("mysql", "decimal(65,30)", "number", None),
    ("sqlite", "INTEGER", "integer", "long"), ("sqlite", "REAL", "number", "double"), ("sqlite", "VARCHAR(20)", "string", "string"),
    ("sqlite", "UNSIGNED BIG INT", "integer", "long"), ("sqlite", "", "string", "string"), ("sqlite", "DATETIME", "timestamp", "timestamp_ntz"),
    ("sqlite", "DECIMAL(12, 4)", "number", "decimal(12,4)"), ("sqlite", "BLOB", "string", "binary"),
    ("mssql", "datetime2(7)", "timestamp", "timestamp_ntz"), ("mssql", "datetimeoffset(7)", "timestamp", "timestamp"),
    ("mssql", "bit", "boolean", "boolean"), ("mssql", "tinyint", "integer", "short"), ("mssql", "money", "number", "decimal(19,4)"),
    ("mssql", "nvarchar(max)", "string", "string"), ("mssql", "timestamp", "string", "binary"), ("mssql", "float(24)", "number", "float"),
    ("mssql", "float(53)", "number", "double"), ("mssql", "uniqueidentifier", "string", "string"), ("sqlserver", "decimal", "integer", "decimal(18,0)"),
    ("oracle", "NUMBER(10,0)", "integer", "decimal(10,0)"), ("oracle", "NUMBER", "number", None), ("oracle", "NUMBER(5,-2)", "integer", "decimal(7,0)"),
    ("oracle", "DATE", "timestamp", "timestamp_ntz"), ("oracle", "TIMESTAMP(6) WITH LOCAL TIME ZONE", "timestamp", "timestamp"),
    ("oracle", "VARCHAR2(20 CHAR)", "string", "string"), ("oracle", "RAW(16)", "string", "binary"), ("oracle", "BINARY_DOUBLE", "number", "double"),
    ("oracle", "CLOB", "string", "string"), ("oracle", "FLOAT(126)", "number", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "text", "logical", "delta"), MEANINGS, ids=[f"{row[0]}-{row[1]}" for row in MEANINGS]
)
def test_a_legacy_type_means_what_its_database_says(dialect: str, text: str, logical: str, delta: str | None) -> None:
    kind = parse_physical_type(text, dialect)
    assert (kind.logical, kind.delta) == (logical, delta)
    assert kind.zoned == (
        {"timestamp": True, "timestamp_ntz": False}.get(delta or "") if logical == "timestamp" else None
    )
