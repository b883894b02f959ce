"""docs/contracts.md says what the code does."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import yaml

from plinth.contracts.load import load_contract
from plinth.contracts.settings import COLUMN, CONTRACT, RELATIONSHIP, TABLE
from plinth.contracts.trial import faulty_rules
from tests.plinth.contracts.writing import column, contract_values, write

PAGE = Path(__file__).resolve().parents[3] / "docs" / "contracts.md"


def block(start: str) -> str:
    """The indented block of the page that begins with a line."""
    found = re.search(rf"^    {re.escape(start)}\n(?:    .*\n|\n(?=    ))*", PAGE.read_text(), re.MULTILINE)
    assert found is not None
    return textwrap.dedent(found.group(0))


def test_the_table_of_the_page_loads(tmp_path: Path) -> None:
    values = {**contract_values(), **yaml.safe_load(block("schema:"))}
    table = load_contract(write(tmp_path, values), "erp").tables[0]
    assert (table.physical_schema, table.physical_name, table.key, table.cursor) == (
        "SALES",
        "INVLINE",
        ("line_id",),
        "updated_at",
    )


def test_the_rules_of_the_page_load_and_run(tmp_path: Path) -> None:
    columns = [
        column("a"),
        column("b"),
        column("group_code"),
        column("starts_on", "date"),
        column("ends_on", "date"),
        column("invoiced_at", "timestamp"),
    ]
    of_column: list[dict[str, object]] = []
    of_table: list[dict[str, object]] = []
    for rule in yaml.safe_load(block("quality:"))["quality"]:
        (of_column if rule.get("metric") in ("nullValues", "invalidValues") else of_table).append(rule)
    columns[2]["quality"] = of_column
    contract = load_contract(write(tmp_path, contract_values(columns=columns, quality=of_table)), "erp")
    assert len(contract.tables[0].rules) == 6
    assert faulty_rules(contract) == ()


def test_the_page_names_every_setting_where_it_may_stand() -> None:
    rows = re.findall(r"^\| ([a-z, ]+) \| (`.*?`) \|", PAGE.read_text(), re.MULTILINE)
    stated = {
        (place, name)
        for places, names in rows
        for place in places.split(", ")
        for name in re.findall(r"`(\w+)`", names)
    }
    for place, settings in (
        ("table", TABLE),
        ("contract", CONTRACT),
        ("column", COLUMN),
        ("relationship", RELATIONSHIP),
    ):
        assert {(place, name) for name in settings} - stated == set()
