"""What jobs contain, on which executor they run, and when."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import dagster as dg
import pytest

from tests.frame.shop import Shop


def test_ingest_is_bronze_with_its_checks_and_transform_is_the_rest(shop: Shop) -> None:
    @dg.asset(key=["silver", "client"], deps=[dg.AssetKey(["bronze", "client"])])
    def silver_client() -> None: ...

    repository = shop.definitions(silver_client).get_repository_def()
    graphs = {name: repository.get_job(name).asset_layer.asset_graph for name in ("refresh", "ingest", "transform")}
    executed = {
        name: {key.path[0] for key in repository.get_job(name).asset_layer.executable_asset_keys} for name in graphs
    }
    assert executed == {"refresh": {"bronze", "silver"}, "ingest": {"bronze"}, "transform": {"silver"}}
    assert repository.get_job("ingest").asset_layer.asset_graph.asset_check_keys


def test_no_job_retries_a_run_whose_asset_failed(shop: Shop) -> None:
    for job in shop.definitions().get_repository_def().get_all_jobs():
        if not job.name.startswith("__"):
            assert job.run_tags["dagster/retry_on_asset_or_op_failure"] == "false"


def test_the_night_refreshes_everything(shop: Shop) -> None:
    (schedule,) = shop.definitions().get_repository_def().schedule_defs
    assert schedule.job_name == "refresh"
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2024, 1, 2, 2, 30, tzinfo=UTC))
    assert len(schedule.evaluate_tick(context).run_requests or []) == 1


@pytest.mark.slow
def test_a_job_runs_with_a_process_per_step_as_the_ui_starts_it(shop: Shop) -> None:
    shop.make_project()
    home = shop.folder / ".dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text((shop.folder / "dagster.yaml").read_text())
    done = shop.command(
        "dagster", "job", "execute", "-f", "definitions.py", "-d", ".", "-j", "ingest", DAGSTER_HOME=str(home)
    )
    assert done.returncode == 0, done.stderr[-3000:]
    processes = dict(re.findall(r" - (\d+) - (bronze__\w+) - STEP_START", done.stderr))
    assert len(processes) >= 3
    assert {shop.table(name).rows for name in ("client", "orders", "stock_dump")} == {2, 3}
