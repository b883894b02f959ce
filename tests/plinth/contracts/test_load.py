"""What a contract file may say, and that everything else is refused with its place."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from plinth.contracts.load import load_contract
from plinth.contracts.model import Drift, Mode, Reference, Severity
from plinth.errors import ContractError
from tests.plinth.contracts.writing import column, contract_values, load_table, write


def refusal(folder: Path, values: dict[str, Any] | str) -> str:
    with pytest.raises(ContractError) as caught:
        load_contract(write(folder, values), "shop")
    return str(caught.value)


def test_a_bare_table_gets_the_defaults(tmp_path: Path) -> None:
    table = load_table(tmp_path, columns=[column("id")])
    assert (table.mode, table.drift, table.key, table.cursor) == (Mode.SNAPSHOT, Drift.EVOLVE, (), None)
    assert (table.quarantine_share, table.freshness, table.owner, table.rules) == (0.0, None, None, ())
    assert (table.physical_name, table.columns[0].physical_name, table.columns[0].classification) == (
        "orders",
        "id",
        "internal",
    )


def test_every_setting_of_a_table_arrives(tmp_path: Path) -> None:
    settings = {
        "mode": "incremental", "cursor": "changed_at", "lookback": "P3DT6H", "reconcileEvery": "PT12H", "drift": "freeze",
        "quarantineShare": 0.25, "historyTolerance": 0.5, "zone": "on_prem", "profile": "memory",
    }  # fmt: skip
    table = load_table(
        tmp_path, settings=settings, physicalName="SALES.ORDERS", tags=["core"], description="All orders."
    )
    assert (table.mode, table.cursor, table.lookback) == (
        Mode.INCREMENTAL,
        "changed_at",
        3 * 86400 + 6 * 3600,
    )
    assert (table.reconcile_every, table.drift, table.quarantine_share) == (
        timedelta(hours=12),
        Drift.FREEZE,
        0.25,
    )
    assert (table.history_tolerance, table.zone, table.profile) == (0.5, "on_prem", "memory")
    assert (table.physical_schema, table.physical_name, table.tags, table.description) == (
        "SALES",
        "ORDERS",
        ("core",),
        "All orders.",
    )


def test_every_fact_of_a_column_arrives(tmp_path: Path) -> None:
    stated = column(
        "price", "number", physicalName="UNITPR", physicalType="NUMBER(12,4)", description="Of one piece.", required=True, unique=True,
        classification="restricted", tags=["money"],
        customProperties=[{"property": "deltaType", "value": "DECIMAL(12, 4)"}, {"property": "zeroDates", "value": "1900-01-01"}],
    )  # fmt: skip
    found = load_table(tmp_path, columns=[stated]).columns[0]
    assert (found.name, found.physical_name, found.physical_type, found.logical_type) == (
        "price",
        "UNITPR",
        "NUMBER(12,4)",
        "number",
    )
    assert (found.delta_type, found.zero_dates, found.description) == (
        "decimal(12,4)",
        "1900-01-01",
        "Of one piece.",
    )
    assert (found.required, found.unique, found.classification, found.tags) == (
        True,
        True,
        "restricted",
        ("money",),
    )


def test_the_contracts_settings_are_the_tables_defaults(tmp_path: Path) -> None:
    values = contract_values(settings={"drift": "freeze"})
    values["customProperties"] = [
        {"property": "drift", "value": "discard"},
        {"property": "quarantineShare", "value": 0.1},
    ]
    table = load_contract(write(tmp_path, values), "shop").tables[0]
    assert (table.drift, table.quarantine_share) == (Drift.FREEZE, 0.1)


def test_a_composite_key_follows_its_positions_not_the_file(tmp_path: Path) -> None:
    columns = [
        column("b", primaryKey=True, primaryKeyPosition=2),
        column("a", primaryKey=True, primaryKeyPosition=1),
        column("c"),
    ]
    table = load_table(tmp_path, columns=columns)
    assert table.key == ("a", "b")
    assert [each.required for each in table.columns] == [True, True, False]


def test_partitions_follow_their_positions(tmp_path: Path) -> None:
    columns = [
        column("day", "date", partitioned=True, partitionKeyPosition=2), column("country", partitioned=True, partitionKeyPosition=1),
        column("id"),
    ]  # fmt: skip
    assert load_table(tmp_path, columns=columns).partition_by == ("country", "day")


def test_a_lookback_of_a_number_cursor_counts_units(tmp_path: Path) -> None:
    columns = [column("id", "integer", primaryKey=True), column("seq", "integer")]
    table = load_table(tmp_path, columns=columns, settings={"mode": "incremental", "cursor": "seq", "lookback": 1000})
    assert table.lookback == 1000


def test_a_quoted_physical_name_keeps_its_dots(tmp_path: Path) -> None:
    table = load_table(tmp_path, physicalName='"My Schema"."Order.Lines ""2020"""')
    assert (table.physical_schema, table.physical_name) == ("My Schema", 'Order.Lines "2020"')


