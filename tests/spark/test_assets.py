"""Models of a Spark profile as assets: the resource is there where one asks for it, and what follows a change stays small work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from assets import transform_assets
from definitions import build_definitions
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.staged_apart import STAGING
from plinth.lakehouse.state import Measured
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform, load_platform
from plinth.profile import AUTO, Profile
from plinth.spark.engine import SparkEngine
from plinth.transform.model import table_id
from plinth.transform.run import build
from resources import platform_resources
from tests.plinth.transform.shop import GOOD, ORDERS, Shop, shared_project
from tests.spark.house import ROOT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow
LAYERS = {"orders": "silver", "people": "silver"}
TABLES = [f"{LAYERS.get(name, 'gold')}/{name}" for name in GOOD]


@pytest.fixture
def shop(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    (tmp_path / "dbt_project").symlink_to(shared_project(tmp_path_factory.getbasetemp()))
    opened = Shop(tmp_path, tmp_path / "dbt_project")
    yield opened
    opened.con.close()


def on_spark(shop: Shop) -> Platform:
    profiles = {"small": Profile(cpu=1, memory=2 * 2**30, engine="spark")}
    return shop.lakehouse.platform.model_copy(update={"profiles": profiles})


def run(platform: Platform, instance: dg.DagsterInstance) -> dict[str, str]:
    """One materialisation of all good models; gives what each was computed as."""
    keys = [dg.AssetKey(table.split("/")) for table in TABLES]
    result = dg.materialize(
        transform_assets(platform), selection=keys, resources=platform_resources(platform), instance=instance
    )
    assert result.success
    return {
        event.asset_key.to_user_string(): str(event.step_materialization_data.materialization.metadata["mode"].value)
        for event in result.all_events
        if event.is_step_materialization and event.asset_key
    }


def test_assets_of_a_spark_profile_are_made_by_spark_and_changes_follow_by_their_scopes(
    spark: SparkSession, shop: Shop
) -> None:
    shop.open_shop()
    platform, instance = on_spark(shop), dg.DagsterInstance.ephemeral()
    assert set(run(platform, instance).values()) == {"all rows"}
    lakehouse = Lakehouse(platform)
    for table in TABLES:
        assert str(lakehouse.open(table_id(table)).delta.history(1)[0]["engineInfo"]).startswith("Apache-Spark"), table
    shop.put("bronze/orders", ORDERS.replace("range(200)", "range(201)"))
    assert run(platform, instance)["silver/orders"] == "touched scopes"
    followed = {table: shop.rows(table) for table in TABLES}
    shop.lakehouse.platform.path("cloud").rename(shop.lakehouse.platform.path("by_spark"))
    run(shop.lakehouse.platform, instance)
    assert {table: shop.rows(table) for table in TABLES} == followed


def metadata_of(platform: Platform, instance: dg.DagsterInstance) -> dict[str, dict[str, str]]:
    """One materialisation of all good models; gives engine, profile and the reason of each as the asset shows them."""
    keys = [dg.AssetKey(table.split("/")) for table in TABLES]
    result = dg.materialize(
        transform_assets(platform), selection=keys, resources=platform_resources(platform), instance=instance
    )
    assert result.success
    return {
        event.asset_key.to_user_string(): {
            name: str(value.value)
            for name, value in event.step_materialization_data.materialization.metadata.items()
            if name in ("engine", "profile", "engine_reason")
        }
        for event in result.all_events
        if event.is_step_materialization and event.asset_key
    }


def test_the_automatic_choice_sends_a_model_to_spark_and_the_asset_says_why(spark: SparkSession, shop: Shop) -> None:
    shop.open_shop()
    profiles = {
        "small": Profile(cpu=1, memory=2**30),
        "large": Profile(cpu=2, memory=2 * 2**30, threads=2, engine="spark"),
    }
    platform = shop.lakehouse.platform.model_copy(update={"profiles": profiles, "default_profile": AUTO})
    lakehouse, instance = Lakehouse(platform), dg.DagsterInstance.ephemeral()
    assert {each["engine"] for each in metadata_of(platform, instance).values()} == {"duckdb"}, "nothing was measured"
    by_duckdb = {table: shop.rows(table) for table in TABLES}
    # What a hundred times the rows would have left in the commit: DuckDB took 70 s and all that its one profile has.
    found = lakehouse.open(table_id("silver/orders"))
    slow = (Measured(200, 200, 70.0, 1_000.0, "small", "duckdb"),)
    commit(lakehouse, found.id, Write(found, found.columns, found.state.next(changed=False, measured=slow)))
    shop.put("bronze/orders", ORDERS.replace("range(200)", "range(400)"))
    made = metadata_of(platform, instance)
    assert (made["silver/orders"]["engine"], made["silver/orders"]["profile"]) == ("spark", "large")
    assert made["silver/orders"]["engine_reason"] == (
        "Spark in large: 400 input rows take DuckDB about 140.0 s and 1,700 MiB by 1 measured run, "
        "more than a minute and than the 1,024 MiB of its largest profile"
    )
    assert {each["engine"] for table, each in made.items() if table.startswith("gold/")} == {"duckdb"}
    assert made["silver/people"] == {}, "nothing of it changed, so nothing was chosen"
    version = lakehouse.open(table_id("silver/orders"))
    assert str(version.delta.history(1)[0]["engineInfo"]).startswith("Apache-Spark")
    assert [(run.engine, run.profile) for run in version.state.measured] == [("spark", "large"), ("duckdb", "small")]
    assert len(shop.rows("silver/orders")) == 400 and set(by_duckdb["silver/orders"]) <= set(shop.rows("silver/orders"))


def test_a_model_that_spark_cannot_compute_fails_alone_and_leaves_nothing_staged(
    spark: SparkSession, shop: Shop
) -> None:
    shop.open_shop()
    lakehouse = Lakehouse(on_spark(shop))
    built = build(shop.project, lakehouse, select=["broken", "people"], spark=SparkEngine(lambda: spark))
    assert {str(each.table): each.status.value for each in built.models} == {
        "silver/broken": "failed",
        "silver/people": "published",
    }
    assert "CAST_INVALID_INPUT" in str(built.errors["silver/broken"])
    assert not list(shop.lakehouse.platform.path(f"cloud/{STAGING}").iterdir())


def test_a_default_profile_of_spark_makes_models_and_feature_views_ask_for_it_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "overlay.yaml").write_text("default_profile: spark")
    defs = build_definitions(load_platform(ROOT / "platform.yaml", tmp_path / "overlay.yaml"))
    steps = {node.name: node.definition.required_resource_keys for node in defs.get_repository_def().get_job("refresh").nodes}  # fmt: skip
    by_spark = [name for name, keys in steps.items() if any(key.endswith("_spark") for key in keys)]
    assert "silver_and_gold" in by_spark and sum(name.startswith("features__") for name in by_spark) > 1


def test_definitions_load_without_pyspark_where_no_model_asks_for_it() -> None:
    code = "import sys, definitions; assert definitions.defs; print('pyspark' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
