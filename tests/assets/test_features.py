"""Feature assets: partitions by week, made in one step, with or without partitions asked for; what stands on them and what they report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import feature_views_assets, feature_views_checks
from plinth.features.due import mondays_of
from plinth.features.store import materialise
from resources import platform_resources
from tests.plinth.features.shop import FeatureShop, declaration, make_shop
from tests.plinth.features.test_clocks import sale

KEY = dg.AssetKey(["features", "buyer"])
DOWNSTREAM = dg.AssetKey(["models", "one"])
WEEKS = ["2024-02-12", "2024-02-19", "2024-02-26", "2024-03-04"]
CHECKS = {"schema", "keys", "clocks", "skew"}


@pytest.fixture
def trade(tmp_path: Path) -> FeatureShop:
    """A sale a day until the sixth of March: the newest week that they reach begins on the fourth."""
    shop = make_shop(tmp_path)
    shop.sell([sale(n, n % 3, datetime(2024, 1, 3) + timedelta(days=n), value=n + 0.25) for n in range(64)])
    return shop


def job(shop: FeatureShop) -> dg.JobDefinition:
    """A job of everything: what the features are made from, they themselves, and an asset without partitions that follows from them."""

    @dg.asset(key=["silver", "sales"])
    def sales() -> None: ...

    @dg.asset(key=DOWNSTREAM, deps=[KEY])
    def model() -> None: ...

    platform = shop.lakehouse.platform
    definitions = dg.Definitions(
        assets=[sales, model, *feature_views_assets(platform)],
        asset_checks=list(feature_views_checks(platform)),
        jobs=[dg.define_asset_job("refresh", dg.AssetSelection.all())],
        resources=platform_resources(platform),
    )
    return definitions.get_repository_def().get_job("refresh")


def run(shop: FeatureShop, instance: dg.DagsterInstance, **more: Any) -> dg.ExecuteInProcessResult:
    return job(shop).execute_in_process(instance=instance, raise_on_error=False, **more)


def backfill(first: str, last: str) -> dict[str, str]:
    """The tags by which Dagster's UI asks for a range of partitions in one run."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def said(result: dg.ExecuteInProcessResult) -> Mapping[str, Any]:
    """The metadata of the materialisation of the table as a whole, or of the last partition."""
    events = [event for event in result.get_asset_materialization_events() if event.asset_key == KEY]
    return {name: value.value for name, value in events[-1].materialization.metadata.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {each.check_name: each.passed for each in result.get_asset_check_evaluations()}


def test_what_the_declaration_says_stands_on_the_asset_before_the_first_run(trade: FeatureShop) -> None:
    (asset,) = feature_views_assets(trade.lakehouse.platform)
    spec = asset.specs_by_key[KEY]
    assert spec.owners == ["team:test"]
    assert spec.group_name == "features"
    assert spec.code_version == trade.views.view("buyer").fingerprint
    assert {dep.asset_key for dep in spec.deps} == {dg.AssetKey(["silver", "sales"])}
    assert isinstance(spec.partitions_def, dg.WeeklyPartitionsDefinition)
    keys = spec.partitions_def.get_partition_keys(current_time=datetime(2024, 1, 22, 0, 0, 1))
    assert keys == ["2024-01-01", "2024-01-08", "2024-01-15", "2024-01-22"], "Mondays, each from its first moment on"
    assert asset.backfill_policy == dg.BackfillPolicy.single_run()
    columns = {column.name: column for column in spec.metadata["dagster/column_schema"].columns}
    assert columns["spent"].description == "Their value."
    assert all(column.tags == {} for column in columns.values()), "nothing is declared of silver/sales here"
    assert columns["who"].constraints.nullable is False
    assert any("of at most 7 days" in text for text in columns["recent"].constraints.other)
    (reference,) = spec.metadata["dagster/code_references"].code_references
    assert "buyer" in (trade.folder / "feature_views.yaml").read_text().splitlines()[reference.line_number - 1]


def test_a_platform_without_declarations_has_no_feature_assets(trade: FeatureShop) -> None:
    (trade.folder / "feature_views.yaml").unlink()
    assert feature_views_assets(trade.lakehouse.platform) == []


def test_one_run_without_partitions_makes_what_is_due_and_what_follows(
    trade: FeatureShop, instance: dg.DagsterInstance
) -> None:
    result = run(trade, instance)
    assert result.success
    assert instance.get_materialized_partitions(KEY) == set(WEEKS)
    assert instance.get_latest_materialization_event(DOWNSTREAM) is not None
    assert checks(result) == dict.fromkeys(CHECKS, True)
    facts = said(result)
    assert (facts["snapshots"], facts["snapshots_changed"], facts["last_snapshot"]) == (4, 4, WEEKS[-1])
    assert facts["dagster/row_count"] == 12
    lineage = facts["dagster/column_lineage"].deps_by_column
    assert lineage["spent"] == [dg.TableColumnDep(asset_key=dg.AssetKey(["silver", "sales"]), column_name="value")]
    schema = {column.name: column for column in facts["dagster/column_schema"].columns}
    held = {column.name: column.classification for column in trade.features().columns}
    assert {name: column.tags["plinth/classification"] for name, column in schema.items()} == held
    assert schema["spent"].description == "Their value."
    event = instance.get_latest_materialization_event(KEY)
    assert event is not None and event.asset_materialization is not None
    assert trade.features().state.run == result.run_id


def test_a_run_that_finds_nothing_new_reports_no_partition_and_the_same_data_version(
    trade: FeatureShop, instance: dg.DagsterInstance
) -> None:
    def version() -> str | None:
        event = instance.get_latest_materialization_event(KEY)
        assert event is not None and event.asset_materialization is not None
        return (event.asset_materialization.tags or {}).get("dagster/data_version")

    run(trade, instance)
    first = version()
    again = run(trade, instance)
    events = [event for event in again.get_asset_materialization_events() if event.asset_key == KEY]
    assert [event.partition for event in events] == [None]
    assert said(again)["changed"] is False
    assert version() == first


def test_a_backfill_makes_its_weeks_in_one_step_and_one_commit(
    trade: FeatureShop, instance: dg.DagsterInstance
) -> None:
    result = run(trade, instance, tags=backfill("2024-01-08", "2024-02-05"), asset_selection=[KEY])
    assert result.success
    assert instance.get_materialized_partitions(KEY) == {
        "2024-01-08",
        "2024-01-15",
        "2024-01-22",
        "2024-01-29",
        "2024-02-05",
    }
    assert trade.features().version == 0
    assert [event.step_key for event in result.get_step_success_events()] == [
        "features__buyer",
        "features__buyer__checks",
    ]
    assert run(trade, instance, partition_key=WEEKS[-1], asset_selection=[KEY]).success
    assert WEEKS[-1] in instance.get_materialized_partitions(KEY)


def test_the_job_of_everything_can_be_asked_for_a_range_too(trade: FeatureShop, instance: dg.DagsterInstance) -> None:
    result = run(trade, instance, tags=backfill(WEEKS[0], WEEKS[-1]))
    assert result.success
    assert instance.get_materialized_partitions(KEY) == set(WEEKS)
    assert checks(result) == dict.fromkeys(CHECKS, True)


def test_snapshots_that_were_made_elsewhere_are_reported_by_the_next_run(
    trade: FeatureShop, instance: dg.DagsterInstance
) -> None:
    materialise(trade.lakehouse, trade.views, "buyer", [date(2024, 1, 8)])
    run(trade, instance)
    assert instance.get_materialized_partitions(KEY) == {"2024-01-08", *WEEKS}


def test_changed_content_asks_for_this_week_and_the_run_makes_what_is_due_besides(
    trade: FeatureShop, instance: dg.DagsterInstance
) -> None:
    sales = dg.AssetKey(["silver", "sales"])
    platform = trade.lakehouse.platform
    definitions = dg.Definitions(
        assets=[dg.AssetSpec(sales), *feature_views_assets(platform)], resources=platform_resources(platform)
    )

    def content(text: str) -> None:
        instance.report_runless_asset_event(dg.AssetMaterialization(sales, tags={"dagster/data_version": text}))

    content("0")
    quiet = dg.evaluate_automation_conditions(definitions, instance)
    content("1")
    first = dg.evaluate_automation_conditions(definitions, instance, cursor=quiet.cursor)
    (week,) = first.get_requested_partitions(KEY)  # and none of the years before it
    assert week not in WEEKS, "before the first snapshot the calendar alone says which is the last"
    asked = run(
        trade, instance, partition_key=week, asset_selection=[KEY], tags={"dagster/from_automation_condition": "true"}
    )
    assert asked.success
    assert [str(day) for day in mondays_of(trade.features())] == WEEKS, "and none that the data do not reach"
    content("1")
    again = dg.evaluate_automation_conditions(definitions, instance, cursor=first.cursor)
    assert again.get_num_requested(KEY) == 0, "equal content asks for nothing"
    content("2")
    news = dg.evaluate_automation_conditions(definitions, instance, cursor=again.cursor)
    assert news.get_requested_partitions(KEY) == {week}


def weeks_of(trade: FeatureShop) -> list[str]:
    (asset,) = feature_views_assets(trade.lakehouse.platform)
    assert asset.partitions_def is not None
    return list(asset.partitions_def.get_partition_keys())


def test_the_weeks_to_choose_from_end_with_the_last_that_the_data_reached(
    trade: FeatureShop, instance: dg.DagsterInstance
) -> None:
    assert weeks_of(trade)[-1] > "2026", "the calendar's, as long as there is no snapshot"
    run(trade, instance)
    assert weeks_of(trade)[-1] == WEEKS[-1]
    sales = [sale(n, n % 3, datetime(2024, 1, 3) + timedelta(days=n), value=n + 0.25) for n in range(70)]
    trade.sell(sales)
    run(trade, instance)
    assert weeks_of(trade)[-1] == "2024-03-11"


def test_a_week_that_the_data_do_not_reach_is_not_made_when_it_is_chosen_but_what_is_due(
    trade: FeatureShop, instance: dg.DagsterInstance
) -> None:
    assert run(trade, instance, partition_key=weeks_of(trade)[-1]).success
    assert [str(day) for day in mondays_of(trade.features())] == WEEKS


def test_of_a_range_the_weeks_are_made_that_the_data_reach_and_what_is_due(
    trade: FeatureShop, instance: dg.DagsterInstance
) -> None:
    assert run(trade, instance, tags=backfill("2024-02-05", "2024-04-01")).success
    assert [str(day) for day in mondays_of(trade.features())] == ["2024-02-05", *WEEKS]


def test_automation_asks_for_the_last_week_and_makes_the_next_when_the_data_reach_it(
    trade: FeatureShop, instance: dg.DagsterInstance
) -> None:
    run(trade, instance)
    trade.sell([sale(n, n % 3, datetime(2024, 1, 3) + timedelta(days=n), value=n + 0.25) for n in range(70)])
    tags = {"dagster/from_automation_condition": "true"}
    assert run(trade, instance, partition_key=WEEKS[-1], asset_selection=[KEY], tags=tags).success
    assert str(mondays_of(trade.features())[-1]) == "2024-03-11"
    assert "2024-03-11" in instance.get_materialized_partitions(KEY)


def test_a_skew_is_shown_as_a_warning_with_the_values(trade: FeatureShop, instance: dg.DagsterInstance) -> None:
    run(trade, instance)
    trade.sell([sale(n, n % 3, datetime(2024, 1, 3) + timedelta(days=n), value=n + 0.25) for n in range(64) if n != 30])
    look = dg.AssetSelection.checks(*feature_views_checks(trade.lakehouse.platform))
    definitions = dg.Definitions(
        assets=list(feature_views_assets(trade.lakehouse.platform)),
        asset_checks=list(feature_views_checks(trade.lakehouse.platform)),
        jobs=[dg.define_asset_job("look", look)],
        resources=platform_resources(trade.lakehouse.platform),
    )
    result = (
        definitions.get_repository_def().get_job("look").execute_in_process(instance=instance, raise_on_error=False)
    )
    assert result.success
    found = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert {name: each.passed for name, each in found.items()} == {
        "schema": True,
        "keys": True,
        "clocks": True,
        "skew": False,
    }
    assert found["skew"].severity is dg.AssetCheckSeverity.WARN
    assert "orders: offline 21, online 20" in str(found["skew"].metadata["differences"].value)


def test_a_fault_of_a_declaration_fails_the_step_with_the_remedy_and_is_not_retried(
    trade: FeatureShop, instance: dg.DagsterInstance
) -> None:
    values = declaration()
    values["views"]["buyer"]["features"]["spent"]["expression"] = "sum(values)"
    trade.declare(values)
    result = run(trade, instance, asset_selection=[KEY])
    assert not result.success
    (failure,) = [event for event in result.get_step_failure_events() if event.step_key == "features__buyer"]
    facts = failure.step_failure_data.user_failure_data
    assert facts is not None
    assert facts.metadata["error"].value == "FeatureViewError"
    assert "feature_views.yaml" in str(facts.metadata["where"].value)
    assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
