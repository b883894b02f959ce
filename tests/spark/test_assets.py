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
from plinth.lakehouse.staged_apart import STAGING
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.profile import Profile
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
    profiles = {"small": Profile(cpu=1, memory=1024 * 2**20, engine="spark")}
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


def test_definitions_load_without_pyspark_where_no_model_asks_for_it() -> None:
    code = "import sys, definitions; assert definitions.defs; print('pyspark' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
