"""Running a job from the command line: what a person reads, and what happens to runs whose process died."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import DagsterEvent, DagsterEventType

from jobs import launch
from jobs.launch import ASKED, Ran, quiet_interruption, run_job, settle_dead_runs
from tests.frame.shop import Shop

SLOT = "bronze/client"
HOLDER = """
import sys, time
import dagster as dg
from jobs import launch
from jobs.launch import ASKED, _alive

@dg.job
def load(): ...

with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    run = instance.create_run_for_job(load, tags=ASKED, status=dg.DagsterRunStatus.STARTED)
    instance.event_log_storage.initialize_concurrency_limit_to_default("bronze/client")
    instance.event_log_storage.claim_concurrency_slot("bronze/client", run.run_id, "step")
    with _alive(instance, run.run_id):
        print(run.run_id, flush=True)
        time.sleep(300)
"""


def run(shop: Shop, instance: dg.DagsterInstance) -> tuple[Ran, list[str]]:
    """Runs the shop's ingest job, and gives the lines that a person would read."""
    lines: list[str] = []
    return run_job(shop.definitions().get_repository_def(), instance, "ingest", lines.append), lines


def test_a_person_reads_each_table_with_its_rows_as_it_starts_and_ends(
    shop: Shop, stored_instance: dg.DagsterInstance
) -> None:
    ran, lines = run(shop, stored_instance)
    assert ran.success
    assert "bronze/client …" in lines
    ended = next(line for line in lines if line.startswith("bronze/client") and "rows" in line)
    assert "2 rows  (2 inserted)" in ended
    assert lines.index("bronze/client …") < lines.index(ended)
    assert ran.seen.checks_passed > 0
    assert ran.seen.failed_checks == []


@pytest.mark.slow
def test_an_unchanged_table_is_told_from_a_changed_one(shop: Shop, stored_instance: dg.DagsterInstance) -> None:
    run(shop, stored_instance)
    _, lines = run(shop, stored_instance)
    assert any(line.startswith("bronze/client") and "(as before)" in line for line in lines)


@pytest.mark.slow
def test_a_failed_check_is_told_and_counted(shop: Shop, stored_instance: dg.DagsterInstance) -> None:
    shop.sql("UPDATE ORDERS SET STATE = 'open'")
    ran, lines = run(shop, stored_instance)
    (failed,) = ran.seen.failed_checks
    assert (failed.asset, failed.check, failed.severity) == ("bronze/orders", "few_open", "warning")
    assert any("few_open failed (warning): 3, to be <= 2" in line for line in lines)


def test_a_failure_is_told_with_what_to_do(shop: Shop, stored_instance: dg.DagsterInstance) -> None:
    shop.sql("DROP TABLE CLIENTS")
    ran, lines = run(shop, stored_instance)
    assert not ran.success
    (failure,) = [each for each in ran.seen.failures if each.step == "bronze/client"]
    assert failure.error.startswith("the legacy system has no table CLIENTS")
    assert "what to do:" in failure.error
    assert any(line.startswith("bronze/client FAILED: the legacy system has no table CLIENTS") for line in lines)


def test_a_killed_run_is_settled_and_gives_its_tables_back_and_a_living_one_is_left_alone(
    stored_instance: dg.DagsterInstance,
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, stored_instance.root_directory], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        run_id = holder.stdout.readline().strip()
        told: list[str] = []
        settle_dead_runs(stored_instance, told.append)
        assert told == []
        assert status(stored_instance, run_id) is dg.DagsterRunStatus.STARTED
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    settle_dead_runs(stored_instance, told.append)
    assert status(stored_instance, run_id) is dg.DagsterRunStatus.FAILURE
    assert stored_instance.event_log_storage.get_concurrency_info(SLOT).claimed_slots == []
    assert len(told) == 1


@pytest.mark.slow
def test_who_waits_for_the_table_of_a_run_that_is_killed_meanwhile_goes_on(
    shop: Shop, stored_instance: dg.DagsterInstance
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, stored_instance.root_directory], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    dead = holder.stdout.readline().strip()
    free = stored_instance.event_log_storage.free_concurrency_slots_for_run
    # Without help it would wait for ever, and this test with it.
    given_up = threading.Timer(60, free, [dead])
    given_up.start()
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        if "bronze/client waits: another run writes the same table" in line:
            holder.send_signal(signal.SIGKILL)

    try:
        ran = run_job(shop.definitions().get_repository_def(), stored_instance, "ingest", tell)
    finally:
        holder.kill()
        holder.wait()
        waited = given_up.finished.is_set()
        given_up.cancel()
    assert ran.success and not waited, lines
    assert [line for line in lines if f"run {dead[:8]} was cut off earlier" in line], lines
    assert status(stored_instance, dead) is dg.DagsterRunStatus.FAILURE


def test_a_history_that_cannot_be_read_for_a_while_is_told_once_and_looked_at_again(
    stored_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "_SETTLE_SECONDS", 0.05)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, stored_instance.root_directory], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    dead = holder.stdout.readline().strip()
    (file,) = Path(stored_instance.root_directory).rglob("runs.db")
    good, lines = file.read_bytes(), list[str]()

    def wait_for(text: str) -> None:
        until = time.monotonic() + 20
        while not any(text in line for line in lines):
            assert time.monotonic() < until, lines
            time.sleep(0.02)

    with launch._settling(stored_instance, lines.append):
        file.write_bytes(b"no database " * 1000)
        holder.kill()
        holder.wait()
        wait_for("cannot be looked for")
        time.sleep(0.3)
        assert len(lines) == 1
        file.write_bytes(good)
        wait_for(f"run {dead[:8]} was cut off earlier")


def test_a_run_that_ends_while_others_look_is_not_taken_for_a_dead_one(
    stored_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.job
    def load() -> None: ...

    run = stored_instance.create_run_for_job(load, tags=ASKED, status=dg.DagsterRunStatus.STARTED)
    listed = stored_instance.get_runs()
    stored_instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_SUCCESS.value, load.name), run_id=run.run_id)
    monkeypatch.setattr(stored_instance, "get_runs", lambda *_: listed)
    told: list[str] = []
    settle_dead_runs(stored_instance, told.append)
    assert told == [] and status(stored_instance, run.run_id) is dg.DagsterRunStatus.SUCCESS


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    """How a run stands."""
    found = instance.get_run_by_id(run_id)
    assert found is not None
    return found.status


@pytest.mark.parametrize(("error", "shown"), [(DagsterExecutionInterruptedError, 0), (RuntimeError, 1)])
def test_an_interruption_while_a_connection_is_given_back_shows_no_trace(
    caplog: pytest.LogCaptureFixture, error: type[BaseException], shown: int
) -> None:
    engine = sa.create_engine("sqlite://", poolclass=sa.pool.NullPool)

    @sa.event.listens_for(engine, "reset")
    def fail(*_: object) -> None:
        raise error("just now")

    with quiet_interruption(), contextlib.suppress(error):
        engine.connect().close()
    assert [record.name for record in caplog.records] == ["sqlalchemy.pool.impl.NullPool"] * shown
