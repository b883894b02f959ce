"""Each rule of a contract, run by DuckDB over rows that keep it and rows that break it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from plinth.contracts.load import load_contract
from plinth.contracts.model import Rule, Severity, Table
from plinth.contracts.physical import LOGICAL_TYPES
from plinth.contracts.rules import OPTIONS
from plinth.contracts.trial import faulty_rules
from plinth.errors import ContractError
from tests.plinth.contracts.writing import column, contract_values, load_table, odcs_schema, write


def delta(kind: str) -> list[dict[str, str]]:
    return [{"property": "deltaType", "value": kind}]


def kept(rule: Rule, kind: str, value: str) -> bool:
    """Whether a row whose column `c` of the DuckDB type `kind` has the SQL value passes the row rule."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'Asia/Tokyo'")  # a rule must not depend on where it runs
        con.execute(f"CREATE TABLE t AS SELECT CAST({value} AS {kind}) AS c")
        row = con.execute(f"SELECT coalesce(({rule.predicate}), true) FROM t").fetchone()
    assert row is not None
    return bool(row[0])


def measured(rule: Rule, values: list[Any]) -> bool:
    """Whether a table of these values in the text column `c` passes the table rule."""
    with duckdb.connect() as con:
        con.execute("CREATE TABLE t (c VARCHAR, d VARCHAR)")
        for value in values:
            con.execute("INSERT INTO t VALUES (?, ?)", value if isinstance(value, tuple) else (value, None))
        assert rule.query is not None
        row = con.execute(rule.query.replace("{table}", "t")).fetchone()
        assert row is not None
        low, high = rule.limits[0], rule.limits[-1]
        test = f"BETWEEN {low} AND {high}" if rule.operator == "between" else f"{rule.operator} {low}"
        held = con.execute(f"SELECT {float(row[0])} {test}").fetchone()
    assert held is not None
    return bool(held[0])


ROWS: list[tuple[dict[str, Any], str, str, list[str], list[str]]] = [
    ({"required": True}, "c_required", "VARCHAR", ["''", "'x'"], ["NULL"]),
    ({"primaryKey": True}, "c_required", "VARCHAR", ["'x'"], ["NULL"]),
    ({"enum": [{"value": "Y"}, {"value": "it's"}, {"value": 1}]}, "c_enum", "VARCHAR", ["'Y'", "'it''s'", "'1'", "NULL"], ["'y'", "' '"]),
    ({"logicalType": "integer", "enum": [{"value": 1}]}, "c_enum", "BIGINT", ["1"], ["2"]),
    ({"logicalType": "boolean", "enum": [{"value": True}]}, "c_enum", "BOOLEAN", ["true"], ["false"]),
    ({"logicalType": "integer", "logicalTypeOptions": {"minimum": -5}}, "c_minimum", "INTEGER", ["-5", "NULL"], ["-6"]),
    ({"logicalType": "integer", "logicalTypeOptions": {"maximum": 5}}, "c_maximum", "INTEGER", ["5"], ["6"]),
    ({"logicalType": "number", "logicalTypeOptions": {"exclusiveMinimum": 0}}, "c_exclusive_minimum", "DECIMAL(12,4)", ["0.0001"], ["0"]),
    ({"logicalType": "number", "logicalTypeOptions": {"exclusiveMaximum": 1e-05}}, "c_exclusive_maximum", "DECIMAL(38,6)", ["0.000009"], ["0.00001"]),
    ({"logicalType": "number", "logicalTypeOptions": {"multipleOf": 0.05}}, "c_multiple_of", "DECIMAL(9,2)", ["0.15", "-10"], ["0.16"]),
    ({"logicalType": "date", "logicalTypeOptions": {"minimum": "2000-01-01"}}, "c_minimum", "DATE", ["'2000-01-01'"], ["'1999-12-31'"]),
    ({"logicalType": "timestamp", "logicalTypeOptions": {"minimum": "2000-01-01T08:00:00"}}, "c_minimum", "TIMESTAMP", ["'2000-01-01 08:00:00'"], ["'2000-01-01 07:59:59.999999'"]),
    ({"logicalType": "timestamp", "logicalTypeOptions": {"maximum": "2000-01-01"}, "customProperties": delta("timestamp")}, "c_maximum", "TIMESTAMPTZ", ["'2000-01-01 00:00:00+00'"], ["'2000-01-01 00:00:01+00'"]),
    ({"logicalType": "timestamp", "logicalTypeOptions": {"maximum": "2000-01-01T02:00:00+02:00"}, "physicalType": "timestamptz"}, "c_maximum", "TIMESTAMPTZ", ["'2000-01-01 00:00:00+00'"], ["'2000-01-01 00:00:01+00'"]),
    ({"logicalType": "time", "logicalTypeOptions": {"maximum": "18:00:00"}}, "c_maximum", "VARCHAR", ["'17:59:59'"], ["'18:00:01'"]),
    ({"logicalTypeOptions": {"minLength": 2}}, "c_min_length", "VARCHAR", ["'äß'"], ["'a'"]),
    ({"logicalTypeOptions": {"maxLength": 2}}, "c_max_length", "VARCHAR", ["'äß'"], ["'abc'"]),
    ({"logicalTypeOptions": {"maxLength": 2}, "customProperties": delta("binary")}, "c_max_length", "BLOB", ["'ab'"], ["'abc'"]),
    ({"logicalTypeOptions": {"pattern": "^[A-Z]{2}'?$"}}, "c_pattern", "VARCHAR", ["'AB'", "'AB'''"], ["'xAB'", "''"]),
    ({"quality": [{"metric": "nullValues", "mustBe": 0}]}, "c_null_values", "VARCHAR", ["''"], ["NULL"]),
    ({"quality": [{"metric": "nullValues", "mustBeLessThan": 1}]}, "c_null_values", "VARCHAR", ["''"], ["NULL"]),
    ({"quality": [{"metric": "missingValues", "mustBe": 0}]}, "c_missing_values", "VARCHAR", ["' '"], ["NULL", "''"]),
    ({"logicalType": "date", "quality": [{"metric": "missingValues", "arguments": {"missingValues": ["1900-01-01", "N/A"]}, "mustBe": 0}]}, "c_missing_values", "DATE", ["'2000-01-01'"], ["'1900-01-01'", "NULL"]),
    ({"quality": [{"metric": "invalidValues", "arguments": {"validValues": ["a", "b"]}, "mustBe": 0}]}, "c_invalid_values", "VARCHAR", ["'a'", "NULL"], ["'c'"]),
    ({"quality": [{"metric": "invalidValues", "arguments": {"pattern": "^\\d+$"}, "mustBe": 0}]}, "c_invalid_values", "VARCHAR", ["'12'"], ["'1x'"]),
    ({"quality": [{"type": "custom", "engine": "plinth", "name": "No spaces", "implementation": "c = trim(c)"}]}, "no_spaces", "VARCHAR", ["'a'"], ["' a'"]),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "name", "kind", "right", "wrong"), ROWS, ids=[f"{row[1]}-{row[2]}" for row in ROWS])
