"""Checks of bronze tables: results in Dagster, what they block, and when they are not computed again."""

from __future__ import annotations

import shutil

import dagster as dg
import pytest

from tests.frame.shop import Shop, contract

ORDERS = dg.AssetKey(["bronze", "orders"])


def results(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """The check results of a run, as `table.check`."""
    return {f"{each.asset_key.path[-1]}.{each.check_name}": each for each in result.get_asset_check_evaluations()}


def test_a_clean_load_passes_every_check_of_its_contract(shop: Shop, instance: dg.DagsterInstance) -> None:
    found = results(shop.load(instance))
    assert {name for name in found if name.startswith("orders.")} == {
        "orders.schema", "orders.rows_match_source", "orders.key_unique", "orders.fresh", "orders.order_no_required",
        "orders.amount_minimum", "orders.few_open", "orders.client_no_in_client",
    }  # fmt: skip
    assert all(each.passed for each in found.values())


def test_severity_decides_what_blocks(shop: Shop) -> None:
    graph = shop.definitions().get_repository_def().asset_graph
    blocking = {key.name: graph.get(key).blocking for key in graph.get_check_keys_for_assets({ORDERS})}
    assert blocking["key_unique"]
    assert blocking["amount_minimum"]
    assert blocking["rows_match_source"]
    assert not blocking["few_open"]
    assert not blocking["fresh"]


def test_a_failed_warning_names_what_was_found_and_lets_the_rest_go_on(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    shop.sql("UPDATE ORDERS SET STATE = 'open', CLIENT = 99")
    result = shop.load(instance)
    found = results(result)
    assert result.success
    assert not found["orders.few_open"].passed
    assert found["orders.few_open"].severity is dg.AssetCheckSeverity.WARN
    assert "3, to be <= 2" in (found["orders.few_open"].description or "")
    assert found["orders.client_no_in_client"].metadata["rows_broken"].value == 3


def test_a_failed_blocking_check_keeps_what_is_downstream_from_working(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    values = contract()
    values["schema"][1]["quality"][0]["severity"] = "error"
    shop.describe(values)
    shop.sql("UPDATE ORDERS SET STATE = 'open'")

    @dg.asset(key=["silver", "orders"], deps=[ORDERS])
    def silver_orders() -> None:
        raise AssertionError("it must not run")

    job = shop.definitions(silver_orders).get_repository_def().get_job("refresh")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not results(result)["orders.few_open"].passed
    assert "silver__orders" not in {event.step_key for event in result.all_events if event.is_step_start}
    assert not result.success


def test_equal_content_repeats_the_result_and_names_the_run_that_computed_it(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    first = shop.load(instance)
    second = results(shop.load(instance))
    assert second["orders.key_unique"].metadata["computed_in_run"].value == first.run_id
    assert second["orders.rows_match_source"].metadata["computed_in_run"].value != first.run_id


@pytest.mark.slow
def test_a_table_that_is_made_anew_is_checked_anew(shop: Shop, instance: dg.DagsterInstance) -> None:
    first = shop.load(instance)
    shop.sql("UPDATE ORDERS SET STATE = 'open', UPDTS = '2024-02-01 08:00:00'")
    shutil.rmtree(shop.table("orders").uri)
    again = results(shop.load(instance))
    assert again["orders.few_open"].metadata["computed_in_run"].value != first.run_id
    assert not again["orders.few_open"].passed


@pytest.mark.slow
def test_changed_content_or_a_changed_rule_is_computed_anew(shop: Shop, instance: dg.DagsterInstance) -> None:
    first = shop.load(instance)
    shop.sql("UPDATE ORDERS SET STATE = 'open', UPDTS = '2024-02-01 08:00:00'")
    second = results(shop.load(instance))
    assert second["orders.few_open"].metadata["computed_in_run"].value != first.run_id
    assert not second["orders.few_open"].passed
    values = contract()
    values["schema"][1]["quality"][0]["mustBeLessOrEqualTo"] = 3
    shop.describe(values)
    assert results(shop.load(instance))["orders.few_open"].passed


@pytest.mark.slow
def test_a_reference_is_looked_at_again_when_the_other_table_changes(shop: Shop, instance: dg.DagsterInstance) -> None:
    shop.load(instance)
    shop.sql('DELETE FROM CLIENTS WHERE "Client No" = 2', "UPDATE CLIENTS SET UPDTS = '2024-03-01 08:00:00'")
    shop.load(instance, "client", full=True)
    found = results(shop.load(instance))
    assert not found["orders.client_no_in_client"].passed


def test_checks_run_by_themselves_without_a_load(shop: Shop, instance: dg.DagsterInstance) -> None:
    shop.load(instance)
    repository = shop.definitions().get_repository_def()
    only = dg.define_asset_job("only_checks", dg.AssetSelection.checks_for_assets(ORDERS))
    job = (
        dg.Definitions.merge(shop.definitions(), dg.Definitions(jobs=[only]))
        .get_repository_def()
        .get_job("only_checks")
    )
    found = results(job.execute_in_process(instance=instance))
    assert found["orders.rows_match_source"].passed
    assert repository.get_job("ingest")
