"""A build with `auto`: measured, chosen by what was measured, told why, and stepped up once after running out of memory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NoReturn

import dagster as dg
import pytest

from assets import transform_assets
from plinth.errors import SourceUnavailable
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.state import Measured
from plinth.platform import Platform
from plinth.profile import Profile
from plinth.spark.engine import SparkEngine
from plinth.transform.model import table_id
from plinth.transform.run import build
from plinth.transform.work import Mode, ModelOutcome, Status
from resources import platform_resources
from tests.plinth.transform.shop import ORDERS, Shop

pytestmark = pytest.mark.slow

# The lists of an aggregate are what DuckDB cannot spill: 4 million numbers and their text are about 200 MiB.
HUNGRY = """
{{ config(meta={'profile': 'auto'}) }}
select cast(len(list(i || ' of a text that is no short one')) as bigint) as clients
from range(4000000) as t(i) cross join (select 1 from {{ ref('totals') }} limit 1)"""


def offer(shop: Shop, default: str, **profiles: Profile) -> None:
    """Gives the shop's platform these profiles."""
    values: dict[str, Any] = shop.lakehouse.platform.model_dump() | {
        "home": shop.lakehouse.platform.home,
        "profiles": profiles,
        "default_profile": default,
    }
    shop.lakehouse.platform = Platform.model_validate(values)


def outcome(shop: Shop, table: str, **how: Any) -> ModelOutcome:
    built = build(shop.project, shop.lakehouse, select=("orders", "totals", "summary"), run="a run", **how)
    return next(each for each in built.models if str(each.table) == table)


def test_a_model_is_measured_and_the_next_run_says_why_it_is_where_it_is(shop: Shop) -> None:
    shop.open_shop()
    spark = Profile(cpu=4, memory=8 * 2**30, engine="spark")
    offer(shop, "auto", small=Profile(cpu=1, memory=2 * 2**30), memory=Profile(cpu=1, memory=4 * 2**30), spark=spark)
    first = outcome(shop, "silver/orders")
    assert (first.engine, first.profile) == (
        "duckdb",
        "small",
    ) and "no run of it was measured yet" in first.engine_reason
    (run,) = shop.lakehouse.open(table_id("silver/orders")).state.measured
    assert (run.rows_in, run.rows, run.profile, run.engine) == (200, 200, "small", "duckdb")
    assert 0 < run.seconds < 60 and 50 < run.peak_mb < 2_048
    told: list[str] = []
    second = outcome(shop, "silver/orders", full_refresh=True, tell=told.append)
    assert f"silver/orders: {second.engine_reason}" in told
    assert (second.engine, second.profile) == ("duckdb", "small"), second.engine_reason
    assert "200 input rows" in second.engine_reason and "by 1 measured run" in second.engine_reason
    assert len(shop.lakehouse.open(table_id("silver/orders")).state.measured) == 2
    # A few scopes say nothing of all rows: their commit carries the measurements on as they were.
    before = shop.lakehouse.open(table_id("silver/orders")).state.measured
    shop.put(
        "bronze/orders", f"SELECT id, client, (amount + (id = 199)::INT)::DECIMAL(10, 2) AS amount FROM ({ORDERS})"
    )
    scopes = outcome(shop, "silver/orders")
    assert scopes.mode is Mode.SCOPES and scopes.engine == "duckdb" and scopes.status is Status.PUBLISHED
    assert shop.lakehouse.open(table_id("silver/orders")).state.measured == before
    assert outcome(shop, "silver/orders").engine is None, "nothing was computed"