def test_a_row_rule_parts_right_rows_from_wrong_ones(
    tmp_path: Path, facts: dict[str, Any], name: str, kind: str, right: list[str], wrong: list[str]
) -> None:
    table = load_table(tmp_path, columns=[{**column("c"), **facts}])
    rule = next(rule for rule in table.rules if rule.name == name)
    assert {value: kept(rule, kind, value) for value in right} == dict.fromkeys(right, True)
    assert {value: kept(rule, kind, value) for value in wrong} == dict.fromkeys(wrong, False)


TABLES: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    ({"unique": True}, ["a", "b", None, None], ["a", "a"]),
    ({"quality": [{"metric": "duplicateValues", "mustBe": 0}]}, ["a", None, None], ["a", "a"]),
    ({"quality": [{"metric": "duplicateValues", "mustBeLessThan": 50, "unit": "percent"}]}, ["a", "a", "b"], ["a", "a"]),
    ({"quality": [{"metric": "nullValues", "mustBeLessOrEqualTo": 50, "unit": "percent"}]}, ["a", None], ["a", None, None]),
    ({"quality": [{"metric": "nullValues", "mustBeLessOrEqualTo": 0, "unit": "percent"}]}, [], [None]),
    ({"quality": [{"metric": "nullValues", "mustBe": 1}]}, [None], ["a"]),
    ({"quality": [{"metric": "missingValues", "mustBeBetween": [1, 2]}]}, ["", None], ["a"]),
    ({"quality": [{"metric": "invalidValues", "arguments": {"validValues": ["a"]}, "mustNotBe": 1}]}, ["a"], ["b"]),
    ({"quality": [{"type": "sql", "query": "SELECT max(length(${column})) FROM ${object};", "mustBeLessThan": 3}]}, ["ab"], ["abc"]),
    ({"quality": [{"type": "sql", "query": "SELECT count(*) FROM {table}", "mustNotBeBetween": [2, 3]}]}, ["a"], ["a", "b"]),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "right", "wrong"), TABLES)
