"""The serving assets in Dagster: tables, the publication, events, and their checks."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest

from assets.events import EVENTS, event_assets
from assets.serving import ONLINE, serving_assets, serving_key
from assets.serving_checks import CONSENT, EQUAL, LISTS, serving_checks
from plinth.lakehouse.tables import TableId
from plinth.serving.lengths import LIST_LENGTH
from plinth.serving.tables import POPULAR_ITEMS, PROMOTION_PLAN, RECOMMENDATIONS, SERVING_TABLES
from resources import platform_resources
from tests.plinth.online.appending import event
from tests.plinth.serving.shop import CUSTOMERS, ITEMS, Shop, copy_of, people, trained_shop

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Shop:
    """A shop with a champion of this test's own."""
    return copy_of(trained_shop(tmp_path_factory), tmp_path / "shop")


def definitions(shop: Shop) -> dg.Definitions:
    """The serving assets and checks of a shop."""
    return dg.Definitions(
        assets=[*serving_assets(shop.platform), *event_assets(shop.platform)],
        asset_checks=serving_checks(shop.platform),
        resources=platform_resources(shop.platform),
        executor=dg.in_process_executor,
    )


def run(shop: Shop, instance: dg.DagsterInstance, *keys: dg.AssetKey) -> dg.ExecuteInProcessResult:
    """Materialises the assets with their checks; all of them where none is named."""
    job = definitions(shop).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, asset_selection=list(keys) or None, raise_on_error=False)


def metadata(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, object]:
    """What an asset reported."""
    (event_,) = [each for each in result.get_asset_materialization_events() if each.asset_key == key]
    return {name: value.value for name, value in event_.materialization.metadata.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], bool]:
    """What each check came to."""
    return {(each.asset_key.path[-1], each.check_name): each.passed for each in result.get_asset_check_evaluations()}


@pytest.fixture
def instance() -> dg.DagsterInstance:
    with dg.DagsterInstance.ephemeral() as made:
        yield made  # type: ignore[misc]


def test_a_run_makes_the_tables_publishes_them_and_every_check_passes(shop: Shop, instance: dg.DagsterInstance) -> None:
    result = run(shop, instance)
    assert result.success
    said = metadata(result, ONLINE)
    assert (said["version"], said["changed"], said["documents/recommendations"]) == (1, True, CUSTOMERS)
    assert metadata(result, serving_key(RECOMMENDATIONS))["dagster/row_count"] == CUSTOMERS * min(LIST_LENGTH, ITEMS)
    # Nobody learnt an uplift here, so nobody is contacted.
    assert metadata(result, serving_key(PROMOTION_PLAN))["dagster/row_count"] == 0
    found = checks(result)
    assert set(found) == {
        *((table.name, LISTS) for table in SERVING_TABLES if table is not PROMOTION_PLAN),
        ("promotion_plan", CONSENT),
        ("online", EQUAL),
    }
    assert all(found.values())
    again = run(shop, instance)
    assert metadata(again, ONLINE)["changed"] is False
    assert metadata(again, serving_key(RECOMMENDATIONS))["computed"] is False


def test_equal_content_keeps_the_data_version(shop: Shop, instance: dg.DagsterInstance) -> None:
    def versions() -> list[str | None]:
        found = []
        for key in (serving_key(RECOMMENDATIONS), ONLINE):
            last = instance.get_latest_materialization_event(key)
            assert last is not None
            assert last.asset_materialization is not None
            found.append((last.asset_materialization.tags or {}).get("dagster/data_version"))
        return found

    run(shop, instance)
    first = versions()
    run(shop, instance)
    assert versions() == first
    people(shop, CUSTOMERS + 1)
    run(shop, instance)
    assert all(now != before for now, before in zip(versions(), first, strict=True))


def test_a_planned_contact_without_consent_stops_what_comes_after(shop: Shop, instance: dg.DagsterInstance) -> None:
    from plinth.serving.plan import make_promotion_plan

    base = make_promotion_plan(shop.setting).served.version
    names = ", ".join(f"NULL::{column.duckdb_type} AS {column.name}" for column in PROMOTION_PLAN.columns[2:])
    shop.write(PROMOTION_PLAN.id, f"SELECT 101::BIGINT AS customer_no, 1::BIGINT AS promotion_id, {names}")
    assert shop.lakehouse.open(PROMOTION_PLAN.id).version > base.version
    result = run(shop, instance, serving_key(PROMOTION_PLAN), ONLINE)
    assert not result.success
    assert checks(result)[("promotion_plan", CONSENT)] is False
    assert ONLINE not in {each.asset_key for each in result.get_asset_materialization_events()}


def test_a_list_that_is_broken_stops_what_comes_after(shop: Shop, instance: dg.DagsterInstance) -> None:
    run(shop, instance)
    shutil.rmtree(shop.lakehouse.uri_of(TableId("gold", "item_catalog")))
    shop.write(
        TableId("gold", "item_catalog"),
        "SELECT 'OTHER' AS item_code, 'X' AS description, 1.0 AS list_price, 1.0 AS average_price, "
        "'active' AS status, NULL::DATE AS introduced_on",
    )
    result = run(shop, instance, serving_key(POPULAR_ITEMS), ONLINE)
    assert not result.success
    assert checks(result)[("popular_items", LISTS)] is False
    with shop.store() as store:
        assert [version.id for version in store.versions()] == [1]


def test_events_come_back_and_only_once(shop: Shop, instance: dg.DagsterInstance) -> None:
    with shop.store() as store:
        store.append_events([event("a"), event("b")])
    assert metadata(run(shop, instance, EVENTS), EVENTS)["inserted"] == 2
    said = metadata(run(shop, instance, EVENTS), EVENTS)
    assert (said["inserted"], said["dagster/row_count"], said["watermark"]) == (0, 2, 2)


def test_the_definitions_say_what_the_tables_hold_before_the_first_run(shop: Shop) -> None:
    graph = definitions(shop).get_repository_def().asset_graph
    for table in SERVING_TABLES:
        node = graph.get(serving_key(table))
        assert node.group_name == "serving"
        schema = node.metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == [column.name for column in table.columns]
    assert graph.get(serving_key(RECOMMENDATIONS)).parent_keys >= {dg.AssetKey(["models", "recommender"])}
    assert {serving_key(table) for table in SERVING_TABLES} <= set(graph.get(ONLINE).parent_keys)
