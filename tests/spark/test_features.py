"""Snapshots of every declared view come out of Spark as they come out of DuckDB, by the profile alone, in the same table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest

from assets.features import feature_key, feature_views_assets, feature_views_checks
from plinth.engine import quote
from plinth.features import load_views
from plinth.features.by_spark import SAME
from plinth.features.declare import FeatureView
from plinth.features.due import WEEK, last_reached, mondays_of
from plinth.features.query import columns_of
from plinth.features.skew import measure_skew
from plinth.features.store import materialise
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.staged_apart import STAGING
from resources import platform_resources
from tests.spark.house import ROOT, Pair

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow
VIEWS = load_views(ROOT / "feature_views.yaml")
# Standard deviations are the root of a difference of two nearly equal sums: of a last bit there, half of the digits are left.
SPREADS = {
    name for view in VIEWS.views.values() for name, each in view.features.items() if "spread(" in each.expression
}


@pytest.mark.parametrize("name", list(VIEWS.views))
def test_a_snapshot_is_equal_between_the_engines_value_by_value(pair: Pair, name: str) -> None:
    view = VIEWS.view(name)
    monday = last_reached(pair.duck, view)
    assert monday is not None
    ours = materialise(pair.duck, VIEWS, name, [monday])
    theirs = materialise(pair.spark, VIEWS, name, [monday], spark=pair.engine)
    assert (ours.engine, theirs.engine) == ("duckdb", "spark")
    assert ours.version.columns == theirs.version.columns and ours.version.rows == theirs.version.rows > 0
    assert not list(pair.spark.platform.path(pair.spark.platform.root_of("cloud")).joinpath(STAGING).iterdir())
    _assert_equal(pair, view, rows_of(ours.version), rows_of(theirs.version))
    again = materialise(pair.spark, VIEWS, name, [monday], spark=pair.engine)
    assert not again.changed, "the same rows to the last digit, so that nothing downstream follows"


def _assert_equal(pair: Pair, view: FeatureView, ours: str, theirs: str) -> None:
    """Every value of a feature table is the same in two relations, doubles within `SAME` of themselves."""
    keys = " AND ".join(f"a.{quote(key)} = b.{quote(key)}" for key in view.keys)
    for column in columns_of(view):
        one, two = f"a.{quote(column.name)}", f"b.{quote(column.name)}"
        wrong = f"{one} IS DISTINCT FROM {two}"
        if column.type == "double":
            within = 1e-6 if column.name in SPREADS else SAME
            wrong = f"({one} IS NULL) <> ({two} IS NULL) OR abs({one} - {two}) > {within} * greatest(1, abs({one}))"
        found = pair.con.execute(
            f"SELECT {one}, {two} FROM {ours} a FULL JOIN {theirs} b ON {keys} WHERE {wrong} LIMIT 5"
        ).fetchall()
        assert found == [], column.name


def test_a_refresh_on_spark_makes_only_the_weeks_that_are_missing_and_is_close_to_the_online_values(pair: Pair) -> None:
    view = VIEWS.view("customer_item")
    monday = last_reached(pair.spark, view)
    assert monday is not None
    made = materialise(pair.spark, VIEWS, "customer_item", [monday, monday - WEEK], spark=pair.engine)
    assert {monday, monday - WEEK} <= set(mondays_of(made.version))
    skew = measure_skew(pair.spark, view)
    assert skew.entities > 0 and skew.differences == ()


def test_a_view_of_a_spark_profile_is_an_asset_that_spark_makes(spark: SparkSession, pair: Pair) -> None:
    platform = pair.spark.platform
    monday = last_reached(pair.spark, VIEWS.view("customer"))
    assert monday is not None
    asset = next(each for each in feature_views_assets(platform) if each.key == feature_key("customer"))
    assert "features_customer_spark" in asset.required_resource_keys and asset.op.tags["plinth/profile"] == "spark"
    result = dg.materialize(
        [
            asset,
            *(each for each in feature_views_checks(platform) if each.node_def.name == "features__customer__checks"),
        ],
        resources=platform_resources(platform),
        instance=dg.DagsterInstance.ephemeral(),
        partition_key=str(monday),
    )
    assert result.success
    metadata = result.asset_materializations_for_node(asset.node_def.name)[0].metadata
    assert metadata["engine"].value == "spark"
    assert all(each.passed for each in result.get_asset_check_evaluations()), "the check skew among them"


def test_the_profile_of_a_view_decides_and_is_no_part_of_what_it_means(pair: Pair) -> None:
    view = VIEWS.view("item")
    moved = view.model_copy(update={"profile": "small"})
    assert moved.fingerprint == view.fingerprint
    views = VIEWS.model_copy(update={"views": {"item": moved}})
    monday = last_reached(pair.spark, view)
    assert monday is not None
    made = materialise(pair.spark, views, "item", [monday])
    assert made.engine == "duckdb"
