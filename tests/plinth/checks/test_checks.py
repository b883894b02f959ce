"""Each kind of check finds what it is for, in a bronze table that was broken past the loader."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plinth.checks import Finding, Load, checks_of, evidence, examine
from plinth.checks.examine import holds
from plinth.contracts.load import load_contract
from plinth.contracts.model import Drift, Mode, Rule, Table
from plinth.engine import connect
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.schema import columns_of
from plinth.lakehouse.staging import stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import TableId, TableVersion
from tests.frame.shop import Shop

GOOD = "(1::BIGINT, 1::BIGINT, 5.5::DECIMAL(10,2), 'open', TIMESTAMP '2024-01-01')"


class Bronze:
    """Writes bronze tables as they should not be, and looks at them."""

    def __init__(self, shop: Shop) -> None:
        self.lakehouse = shop.lakehouse
        self.contract = load_contract(shop.folder / "shop.odcs.yaml", "shop")
        self.orders = self.contract.table("orders")
        self.con = connect(shop.platform.profile(), extensions=("delta",))

    def write(self, name: str, sql: str, **state: Any) -> TableVersion:
        """Publishes rows, whatever they are."""
        table, columns = TableId("bronze", name), columns_of(self.con, sql)
        base = self.lakehouse.find(table)
        staged = stage(self.con, sql, self.lakehouse.uri_of(table), columns)
        after = (base.state if base else State()).next(changed=True, **state)
        return commit(self.lakehouse, table, Write(base, columns, after, staged, base.files if base else ()))

    def orders_with(self, *rows: str, names: str = "order_no, client_no, amount, state, updated_at") -> TableVersion:
        """Publishes orders."""
        return self.write("orders", f"SELECT * FROM (VALUES {', '.join(rows)}) t({names})")

    def look(
        self, version: TableVersion, name: str, *, table: Table | None = None, load: Load | None = None, **how: Any
    ) -> Finding:
        """What one check says."""
        table = table or self.orders
        check = next(each for each in checks_of(table) if each.name == name)
        others = {"client": self.lakehouse.find(TableId("bronze", "client"))}
        (found,) = examine(self.con, table, [check], version, others=others, load=load or Load(), **how)
        return found


@pytest.fixture
def bronze(shop: Shop) -> Bronze:
    return Bronze(shop)


def test_a_repeated_key_is_found(bronze: Bronze) -> None:
    found = bronze.look(bronze.orders_with(GOOD, GOOD, GOOD), "key_unique")
    assert (found.passed, found.broken) == (False, 2)


def test_a_missing_key_is_found(bronze: Bronze) -> None:
    found = bronze.look(bronze.orders_with(GOOD, GOOD.replace("1::BIGINT", "NULL::BIGINT", 1)), "key_unique")
    assert (found.passed, found.broken) == (False, 1)


def test_rows_that_break_a_rule_are_counted_and_nulls_do_not_break_it(bronze: Bronze) -> None:
    version = bronze.orders_with(GOOD, GOOD.replace("5.5", "-1"), GOOD.replace("5.5", "NULL"))
    found = bronze.look(version, "amount_minimum")
    assert (found.passed, found.broken) == (False, 1)
    assert bronze.con.execute(found.query or "").fetchone() == (1,)


def test_one_rule_that_cannot_be_computed_is_named_and_the_others_still_count(bronze: Bronze) -> None:
    broken = Rule("impossible", "cannot be", predicate="no_such_column > 1")
    table = replace(bronze.orders, rules=(broken, *bronze.orders.rules))
    version = bronze.orders_with(GOOD)
    assert not bronze.look(version, "impossible", table=table).passed
    checks = [check for check in checks_of(table) if check.name in ("impossible", "amount_minimum")]
    found = {each.check.name: each for each in examine(bronze.con, table, checks, version, others={}, load=Load())}
    assert "no_such_column" in found["impossible"].found
    assert found["amount_minimum"].passed


def test_a_table_rule_compares_its_number(bronze: Bronze) -> None:
    assert bronze.look(bronze.orders_with(GOOD, GOOD), "few_open").passed
    assert not bronze.look(bronze.orders_with(GOOD, GOOD, GOOD), "few_open").passed


@pytest.mark.parametrize(
    ("operator", "limits", "right", "wrong"),
    [("=", (2,), 2, 3), ("!=", (2,), 3, 2), (">", (2,), 3, 2), (">=", (2,), 2, 1), ("<", (2,), 1, 2), ("<=", (2,), 2, 3),
     ("between", (2, 4), 4, 5)],
)  # fmt: skip
def test_every_operator_of_a_table_rule(operator: str, limits: tuple[float, ...], right: float, wrong: float) -> None:
    assert holds(right, operator, limits)
    assert not holds(wrong, operator, limits)


def test_an_orphan_is_found_and_a_null_is_none(bronze: Bronze) -> None:
    bronze.write("client", "SELECT 1::BIGINT AS client_no, 'Ada' AS name, TIMESTAMP '2024-01-01' AS updated_at")
    orphan, nobody = (
        GOOD.replace("1::BIGINT, 5.5", "9::BIGINT, 5.5"),
        GOOD.replace("1::BIGINT, 5.5", "NULL::BIGINT, 5.5"),
    )
    found = bronze.look(bronze.orders_with(GOOD, orphan, nobody), "client_no_in_client")
    assert (found.passed, found.broken) == (False, 1)


def test_a_reference_to_a_table_that_was_never_loaded_says_so(bronze: Bronze) -> None:
    found = bronze.look(bronze.orders_with(GOOD), "client_no_in_client")
    assert not found.passed
    assert "does not exist yet" in found.found


def test_missing_and_retyped_columns_are_found(bronze: Bronze) -> None:
    version = bronze.write(
        "orders", "SELECT '1' AS order_no, 1::BIGINT AS client_no, 5.5::DECIMAL(10,2) AS amount, 'x' AS state"
    )
    found = bronze.look(version, "schema")
    assert not found.passed
    assert "updated_at is missing" in found.found
    assert "order_no is string instead of long" in found.found


def test_a_column_that_drifted_in_is_right_unless_the_contract_is_frozen(bronze: Bronze) -> None:
    row = GOOD.replace("TIMESTAMP '2024-01-01'", "TIMESTAMP '2024-01-01', 1")
    version = bronze.orders_with(row, names="order_no, client_no, amount, state, updated_at, fax")
    found = bronze.look(version, "schema")
    assert found.passed
    assert "fax" in found.found
    assert not bronze.look(version, "schema", table=replace(bronze.orders, drift=Drift.FREEZE)).passed


def test_rows_lost_against_the_source_are_found_and_quarantined_ones_are_not_lost(bronze: Bronze) -> None:
    version = bronze.orders_with(GOOD, GOOD)
    assert bronze.look(version, "rows_match_source", load=Load(source_rows=3, held_back=1)).passed
    found = bronze.look(version, "rows_match_source", load=Load(source_rows=3))
    assert (found.passed, found.broken) == (False, 1)


def test_a_check_that_cannot_be_computed_says_why_without_a_value(bronze: Bronze) -> None:
    version = bronze.orders_with(GOOD)
    for rule in (
        Rule("is_number", "", ("state",), "CAST(state AS INTEGER) > 0"),
        Rule(
            "is_number",
            "",
            ("state",),
            None,
            query="SELECT max(CAST(state AS INTEGER)) FROM {table}",
            operator=">",
            limits=(0,),
        ),
    ):
        found = bronze.look(version, "is_number", table=replace(bronze.orders, rules=(rule,)))
        assert not found.passed and "cannot be computed: Conversion Error" in found.found and "open" not in found.found


def test_rows_that_the_source_has_deleted_are_no_fault_where_the_contract_keeps_them(bronze: Bronze) -> None:
    version = bronze.orders_with(GOOD, GOOD.replace("1::BIGINT", "2::BIGINT", 1))
    keeping = replace(bronze.orders, mode=Mode.INCREMENTAL, reconcile_every=None)
    found = bronze.look(version, "rows_match_source", table=keeping, load=Load(source_rows=1))
    assert found.passed and "1 stay that it has deleted" in found.found
    assert not bronze.look(version, "rows_match_source", table=keeping, load=Load(source_rows=3)).passed
    comparing = replace(keeping, reconcile_every=timedelta(days=1))
    assert not bronze.look(version, "rows_match_source", table=comparing, load=Load(source_rows=1)).passed


def test_a_row_count_far_from_its_history_is_found(bronze: Bronze) -> None:
    table = replace(bronze.orders, history_tolerance=0.2)
    for _ in range(3):
        bronze.orders_with(*[GOOD] * 10)
    assert bronze.look(bronze.orders_with(*[GOOD] * 11), "rows_as_usual", table=table).passed
    assert not bronze.look(bronze.orders_with(*[GOOD] * 5), "rows_as_usual", table=table).passed
    assert not bronze.look(bronze.orders_with(*[GOOD] * 15), "rows_as_usual", table=table).passed


def test_the_first_content_has_no_history_to_differ_from(bronze: Bronze) -> None:
    table = replace(bronze.orders, history_tolerance=0.2)
    assert bronze.look(bronze.orders_with(GOOD), "rows_as_usual", table=table).passed


def test_a_load_older_than_promised_is_found(bronze: Bronze) -> None:
    version, now = bronze.orders_with(GOOD), datetime(2024, 6, 2, tzinfo=UTC)
    assert bronze.look(version, "fresh", load=Load(now - timedelta(hours=25)), now=now).passed
    assert not bronze.look(version, "fresh", load=Load(now - timedelta(hours=27)), now=now).passed
    assert not bronze.look(version, "fresh", load=Load(None), now=now).passed


def test_evidence_changes_with_the_content_the_rule_and_the_table_referred_to(bronze: Bronze) -> None:
    reference = next(each for each in checks_of(bronze.orders) if each.reference)
    orders, client = bronze.orders_with(GOOD), bronze.write("client", "SELECT 1::BIGINT AS client_no")
    first = evidence(reference, orders, {"client": client})
    assert evidence(reference, orders, {"client": client}) == first
    assert evidence(reference, bronze.orders_with(GOOD, GOOD), {"client": client}) != first
    assert evidence(reference, orders, {"client": bronze.write("client", "SELECT 2::BIGINT AS client_no")}) != first
    assert evidence(replace(reference, description="another"), orders, {"client": client}) != first


def test_names_are_unique_and_fit_for_dagster(bronze: Bronze) -> None:
    awkward = (Rule("schema", "named like ours", predicate="true"), Rule("größe > 0", "any letters", predicate="true"))
    names = [check.name for check in checks_of(replace(bronze.orders, rules=awkward))]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and name.replace("_", "a").isalnum() for name in names)