@pytest.mark.parametrize(
    ("team", "owner"),
    [
        ({"name": "sales systems"}, "team:sales-systems"),
        ({"name": "team:sales"}, "team:sales"),
        ({"name": "ann@shop.example"}, "ann@shop.example"),
        (
            {"members": [{"username": "bob"}, {"username": "ann@shop.example", "role": "Data Owner"}]},
            "ann@shop.example",
        ),
        ([{"username": "ann", "role": "owner"}], "team:ann"),
    ],
)
def test_the_owner_comes_from_the_team(tmp_path: Path, team: Any, owner: str) -> None:
    contract = load_contract(write(tmp_path, {**contract_values(), "team": team}), "shop")
    assert contract.owner == contract.tables[0].owner == owner


@pytest.mark.parametrize(
    ("promise", "age"),
    [
        ({"value": 26, "unit": "h"}, timedelta(hours=26)),
        ({"value": 2, "unit": "days", "element": "orders"}, timedelta(days=2)),
        ({"value": "PT90M", "element": "orders.changed_at"}, timedelta(minutes=90)),
        ({"value": 1, "unit": "w", "element": "orders, orders.id"}, timedelta(weeks=1)),
    ],
)
def test_freshness_is_read_in_its_unit(tmp_path: Path, promise: dict[str, Any], age: timedelta) -> None:
    values = {**contract_values(), "slaProperties": [{"property": "freshness", **promise}]}
    assert load_contract(write(tmp_path, values), "shop").tables[0].freshness == age


def test_a_tables_own_freshness_wins_over_the_general_one(tmp_path: Path) -> None:
    sla = [
        {"property": "latency", "value": 1, "unit": "h", "element": "orders"},
        {"property": "freshness", "value": 9, "unit": "d"},
    ]
    assert load_contract(write(tmp_path, {**contract_values(), "slaProperties": sla}), "shop").tables[
        0
    ].freshness == timedelta(hours=1)


def test_references_are_read_under_columns_and_under_tables(tmp_path: Path) -> None:
    columns = [
        column("id", "integer"),
        column("country", relationships=[{"to": "places.country"}]),
        column("town"),
    ]
    values = contract_values(columns=columns)
    values["schema"][0]["relationships"] = [
        {
            "from": ["orders.country", "orders.town"], "to": ["places.country", "places.town"],
            "customProperties": [{"property": "severity", "value": "error"}],
        }
    ]  # fmt: skip
    values["schema"].append({"name": "places", "properties": [column("country"), column("town")]})
    assert load_contract(write(tmp_path, values), "shop").tables[0].references == (
        Reference(("country",), "places", ("country",), Severity.WARNING),
        Reference(("country", "town"), "places", ("country", "town"), Severity.ERROR),
    )


