"""Bronze assets: what stands on the definition, what a load reports, and what becomes of faults."""

from __future__ import annotations

import threading
import time
from typing import Any

import dagster as dg
import pytest

from plinth.lakehouse.tables import TableId
from tests.frame.shop import Shop, contract

CLIENT = dg.AssetKey(["bronze", "client"])
ORDERS = dg.AssetKey(["bronze", "orders"])


def metadata(result: dg.ExecuteInProcessResult, table: str) -> dict[str, Any]:
    """The metadata of the one materialisation of a table in a run."""
    events = result.asset_materializations_for_node(f"bronze__{table}")
    assert len(events) == 1
    return {name: value.value for name, value in events[0].metadata.items()}


def test_every_contract_table_is_an_asset_below_its_legacy_table(shop: Shop) -> None:
    graph = shop.definitions().get_repository_def().asset_graph
    assert {key.path[-1] for key in graph.materializable_asset_keys} >= {"client", "orders", "stock_dump"}
    assert graph.get(CLIENT).parent_keys == {dg.AssetKey(["shop", "CLIENTS"])}
    assert graph.get(dg.AssetKey(["bronze", "stock_dump"])).parent_keys == {dg.AssetKey(["shop", "Stock Dump"])}
    assert graph.get(dg.AssetKey(["shop", "CLIENTS"])).is_external


def test_what_the_contract_says_stands_on_the_definition_before_the_first_run(shop: Shop) -> None:
    node = shop.definitions().get_repository_def().asset_graph.get(CLIENT)
    assert node.owners == ["team:shop-systems"]
    assert node.group_name == "bronze"
    assert node.kinds == {"deltalake", "duckdb", "sqlite"}
    assert "One row for each client." in (node.description or "")
    assert node.tags["plinth/classification"] == "confidential"
    assert node.tags["plinth/zone"] == "on_prem"
    assert node.tags["personal-data"] == ""
    assert node.code_version
    assert node.pools == {"bronze/client"}
    assert node.freshness_policy is not None
    schema = node.metadata["dagster/column_schema"]
    columns = {column.name: column for column in schema.columns}
    assert columns["client_no"].type == "long"
    assert columns["client_no"].constraints.nullable is False
    assert columns["client_no"].constraints.unique is True
    assert columns["name"].tags == {"plinth/classification": "confidential", "personal": ""}
    assert node.metadata["dagster/table_name"] == "bronze.client"
    assert node.metadata["dagster/storage_kind"] == "delta"
    (reference,) = node.metadata["dagster/code_references"].code_references
    text = (shop.folder / "shop.odcs.yaml").read_text().splitlines()
    assert "name: client" in text[reference.line_number - 1]


def test_a_new_table_is_a_few_lines_of_yaml_and_no_code(shop: Shop) -> None:
    values = contract()
    values["schema"].append(
        {
            "name": "parcel",
            "physicalName": "PARCELS",
            "properties": [{"name": "id", "logicalType": "integer", "primaryKey": True}],
        }
    )
    shop.describe(values)
    keys = shop.definitions().get_repository_def().asset_graph.materializable_asset_keys
    assert dg.AssetKey(["bronze", "parcel"]) in keys


def test_a_load_reports_what_it_did(shop: Shop, instance: dg.DagsterInstance) -> None:
    said = metadata(shop.load(instance), "orders")
    assert said["dagster/row_count"] == 3
    assert (said["rows_read"], said["inserted"], said["updated"], said["deleted"], said["quarantined"]) == (
        3,
        3,
        0,
        0,
        0,
    )
    assert said["changed"] is True
    assert said["delta_version"] == 0
    assert said["watermark"].startswith("2024-01-05")
    assert said["bytes"] == shop.table("orders").size
    assert said["seconds"] > 0
    assert said["peak_memory_mb"] > 0
    lineage = said["dagster/column_lineage"].deps_by_column
    assert lineage["amount"] == [dg.TableColumnDep(asset_key=dg.AssetKey(["shop", "ORDERS"]), column_name="AMT")]