def test_a_table_rule_parts_right_tables_from_wrong_ones(
    tmp_path: Path, facts: dict[str, Any], right: list[Any], wrong: list[Any]
) -> None:
    (rule,) = load_table(tmp_path, columns=[{**column("c"), **facts}]).rules
    assert rule.predicate is None
    assert measured(rule, right)
    assert not measured(rule, wrong)


def test_row_counts_and_composite_duplicates_are_rules_of_the_table(tmp_path: Path) -> None:
    quality = [
        {"metric": "rowCount", "mustBeGreaterThan": 0, "name": "Not empty", "severity": "warning"},
        {"metric": "duplicateValues", "arguments": {"properties": ["c", "d"]}, "mustBe": 0},
    ]
    empty, repeated = load_table(tmp_path, columns=[column("c"), column("d")], quality=quality).rules
    assert (empty.name, empty.severity, repeated.name, repeated.columns) == (
        "not_empty",
        Severity.WARNING,
        "duplicate_values",
        ("c", "d"),
    )
    assert measured(empty, ["a"])
    assert not measured(empty, [])
    assert measured(repeated, [("a", "b"), ("a", "c")])
    assert not measured(repeated, [("a", "b"), ("a", "b")])


def test_texts_and_checks_of_other_engines_are_no_rules(tmp_path: Path) -> None:
    quality = [
        {"type": "text", "description": "Ask Ann."},
        {"type": "custom", "engine": "soda", "implementation": "x"},
    ]
    assert load_table(tmp_path, columns=[column("c", quality=quality)], quality=quality).rules == ()


def test_rule_names_are_unique_and_stable(tmp_path: Path) -> None:
    check = {"name": "c required", "metric": "nullValues", "mustBe": 0}
    table = load_table(tmp_path, columns=[column("c", required=True, quality=[check, check])])
    assert [rule.name for rule in table.rules] == ["c_required", "c_required_2", "c_required_3"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"logicalTypeOptions": {"minlength": 2}}, "a string takes: minLength, maxLength, pattern, format (did you mean 'minLength'?)"),
    ({"logicalType": "number", "logicalTypeOptions": {"precision": 2}}, "digits stand in the type instead"),
    ({"logicalType": None, "logicalTypeOptions": {"minLength": 2}}, "logicalTypeOptions need a logicalType"),
    ({"logicalTypeOptions": {"minLength": -2}}, "a whole number of 0 or more is expected, found -2"),
    ({"logicalTypeOptions": {"pattern": 7}}, "a regular expression is expected, found 7"),
    ({"logicalType": "integer", "logicalTypeOptions": {"minimum": "low"}}, "a number is expected, found 'low'"),
    ({"logicalType": "number", "logicalTypeOptions": {"maximum": float("inf")}}, "a number is expected, found inf"),
    ({"logicalType": "integer", "logicalTypeOptions": {"multipleOf": 0}}, "a number above 0 is expected, found 0"),
    ({"logicalType": "date", "logicalTypeOptions": {"minimum": "1.1.2000"}}, "a date such as 2000-01-31 is expected"),
    ({"logicalType": "timestamp", "logicalTypeOptions": {"minimum": "noon"}}, "a time stamp such as 2000-01-31T08:00:00 is expected"),
    ({"logicalType": "timestamp", "logicalTypeOptions": {"minimum": "2000-01-01T00:00:00+01:00"}}, "a time stamp without zone is expected"),
    ({"enum": [{"value": False}]}, "enum[False]: text is expected, found False: quote it"),
    ({"logicalType": "boolean", "enum": [{"value": "Y"}]}, "true or false is expected, found 'Y'"),
    ({"quality": [{"metric": "nullvalue", "mustBe": 0}]}, "(did you mean 'nullValues'?)"),
    ({"quality": [{"metric": "nullValues"}]}, "exactly one limit is expected"),
    ({"quality": [{"metric": "nullValues", "mustBe": 0, "mustBeLessThan": 1}]}, "found mustBe, mustBeLessThan"),
    ({"quality": [{"metric": "nullValues", "mustBe": "none"}]}, "a number is expected, found 'none'"),
    ({"quality": [{"metric": "rowCount", "mustBeBetween": [3, 2]}]}, "the smaller number comes first"),
    ({"quality": [{"metric": "nullValues", "mustBe": 0, "unit": "promille"}]}, "rows or percent is expected"),
    ({"quality": [{"metric": "nullValues", "mustBe": 0, "severity": "info"}]}, "one of error, warning is expected, found 'info'"),
    ({"quality": [{"metric": "nullValues", "mustBe": 0, "arguments": {"x": 1}}]}, "unknown argument; nullValues takes: none"),
    ({"quality": [{"metric": "invalidValues", "mustBe": 0}]}, "validValues (a list) or pattern"),
    ({"quality": [{"metric": "invalidValues", "arguments": {"validValues": [True]}, "mustBe": 0}]}, "text is expected, found True"),
    ({"quality": [{"metric": "duplicateValues", "arguments": {"properties": ["x"]}, "mustBe": 0}]}, "there is no column 'x'"),
    ({"quality": [{"type": "sql", "mustBe": 0}]}, "a DuckDB SQL query that gives one number is expected"),
    ({"quality": [{"type": "sequel", "mustBe": 0}]}, "one of library, sql, text, custom is expected, found 'sequel'"),
    ({"quality": [{"type": "custom", "engine": "plinth"}]}, "a DuckDB SQL predicate over the column names is expected"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "message"), REFUSED, ids=[message[:50] for _, message in REFUSED])