def test_the_strictest_classification_of_what_is_nested_holds_for_the_column(tmp_path: Path) -> None:
    nested = column(
        "address",
        "object",
        classification="public",
        properties=[column("street", classification="confidential"), column("x")],
    )
    assert load_table(tmp_path, columns=[nested]).columns[0].classification == "confidential"


def test_properties_of_other_tools_pass(tmp_path: Path) -> None:
    values = contract_values(customProperties=[{"property": "lokback", "value": 1, "vendor": "soda"}])
    assert load_contract(write(tmp_path, values), "shop").tables[0].lookback == 0


def test_dates_are_text_and_need_no_quotes(tmp_path: Path) -> None:
    text = yaml.safe_dump(contract_values(columns=[column("day", "date", logicalTypeOptions={"minimum": "DAY"})]))
    table = load_contract(write(tmp_path, text.replace("DAY", "2000-01-31")), "shop").tables[0]
    assert table.rules[0].predicate == "\"day\" >= DATE '2000-01-31'"


def test_anchors_and_merges_are_no_repeated_keys(tmp_path: Path) -> None:
    text = """
apiVersion: v3.2.0
kind: DataContract
id: shop
version: 1.0.0
schema:
  - name: orders
    properties:
      - &id {name: id, logicalType: integer, required: true}
      - {<<: *id, name: other}
"""
    columns = load_contract(write(tmp_path, text), "shop").tables[0].columns
    assert [(each.name, each.logical_type, each.required) for each in columns] == [
        ("id", "integer", True),
        ("other", "integer", True),
    ]