def test_a_load_leaves_what_it_saw_of_the_legacy_table_on_that_tables_page(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    shop.load(instance, "orders")
    (seen,) = instance.fetch_observations(dg.AssetKey(["shop", "ORDERS"]), limit=10).records
    assert seen.asset_observation is not None
    assert seen.asset_observation.metadata["dagster/row_count"].value == 3


def test_equal_rows_keep_the_data_version_and_changed_rows_get_a_new_one(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    def version() -> str | None:
        event = instance.get_latest_materialization_event(ORDERS)
        assert event is not None
        assert event.asset_materialization is not None
        return (event.asset_materialization.tags or {}).get("dagster/data_version")

    shop.load(instance, "orders")
    first = version()
    again = metadata(shop.load(instance, "orders"), "orders")
    assert again["changed"] is False
    assert version() == first
    shop.sql("INSERT INTO ORDERS VALUES (13, 1, 2, 'open', '2024-01-06 08:00:00')")
    shop.load(instance, "orders")
    assert version() != first


@pytest.mark.slow
def test_a_full_load_reads_every_row_and_the_usual_one_only_what_the_cursor_says(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    shop.load(instance, "orders")
    shop.sql("INSERT INTO ORDERS VALUES (13, 1, 2, 'open', '2024-01-06 08:00:00')")
    assert metadata(shop.load(instance, "orders"), "orders")["rows_read"] < 4
    assert metadata(shop.load(instance, "orders", full=True), "orders")["rows_read"] == 4


def test_the_commit_names_the_run(shop: Shop, instance: dg.DagsterInstance) -> None:
    result = shop.load(instance, "client")
    assert shop.table("client").state.run == result.run_id


def test_a_permanent_fault_fails_once_says_what_to_do_and_is_not_retried_by_the_run(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    values = contract()
    values["schema"][0]["customProperties"].append({"property": "drift", "value": "freeze"})
    shop.describe(values)
    shop.sql("ALTER TABLE CLIENTS ADD COLUMN FAX TEXT")
    result = shop.load(instance, "client")
    assert not result.success
    (failure,) = result.get_step_failure_events()
    facts = failure.step_failure_data.user_failure_data
    assert facts is not None
    assert "FAX" in (facts.description or "")
    assert facts.metadata["error"].value == "SchemaDrift"
    assert facts.metadata["what to do"].value
    assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags["dagster/retry_on_asset_or_op_failure"] == "false"


@pytest.mark.slow
def test_a_passing_fault_is_tried_again_until_the_source_is_back(shop: Shop, instance: dg.DagsterInstance) -> None:
    away = shop.database.rename(shop.folder / "away.sqlite")

    def bring_back() -> None:
        while not _retries(instance):
            time.sleep(0.1)
        away.rename(shop.database)

    helper = threading.Thread(target=bring_back)
    helper.start()
    result = shop.load(instance, "client")
    helper.join()
    assert result.success
    assert metadata(result, "client")["dagster/row_count"] == 2


def _retries(instance: dg.DagsterInstance) -> bool:
    runs = instance.get_runs()
    return bool(runs) and bool(
        instance.get_records_for_run(runs[0].run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY).records
    )


def test_a_load_takes_the_one_slot_of_its_table_and_gives_it_back(
    shop: Shop, stored_instance: dg.DagsterInstance
) -> None:
    shop.load(stored_instance, "client")
    info = stored_instance.event_log_storage.get_concurrency_info("bronze/client")
    assert info.slot_count == 1
    assert info.active_slot_count == 0
    assert info.claimed_slots == []
    assert shop.table("client").rows == 2


@pytest.mark.slow
def test_a_load_waits_while_another_run_writes_the_table(shop: Shop, stored_instance: dg.DagsterInstance) -> None:
    storage = stored_instance.event_log_storage
    storage.initialize_concurrency_limit_to_default("bronze/client")
    assert storage.claim_concurrency_slot("bronze/client", "another-run", "its-step").is_claimed

    def give_back() -> None:
        while "bronze/client" not in _waiting(stored_instance):
            time.sleep(0.1)
        assert shop.lakehouse.find(TableId("bronze", "client")) is None
        storage.free_concurrency_slots_for_run("another-run")

    helper = threading.Thread(target=give_back)
    helper.start()
    result = shop.load(stored_instance, "client")
    helper.join()
    assert result.success
    assert shop.table("client").rows == 2


def _waiting(instance: dg.DagsterInstance) -> set[str]:
    keys = instance.event_log_storage.get_concurrency_keys()
    return {key for key in keys if instance.event_log_storage.get_concurrency_info(key).pending_step_count}


def test_broken_rows_are_reported_by_rule(shop: Shop, instance: dg.DagsterInstance) -> None:
    shop.sql("INSERT INTO ORDERS VALUES (13, 1, -2, 'open', '2024-01-06 08:00:00')")
    said = metadata(shop.load(instance, "orders"), "orders")
    assert said["quarantined"] == 1
    assert [dict(record.data) for record in said["quarantined_by_rule"].records] == [
        {"rule": "amount_minimum", "rows": 1}
    ]
    assert said["dagster/row_count"] == 3
    assert shop.lakehouse.find(TableId("ops", "quarantine_orders")) is not None


def test_two_sources_cannot_have_a_table_of_one_name(shop: Shop) -> None:
    from plinth.catalogue import load_contracts
    from plinth.errors import ContractError

    platform = shop.platform
    twice = platform.model_copy(
        update={"sources": {"shop": platform.sources["shop"], "outlet": platform.sources["shop"]}}
    )
    with pytest.raises(ContractError, match=r"two sources have a table client"):
        load_contracts(twice)


def test_no_legacy_table_takes_the_name_of_the_table_of_events(shop: Shop) -> None:
    from plinth.catalogue import EVENTS, load_contracts
    from plinth.errors import ContractError
    from plinth.online.archive import TABLE

    assert TABLE.name == EVENTS
    file = shop.folder / "shop.odcs.yaml"
    file.write_text(
        file.read_text()
        .replace("name: client\n", f"name: {EVENTS}\n")
        .replace("client.client_no", f"{EVENTS}.client_no")
    )
    with pytest.raises(ContractError, match=r"holds what the API took[\s\S]*such as shop_online_events"):
        load_contracts(shop.platform)