def test_a_wrong_rule_is_refused(tmp_path: Path, facts: dict[str, Any], message: str) -> None:
    stated = {key: value for key, value in {**column("c"), **facts}.items() if value is not None}
    with pytest.raises(ContractError) as caught:
        load_contract(write(tmp_path, contract_values(columns=[stated])), "shop")
    assert message in str(caught.value)


def test_a_column_metric_at_the_table_is_refused(tmp_path: Path) -> None:
    for metric, message in (
        ("nullValues", "quality list of that column"),
        ("duplicateValues", "properties (a list of columns)"),
    ):
        values = contract_values(quality=[{"metric": metric, "mustBe": 0}])
        with pytest.raises(ContractError) as caught:
            load_contract(write(tmp_path, values), "shop")
        assert message in str(caught.value)


def test_the_trial_tells_rules_that_duckdb_refuses_from_those_that_run(tmp_path: Path) -> None:
    custom = {"type": "custom", "engine": "plinth"}
    quality = [
        {**custom, "name": "fine", "implementation": "length(c) > 2"},
        {**custom, "name": "typo", "implementation": "lenght(c) > 2"},
        {**custom, "name": "no column", "implementation": "d > 2"},
        {**custom, "name": "escape", "implementation": "true) FROM trial; DROP TABLE trial; --"},
        {"type": "sql", "name": "two columns", "query": "SELECT 1, 2 FROM {table}", "mustBe": 1},
        {"type": "sql", "name": "counts", "query": "SELECT count(c) FROM {table}", "mustBe": 1},
    ]
    look_ahead = column("c", logicalTypeOptions={"pattern": "(?=x)"})
    contract = load_contract(write(tmp_path, contract_values(columns=[look_ahead], quality=quality)), "shop")
    faults = faulty_rules(contract)
    assert [fault.split(": ")[1] for fault in faults] == [
        f"rule {name}" for name in ("c_pattern", "typo", "no_column", "escape", "two_columns")
    ]
    assert all(fault.startswith("orders: rule ") for fault in faults)


def test_every_column_type_can_be_tried(tmp_path: Path) -> None:
    kinds = ("string", "long", "integer", "short", "byte", "float", "double", "boolean", "binary", "date", "timestamp", "timestamp_ntz",
             "decimal(38,10)", "array<long>")  # fmt: skip
    columns = [column(f"c{number}", required=True, customProperties=delta(kind)) for number, kind in enumerate(kinds)]
    table: Table = load_table(tmp_path, columns=columns)
    contract = load_contract(tmp_path / "shop.odcs.yaml", "shop")
    assert len(table.rules) == len(kinds)
    assert faulty_rules(contract) == ()


def test_the_options_of_each_logical_type_are_those_of_the_standard() -> None:
    schema = odcs_schema()["$defs"]["SchemaBaseProperty"]
    stated: dict[str, set[str]] = {}
    for branch in schema["allOf"]:
        tests = branch.get("if", {})
        for test in tests.get("anyOf", [tests] if tests else []):
            options = branch["then"]["properties"].get("logicalTypeOptions", {}).get("properties", {})
            stated[test["properties"]["logicalType"]["const"]] = set(options)
    assert {kind: set(options) for kind, options in OPTIONS.items() if options} == {
        kind: each for kind, each in stated.items() if each
    }
    assert set(OPTIONS) == set(LOGICAL_TYPES) == set(schema["properties"]["logicalType"]["enum"])