SETTING = "schema[orders].customProperties"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "schema[orders].colour: unknown key"),
    ({"columns": [column("id", primarykey=True)]}, "schema[orders].properties[id].primarykey: unknown key"),
    ({"columns": [column("id", primarykey=True)]}, "(did you mean 'primaryKey'?)"),
    ({"columns": [column("id", quality=[{"metrik": "nullValues"}])]}, "quality[0].metrik: unknown key"),
    ({"columns": [column("id", "strng")]}, "one of string, date, timestamp, time, number, integer, object, array, boolean, map, vector is expected, found 'strng' (did you mean 'string'?)"),
    ({"columns": [column("id", classification="secret")]}, "one of public, internal, confidential, restricted is expected, found 'secret'"),
    ({"columns": [column("id", required="perhaps")]}, "a valid boolean, unable to interpret input is expected, found 'perhaps'"),
    ({"columns": [column("id", enum=["A"])]}, "enum[0]: a mapping (`{key: value}`) is expected, found 'A'"),
    ({"columns": [column("id", description=7)]}, "text (quote it) is expected, found 7"),
    ({"columns": [column("id", semanticType="measure")]}, "a measure is no column of the legacy table"),
    ({"columns": [column("Id")]}, "begins with a letter is expected, found 'Id'"),
    ({"columns": [column("_id")]}, "begins with a letter is expected, found '_id'"),
    ({"columns": [column("id"), column("id")]}, "'id' is the name of another column too"),
    ({"columns": [column("a", physicalName="X"), column("b", physicalName="X")]}, "'X' is the physicalName of another column too"),
    ({"properties": []}, "at least one column is expected"),
    ({"name": "Orders"}, "found 'Orders'; the legacy system's own name goes into physicalName"),
    ({"physicalName": "a.b.c"}, "table or schema.table is expected"),
    ({"physicalName": "a..c"}, "table or schema.table is expected"),
    ({"settings": {"lokback": "P1D"}}, f"{SETTING}[lokback]: unknown setting 'lokback'"),
    ({"settings": {"lokback": "P1D"}}, "(did you mean 'lookback'?)"),
    ({"settings": {"quarantine_share": 0}}, "(did you mean 'quarantineShare'?)"),
    ({"settings": {"deltaType": "long"}}, "unknown setting 'deltaType'; settings here: mode, cursor"),
    ({"settings": {"deltaType": "long"}}, "it is a setting of a column"),
    ({"columns": [column("id", customProperties=[{"property": "mode", "value": "snapshot"}])]}, "it is a setting of a table"),
    ({"settings": {"mode": "increment"}}, "one of snapshot, incremental is expected (did you mean 'incremental'?), found 'increment'"),
    ({"settings": {"drift": "evolv"}}, "one of evolve, freeze, discard is expected"),
    ({"settings": {"reconcileEvery": "1 day"}}, "an ISO 8601 duration of weeks, days, hours, minutes or seconds such as P3D or PT6H is expected, found '1 day'"),
    ({"settings": {"reconcileEvery": "P"}}, "an ISO 8601 duration"),
    ({"settings": {"reconcileEvery": "P1M"}}, "an ISO 8601 duration"),
    ({"settings": {"quarantineShare": 2}}, "a share from 0 to 1 is expected"),
    ({"settings": {"quarantineShare": True}}, "a share from 0 to 1 is expected"),
    ({"settings": {"historyTolerance": "10%"}}, "a share from 0 to 1 is expected"),
    ({"settings": {"zone": ""}}, "a name is expected"),
    ({"settings": {"lookback": "P1D"}}, "lookback is set, but the mode is snapshot"),
    ({"settings": {"cursor": "changed"}}, "there is no column 'changed' (did you mean 'changed_at'?)"),
    ({"settings": {"mode": "incremental"}}, "mode incremental needs a cursor"),
    ({"settings": {"mode": "incremental", "cursor": "t"}, "columns": [column("t", "timestamp")]}, "mode incremental needs a key"),
    ({"settings": {"mode": "incremental", "cursor": "changed_at", "lookback": 3}}, "the cursor is a time: a duration such as P3D is expected, found 3"),
    ({"settings": {"mode": "incremental", "cursor": "id", "lookback": "P3D"}}, "the cursor is a number: a whole number is expected, found 'P3D'"),
    ({"settings": {"mode": "incremental", "cursor": "changed_at", "lookback": -1}}, "a number of 0 or more is expected"),
    ({"settings": {"mode": "incremental", "cursor": "changed_at", "lookback": "soon"}}, "an ISO 8601 duration such as P3D, or a whole number"),
    ({"settings": {"mode": "incremental", "cursor": "t"}, "columns": [column("id", primaryKey=True), column("t")]}, "a date, time stamp or whole number is expected as cursor, found string"),
    ({"columns": [column("a", "number", partitioned=True), column("b")]}, "is expected as partition, found double"),
    ({"columns": [column("a", partitioned=True)]}, "a table needs a column besides those it is partitioned by"),
    ({"columns": [column("a", primaryKeyPosition=1)]}, "a position is given, but primaryKey is not true"),
    ({"columns": [column("a", primaryKey=True, primaryKeyPosition=1), column("b", primaryKey=True, primaryKeyPosition=1)]}, "primaryKeyPosition must be 1 to 2, each once"),
    ({"columns": [column("a", customProperties=[{"property": "deltaType", "value": "bigint"}])]}, "found 'bigint' (did you mean 'long'?)"),
    ({"columns": [column("a", customProperties=[{"property": "deltaType", "value": "decimal(40,2)"}])]}, "a decimal has 1 to 38 digits"),
    ({"columns": [column("a", customProperties=[{"property": "zeroDates", "value": "never"}])]}, "null, quarantine or a date such as 1900-01-01 is expected"),
    ({"columns": [column("a", customProperties=[{"property": "zeroDates", "value": "null"}] * 2)]}, "zeroDates is set twice"),
    ({"columns": [column("a", relationships=[{"to": "custmer.id"}])]}, "there is no table 'custmer' in this contract"),
    ({"columns": [column("a", relationships=[{"to": "orders.b"}])]}, "the table orders has no column 'b'"),
    ({"columns": [column("a", relationships=[{"from": "orders.a", "to": "orders.a"}])]}, "drop this key"),
    ({"columns": [column("a", relationships=[{"to": "a"}])]}, "table.column is expected"),
    ({"columns": [column("a", relationships=[{"to": ["orders.a", "orders.a"]}])]}, "as many columns to as from are expected"),
    ({"columns": [column("a")], "relationships": [{"from": "other.a", "to": "orders.a"}]}, "there is no table 'other'"),
    ({"columns": [column("a", relationships=[{"to": "orders.a", "type": "friend"}])]}, "foreignKey is expected, found 'friend'"),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "message"), REFUSED, ids=[message[:60] for _, message in REFUSED])
