"""The serving assets in Dagster: tables, the publication, events, and their checks."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.events import EVENTS, KEPT_DAYS, event_assets
from assets.serving import ONLINE, WITHHELD, serving_assets, serving_key
from assets.serving_checks import BY_CHAMPION, CONSENT, EQUAL, LISTS, PROBABILITIES, serving_checks
from plinth.lakehouse.tables import TableId
from plinth.online import Document
from plinth.online.model import to_microseconds
from plinth.serving.lengths import LIST_LENGTH
from plinth.serving.plan import make_promotion_plan
from plinth.serving.policy import NOBODY
from plinth.serving.tables import (
    POPULAR_ITEMS,
    PROMOTION_PLAN,
    PURCHASE_PROPENSITY,
    RECOMMENDATIONS,
    SERVING_TABLES,
    TABLES,
)
from resources import platform_resources
from tests.plinth.online.appending import event
from tests.plinth.serving.shop import CUSTOMERS, ITEMS, Shop, copy_of, make_shop, people, trained_shop
from tests.plinth.serving.test_features import DECLARED, NOW, OF_ITEMS, OF_PAIRS, ROWS, sell
from tests.plinth.serving.test_plan import campaigns, learn

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
    planned = metadata(result, serving_key(PROMOTION_PLAN))
    assert (planned["dagster/row_count"], planned["policy"]) == (0, NOBODY)
    assert "too little campaign history" in str(planned["policy_reason"])
    scored = metadata(result, serving_key(PURCHASE_PROPENSITY))
    assert scored["dagster/row_count"] == 0 and "no version was trained yet" in str(scored["reason"])
    found = checks(result)
    assert set(found) == {
        *((table.name, LISTS) for table in SERVING_TABLES if table is not PROMOTION_PLAN),
        ("promotion_plan", CONSENT),
        ("promotion_plan", BY_CHAMPION),
        ("purchase_propensity", PROBABILITIES),
        ("online", EQUAL),
    }
    assert all(found.values())
    again = run(shop, instance)
    assert metadata(again, ONLINE)["changed"] is False
    assert metadata(again, serving_key(RECOMMENDATIONS))["computed"] is False


def test_a_plan_says_first_by_what_it_goes_and_what_it_brings_in_figures_that_can_be_read(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    campaigns(shop)
    learn(shop)
    planned = metadata(run(shop, instance, serving_key(PROMOTION_PLAN)), serving_key(PROMOTION_PLAN))
    figures = {name: value for name, value in planned.items() if name.startswith("plan/")}
    assert list(planned)[: len(figures) + 3] == ["policy", "policy_reason", "plot_worth", *figures]
    assert str(planned["plot_worth"]).startswith("![worth](data:image/png;base64,")
    assert figures["plan/expected_everyone_cost"] > 0
    assert figures["plan/contacts"] == planned["dagster/row_count"] != 0
    assert {name for name, value in figures.items() if value != round(float(str(value)), 4)} == set()


def test_the_features_that_are_served_are_held_against_the_offline_ones(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    shop = make_shop(tmp_path / "shop")
    (shop.folder / "feature_views.yaml").write_text(DECLARED + OF_ITEMS + OF_PAIRS)
    sell(shop, ROWS)
    result = run(shop, instance, ONLINE)
    assert result.success
    assert metadata(result, ONLINE)["documents/features"] == 3
    found = {each.check_name: each for each in result.get_asset_check_evaluations() if each.asset_key == ONLINE}
    assert {"skew_customer", "skew_item", "skew_pair"} <= found.keys(), "a check for each view"
    assert {found[name].passed for name in ("skew_customer", "skew_item", "skew_pair")} == {True}
    assert found["skew_customer"].description == "15 values of 3 entities compared, 0 differ"
    assert found["skew_item"].metadata["as_of"].value == str(NOW)
    node = definitions(shop).get_repository_def().asset_graph.get(ONLINE)
    # Its rows ask for a publication, and its snapshots' checks hold one back.
    assert {dg.AssetKey(["silver", "sales"]), dg.AssetKey(["features", "customer"])} <= node.parent_keys


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
    base = make_promotion_plan(shop.setting).served.version
    names = ", ".join(f"NULL::{column.duckdb_type} AS {column.name}" for column in PROMOTION_PLAN.columns[2:])
    shop.write(PROMOTION_PLAN.id, f"SELECT 101::BIGINT AS customer_no, 1::BIGINT AS promotion_id, {names}")
    assert shop.lakehouse.open(PROMOTION_PLAN.id).version > base.version
    result = run(shop, instance, serving_key(PROMOTION_PLAN), ONLINE)
    assert not result.success
    assert checks(result)[("promotion_plan", CONSENT)] is False
    assert ONLINE not in {each.asset_key for each in result.get_asset_materialization_events()}


def test_a_plan_without_a_champion_says_so_where_a_version_was_not_fit_to_serve(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    files = shop.folder / "unfit"
    files.mkdir()
    (files / "settings.json").write_text("{}")
    made = shop.registry.log("uplift", files=files, parameters={}, metrics={"qini": 0.001}, plots={}, inputs={}, seed=1)
    shop.registry.challenge(made, "qini", True, "", unfit="its ranking may be no better than a random one")
    result = run(shop, instance, serving_key(PROMOTION_PLAN))
    assert result.success, "a plan that contacts nobody is no failure"
    (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == BY_CHAMPION]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "policy nobody" in str(found.description) and "no better than a random one" in str(found.description)
    shop.registry.promote("uplift", made.version)
    assert not run(shop, instance, serving_key(PROMOTION_PLAN)).success, (
        "by hand it serves, and these files are no model"
    )


def test_consents_are_heeded_though_the_publish_is_held_back(shop: Shop, instance: dg.DagsterInstance) -> None:
    with shop.store() as store:
        store.publish([Document("promotions", each, b"{}") for each in ("100", "101")], inputs={})
    make_promotion_plan(shop.setting)
    names = ", ".join(f"NULL::{column.duckdb_type} AS {column.name}" for column in PROMOTION_PLAN.columns[2:])
    shop.write(PROMOTION_PLAN.id, f"SELECT 101::BIGINT AS customer_no, 1::BIGINT AS promotion_id, {names}")
    result = run(shop, instance, serving_key(PROMOTION_PLAN), WITHHELD, ONLINE)
    assert not result.success
    assert ONLINE not in {each.asset_key for each in result.get_asset_materialization_events()}
    assert metadata(result, WITHHELD) == {"customers": 1, "changed": True}
    with shop.store() as store:
        assert (store.read("promotions", "100"), store.read("promotions", "101")) == (b"{}", None)


def test_a_list_that_is_broken_stops_what_comes_after(shop: Shop, instance: dg.DagsterInstance) -> None:
    run(shop, instance)
    shutil.rmtree(shop.lakehouse.uri_of(TableId("gold", "item_catalog")))
    shop.write(
        TableId("gold", "item_catalog"),
        "SELECT 'OTHER' AS item_code, 'X' AS description, 1.0 AS list_price, 1.0 AS average_price, "
        "'active' AS status, NULL::DATE AS introduced_on, NULL::DATE AS discontinued_on",
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


def test_an_ordinary_run_takes_out_of_the_store_what_bronze_has_and_is_old(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    with shop.store() as store:
        store.append_events([event("old"), event("new")])
        file = store.address.file
    assert file is not None
    aged = datetime.now(UTC) - timedelta(days=KEPT_DAYS + 1)
    with sqlite3.connect(file) as con:
        con.execute("UPDATE online_events SET appended_at = ? WHERE event_id = 'old'", (to_microseconds(aged),))
    con.close()
    said = metadata(run(shop, instance, EVENTS), EVENTS)
    assert (said["forgotten_by_the_store"], said["dagster/row_count"]) == (1, 2)
    with shop.store() as store:
        assert [each.event_id for each in store.events()] == ["new"]
        store.append_events([event("newer")])
    assert metadata(run(shop, instance, EVENTS), EVENTS)["dagster/row_count"] == 3


def test_the_definitions_say_what_the_tables_hold_before_the_first_run(shop: Shop) -> None:
    graph = definitions(shop).get_repository_def().asset_graph
    for table in TABLES:
        node = graph.get(serving_key(table))
        assert node.group_name == "serving"
        schema = node.metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == [column.name for column in table.columns]
    assert graph.get(serving_key(RECOMMENDATIONS)).parent_keys >= {dg.AssetKey(["models", "recommender"])}
    assert {serving_key(table) for table in SERVING_TABLES} <= set(graph.get(ONLINE).parent_keys)
