"""Whether there is anything to do is found out without running anything."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg
import pytest

from definitions import build_definitions
from jobs.due import downstream_code, reasons_to_run
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import TableId
from plinth.project import Project, open_project
from plinth.report import FAILED, SUCCEEDED, Report
from plinth.stale import stale_tables
from tests.frame.shop import Shop, contract

MODEL = TableId("silver", "m")


def project(shop: Shop) -> Project:
    """The shop's project."""
    return Project(shop.folder, shop.platform, None, shop.folder / "dagster")


def reasons(shop: Shop) -> list[str]:
    """Why the main job should run."""
    return reasons_to_run(project(shop), shop.definitions().get_repository_def())


def ran(shop: Shop, status: str = SUCCEEDED) -> None:
    """The main job ran and left its report."""
    Report("sample", status, "2024-01-01T00:00:00+00:00", 1.0, 1.0, 1.0).write(project(shop).last_report)


def test_what_never_ran_or_failed_has_to_run(shop: Shop, instance: dg.DagsterInstance) -> None:
    assert reasons(shop) == ["it never ran"]
    shop.load(instance)
    ran(shop, FAILED)
    assert reasons(shop) == ["the last run failed"]


def test_nothing_to_do_is_found_and_so_is_a_change_of_source_or_contract(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    shop.load(instance)
    ran(shop)
    assert reasons(shop) == []
    values = contract()
    values["schema"][1]["properties"][3]["name"] = "status"
    values["schema"][1]["quality"] = []
    shop.describe(values)
    assert reasons(shop) == ["bronze/orders: the contract changed"]
    shop.describe(contract())
    shop.sql("INSERT INTO ORDERS VALUES (13, 1, 2, 'open', '2024-01-06 08:00:00')")
    assert "bronze/orders: the source changed" in reasons(shop)


def test_a_table_that_was_removed_is_made_again(shop: Shop, instance: dg.DagsterInstance) -> None:
    shop.load(instance)
    ran(shop)
    (shop.folder / "on_prem/bronze/client").rename(shop.folder / "gone")
    assert reasons(shop) == ["bronze/client: never loaded"]


@pytest.mark.slow
def test_a_made_table_is_stale_by_its_inputs_its_code_or_its_absence(shop: Shop, instance: dg.DagsterInstance) -> None:
    shop.load(instance)
    client = shop.table("client")
    state = State(code="one", inputs={"bronze/client": client.content})
    assert stale_tables(shop.lakehouse, {MODEL: "one"}) == {MODEL: "never made"}
    commit(shop.lakehouse, MODEL, Write(None, (DeltaColumn("id", "long"),), state))
    assert stale_tables(shop.lakehouse, {MODEL: "one"}) == {}
    assert stale_tables(shop.lakehouse, {MODEL: None}) == {}
    assert stale_tables(shop.lakehouse, {MODEL: "two"}) == {MODEL: "its code changed"}
    shop.sql("UPDATE CLIENTS SET NAME = 'Cy', UPDTS = '2024-05-01 08:00:00' WHERE NAME = 'Bo'")
    shop.load(instance, "client")
    assert stale_tables(shop.lakehouse, {MODEL: "one"}) == {MODEL: "bronze/client changed"}
    base = shop.lakehouse.open(MODEL)
    now = replace(state, inputs={"bronze/client": shop.table("client").content})
    commit(shop.lakehouse, MODEL, Write(base, base.columns, now))
    assert stale_tables(shop.lakehouse, {MODEL: "one"}) == {}


def test_only_tables_are_asked_for_as_tables() -> None:
    repository = build_definitions().get_repository_def()
    keys = {key.to_user_string() for key in repository.asset_graph.materializable_asset_keys}
    asked = {str(table) for table in downstream_code(repository, open_project())}
    assert {"serving/recommendations", "features/customer", "gold/interactions"} <= asked
    # Neither is ever committed as a table, so a run would be asked for on and on.
    assert {"serving/online", "serving/withheld_offers"} <= keys - asked