def test_what_is_wrong_is_refused_with_its_place_and_what_is_allowed(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    said = refusal(tmp_path, contract_values(**keys))
    assert message in said
    assert str(tmp_path / "shop.odcs.yaml") in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "Contract"}, "kind: 'DataContract' is expected, found 'Contract'"),
        (
            {"apiVersion": "v2.2.2"},
            "apiVersion: an ODCS version 3 such as 'v3.2.0' is expected, found 'v2.2.2'",
        ),
        ({"id": None}, "id: a value is expected, found none"),
        ({"schema": []}, "schema: a value is expected, found none"),
        ({"version": 1.0}, "version: text (quote it) is expected, found 1.0"),
        ({"team": {"nme": "x"}}, "team.nme: unknown key"),
        ({"customProperties": [{"property": "mode", "value": "snapshot"}]}, "it is a setting of a table"),
        (
            {"slaProperties": [{"property": "freshness", "value": 1, "unit": "moon"}]},
            "one of w, d, h, min, s is expected",
        ),
        (
            {"slaProperties": [{"property": "freshness", "value": "soon", "unit": "h"}]},
            "a number above 0 is expected, found 'soon'",
        ),
        ({"slaProperties": [{"property": "freshness", "value": "P1M"}]}, "an ISO 8601 duration"),
        (
            {"slaProperties": [{"property": "freshness", "value": 1, "unit": "h", "element": "order"}]},
            "(did you mean 'orders'?)",
        ),
        (
            {"slaProperties": [{"property": "freshness", "value": 1, "unit": "h", "element": "orders.x"}]},
            "has no column 'x'",
        ),
    ],
)
def test_a_wrong_head_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    assert message in refusal(tmp_path, {**contract_values(), **change})


def test_every_fault_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = yaml.safe_dump(contract_values(settings={"mode": "sometimes", "drift": "never"}), sort_keys=False)
    said = refusal(tmp_path, text)
    lines = text.splitlines()
    for wrong in ("sometimes", "never"):
        line = next(number for number, each in enumerate(lines, start=1) if wrong in each)
        assert f"line {line}, {SETTING}" in said
    assert "2 faults" in said


def test_a_repeated_key_is_refused_with_both_lines(tmp_path: Path) -> None:
    text = yaml.safe_dump(contract_values(), sort_keys=False) + "kind: DataContract\n"
    said = refusal(tmp_path, text)
    assert f"line {len(text.splitlines())}: 'kind', first in line 2" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "the contract file is no YAML"),
        ("- a", "is no mapping"),
        ("", "is no mapping"),
        ("a: !!python/object:os.system x", "is no YAML"),
    ],
)
def test_a_file_that_is_no_contract_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text)


def test_a_missing_file_and_one_of_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="is missing"):
        load_contract(tmp_path / "none.yaml", "shop")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ContractError, match="no UTF-8"):
        load_contract(tmp_path / "bytes.yaml", "shop")


def test_two_tables_of_one_name_are_refused(tmp_path: Path) -> None:
    values = contract_values()
    values["schema"].append({**values["schema"][0]})
    said = refusal(tmp_path, values)
    assert "'orders' is the name of another table too" in said
    assert "'orders' is the physicalName of another table too" in said


def test_importing_contracts_imports_no_engine() -> None:
    heavy = "{'duckdb', 'deltalake', 'sqlalchemy', 'pyarrow', 'dagster', 'jsonschema'}"
    code = f"import sys, plinth.contracts.load, plinth.contracts.drift, plinth.contracts.infer; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
