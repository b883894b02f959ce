"""What jobs contain, on which executor they run, and when."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from assets.models import WHEN_DUE, WHEN_TAG
from jobs import asset_jobs
from tests.frame.shop import Shop


def test_each_part_has_a_job_of_its_assets_and_their_checks(shop: Shop) -> None:
    groups = ("bronze", "silver", "gold", "features", "models", "serving")

    @dg.multi_asset(specs=[dg.AssetSpec([group, "one"]) for group in groups], can_subset=True)
    def everything() -> Iterator[dg.MaterializeResult[None]]:
        yield from ()

    repository = dg.Definitions(assets=[everything], jobs=asset_jobs(groups)).get_repository_def()
    executed = {
        name: {key.path[0] for key in repository.get_job(name).asset_layer.executable_asset_keys}
        for name in ("refresh", "ingest", "transform", "train", "publish")
    }
    assert executed == {
        "refresh": set(groups),
        "ingest": {"bronze"},
        "transform": {"silver", "gold"},
        "train": {"features", "models"},
        "publish": {"serving"},
    }
    assert shop.definitions().get_repository_def().get_job("ingest").asset_layer.asset_graph.asset_check_keys


def test_a_project_without_models_has_no_job_for_them(shop: Shop) -> None:
    repository = shop.definitions().get_repository_def()
    assert {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")} == {"refresh", "ingest"}


def test_no_job_retries_a_run_whose_asset_failed(shop: Shop) -> None:
    for job in shop.definitions().get_repository_def().get_all_jobs():
        if not job.name.startswith("__"):
            assert job.run_tags["dagster/retry_on_asset_or_op_failure"] == "false"


def test_only_the_job_that_refreshes_everything_leaves_models_alone_that_are_not_due(shop: Shop) -> None:
    groups = ("bronze", "silver", "gold", "features", "models", "serving")

    @dg.multi_asset(specs=[dg.AssetSpec([group, "one"]) for group in groups], can_subset=True)
    def everything() -> Iterator[dg.MaterializeResult[None]]:
        yield from ()

    repository = dg.Definitions(assets=[everything], jobs=asset_jobs(groups)).get_repository_def()
    tagged = {name for name in repository.job_names if WHEN_TAG in repository.get_job(name).run_tags}
    assert tagged == {"refresh"}
    result = repository.get_job("refresh").execute_in_process(
        asset_selection=[dg.AssetKey(["gold", "one"])], raise_on_error=False
    )
    assert result.dagster_run.tags[WHEN_TAG] == WHEN_DUE, "also where `plinth run` runs it in its own process"


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