def test_a_larger_history_gets_the_larger_profile_and_its_limits(shop: Shop) -> None:
    shop.open_shop()
    offer(shop, "auto", small=Profile(cpu=1, memory=2**30), memory=Profile(cpu=1, memory=4 * 2**30))
    outcome(shop, "silver/orders")
    found = shop.lakehouse.open(table_id("silver/orders"))
    state = found.state.next(changed=False, measured=(Measured(100, 100, 3.0, 1_000.0, "small", "duckdb"),))
    commit(shop.lakehouse, found.id, Write(found, found.columns, state))
    again = outcome(shop, "silver/orders", full_refresh=True)
    assert again.profile == "memory" and "1,700 MiB" in again.engine_reason and "4,096 MiB" in again.engine_reason


def test_what_duckdb_is_slow_at_and_has_no_room_for_is_asked_of_spark(shop: Shop) -> None:
    pytest.importorskip("pyspark", reason="install requirements/spark.lock")
    shop.open_shop()
    spark = Profile(cpu=4, memory=8 * 2**30, engine="spark")
    offer(shop, "auto", small=Profile(cpu=1, memory=2**30), spark=spark)
    outcome(shop, "silver/orders")
    found = shop.lakehouse.open(table_id("silver/orders"))
    state = found.state.next(changed=False, measured=(Measured(100, 100, 70.0, 1_000.0, "small", "duckdb"),))
    commit(shop.lakehouse, found.id, Write(found, found.columns, state))

    def away() -> NoReturn:
        raise SourceUnavailable("no cluster answers")

    asked = outcome(shop, "silver/orders", full_refresh=True, spark=SparkEngine(away))
    assert (asked.engine, asked.profile, asked.status) == ("spark", "spark", Status.FAILED)
    assert "140.0 s and 1,700 MiB" in asked.engine_reason and "more than a minute" in asked.engine_reason
    assert shop.lakehouse.open(table_id("silver/orders")).state.measured == state.measured, "a failure measures nothing"


def test_out_of_memory_is_met_once_with_the_next_profile(shop: Shop, tmp_path: Path) -> None:
    project = tmp_path / "hungry" / "dbt_project"
    shutil.copytree(shop.project, project, ignore=shutil.ignore_patterns("target", "logs"))
    (project / "models" / "gold" / "summary.sql").write_text(HUNGRY)
    shop.project = project
    shop.open_shop()
    offer(shop, "tiny", tiny=Profile(cpu=1, memory=128 * 2**20), larger=Profile(cpu=1, memory=4 * 2**30))
    summary = outcome(shop, "gold/summary")
    assert summary.status is Status.PUBLISHED, summary.reason
    assert summary.profile == "larger" and "ran out of memory in tiny (128 MiB)" in summary.engine_reason
    assert shop.lakehouse.open(table_id("gold/summary")).state.measured[0].profile == "larger"
    offer(shop, "tiny", tiny=Profile(cpu=1, memory=128 * 2**20))
    failed = outcome(shop, "gold/summary", full_refresh=True)
    assert failed.status is Status.WITHHELD and "Out of Memory Error" in failed.reason, "there is no step left"


def test_the_asset_shows_the_engine_and_why_and_its_step_has_room_for_all_that_may_be_chosen(
    tmp_path: Path, shop_project: Path
) -> None:
    (tmp_path / "dbt_project").symlink_to(shop_project)
    shop = Shop(tmp_path, tmp_path / "dbt_project")
    shop.open_shop()
    offer(shop, "auto", small=Profile(cpu=1, memory=2**30), memory=Profile(cpu=1, memory=2 * 2**30))
    platform = shop.lakehouse.platform
    (step,) = transform_assets(platform)
    assert step.op.tags["plinth/profile"] == "memory"
    result = dg.materialize(
        [step],
        selection=[dg.AssetKey(["silver", "people"])],
        resources=platform_resources(platform),
        instance=dg.DagsterInstance.ephemeral(),
    )
    (made,) = result.asset_materializations_for_node("silver_and_gold")
    assert (made.metadata["engine"].value, made.metadata["profile"].value) == ("duckdb", "small")
    assert str(made.metadata["engine_reason"].value).startswith("DuckDB in small: no run of it was measured yet")
    shop.con.close()
