"""Whether a full run queue and many partitions stall Dagster's daemon: seconds of its ticks, with this project's settings for a cluster.

`python -m benchmarks.queue [--small] [--processes] [--sqlite] [--runs N] [--partitions N] [--seconds S]`. A sensor asks for 1,000 runs, 10,000
partitions of an asset are materialised, and what follows from them is automated; a daemon that starts no run (`max_concurrent_runs: 0`) queues all
that. The history is in a PostgreSQL of its own where that is installed, else (or with `--sqlite`) in SQLite. Measured is the daemon that is started
then and finds it, while 25 runs at a time run.

The settings are those of `deploy/dagster-kubernetes.yaml`, but for the launcher, which only takes launches down (`benchmarks.queue_launcher`). A tick
of the queue waits for the launches that it makes. On a cluster each is a call to the API server. On one machine each is a process that loads the
code, some seconds of a processor, so there the tick tells how crowded the machine is, not how the daemon copes with its queue; `--processes`
measures that, with the settings of one machine (`dagster.yaml`) and four runs at a time.

Figures: `tick_seconds_p95`, that of the slowest of the daemon's loops (bar 5 s, the time between two looks at the queue), beside it the loops by
name (`queue_`, `asset_`, `sensor_`, `backfill_`, `monitoring_tick_seconds_p95`), `tick_seconds_most`, `daemon_cpu_share` (CPU seconds of the
daemon's process a second), `enqueue_seconds` until all were queued, and `dequeued_per_minute`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.measure import ROOT, python
from benchmarks.queue_daemon import PROCESS
from benchmarks.report import Bar, finish

BARS = {"tick_seconds_p95": Bar("<=", 5.0)}
_NAMES = {
    "QUEUED_RUN_COORDINATOR": "queue",
    "ASSET": "asset",
    "SENSOR": "sensor",
    "BACKFILL": "backfill",
    "MONITORING": "monitoring",
}
_MOST_SECONDS = 900.0
_LAUNCHES = {"launch_seconds": 0.3, "look_seconds": 0.03, "run_seconds": 10.0}
"""Of an API server that has much to do; the runs are short, so that many are launched and many remain queued while that is measured."""
_LOCATION = """
import dagster as dg

parts = dg.StaticPartitionsDefinition([f"p{{number}}" for number in range({partitions})])
single = dg.BackfillPolicy.single_run()


@dg.asset(partitions_def=parts, backfill_policy=single)
def numbers() -> None: ...


@dg.asset(deps=[numbers], partitions_def=parts, backfill_policy=single, automation_condition=dg.AutomationCondition.eager())
def doubled() -> None: ...


@dg.op
def nothing() -> None: ...


@dg.job
def small() -> None:
    nothing()


@dg.sensor(job=small, default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=30)
def asks(context):
    for number in range({runs}):
        yield dg.RunRequest(run_key=f"run {{number}}")


automation = dg.AutomationConditionSensorDefinition("automation", target="*", default_status=dg.DefaultSensorStatus.RUNNING)
defs = dg.Definitions(assets=[numbers, doubled], jobs=[small], sensors=[asks, automation])
"""


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="plinth-benchmark-"))
    try:
        with _history(folder, sqlite=options.sqlite) as (storage, environment):
            os.environ.update({"DAGSTER_HOME": str(folder), "DAGSTER_TELEMETRY_DISABLED": "1", **environment})
            settings = {**_settings(processes=options.processes), **storage}
            location = folder / "location.py"
            location.write_text(_LOCATION.format(runs=options.runs, partitions=options.partitions))
            queued = _queued(folder, location, settings, options)
            figures = {**_measured(folder, location, settings, options), "enqueue_seconds": queued}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    notes = {
        "runs": options.runs,
        "partitions": options.partitions,
        "history": "PostgreSQL" if storage else "SQLite",
        "launches": "processes" if options.processes else "taken down",
    }
    return finish("queue", figures, {} if options.small else BARS, notes)


def _settings(*, processes: bool) -> dict[str, Any]:
    """The instance's settings, without where its history is."""
    if processes:
        settings: dict[str, Any] = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
        return settings
    settings = yaml.safe_load((ROOT / "deploy" / "dagster-kubernetes.yaml").read_text(encoding="utf-8"))
    del settings["storage"]
    launcher = {"module": "benchmarks.queue_launcher", "class": "RecordedLaunches", "config": _LAUNCHES}
    return {**settings, "run_launcher": launcher}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--small", action="store_true", help="a few runs and partitions, no bars: only to see that it works"
    )
    parser.add_argument("--processes", action="store_true", help="start the runs, as on one machine")
    parser.add_argument("--sqlite", action="store_true")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--partitions", type=int)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    options.runs = options.runs or (12 if options.small else 1_000)
    options.partitions = options.partitions or (50 if options.small else 10_000)
    options.seconds = options.seconds or (15 if options.small else 180)
    options.sqlite = options.sqlite or options.small
    return options


@contextmanager
def _history(folder: Path, *, sqlite: bool) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """What is added to the settings, and the variables that go with it."""
    from tests.servers import PostgresServer, ServerMissing

    try:
        server = None if sqlite else PostgresServer()
    except ServerMissing:
        server = None
    if server is None:
        yield {}, {}
        return
    try:
        url = server.new_database("history").replace("postgresql:", "postgresql+psycopg2:", 1)
        yield {"storage": {"postgres": {"postgres_url": {"env": "BENCHMARK_HISTORY"}}}}, {"BENCHMARK_HISTORY": url}
    finally:
        server.close()


def _queued(folder: Path, location: Path, settings: dict[str, Any], options: argparse.Namespace) -> float:
    """Materialises the partitions, and has a daemon that starts no run queue all of them; gives the seconds that the queueing took."""
    import dagster as dg

    concurrency = {**settings["concurrency"], "runs": {"max_concurrent_runs": 0}}
    (folder / "dagster.yaml").write_text(yaml.safe_dump({**settings, "concurrency": concurrency}))
    with dg.DagsterInstance.get() as instance:
        for number in range(options.partitions):
            instance.report_runless_asset_event(dg.AssetMaterialization("numbers", partition=f"p{number}"))
        print(f"  {options.partitions:,} partitions are materialised", file=sys.stderr)
        began = time.monotonic()
        with _daemon(folder, location):
            _wait_until_asked(instance, options.runs, folder)
        print(f"  {options.runs:,} runs are queued", file=sys.stderr)
        return time.monotonic() - began


def _measured(folder: Path, location: Path, settings: dict[str, Any], options: argparse.Namespace) -> dict[str, float]:
    """The ticks of a daemon with the project's own settings that finds the full queue."""
    import dagster as dg

    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with dg.DagsterInstance.get() as instance:
        began, before, done = time.monotonic(), _started(instance), 0
        with _daemon(folder, location) as ticks:
            # On a crowded machine the daemon itself may need longer than that to start its first run.
            while (passed := time.monotonic() - began) < (options.seconds if done else _MOST_SECONDS):
                time.sleep(0.5)
                done = _started(instance) - before
    # Read when the daemon has ended: the tick that the end cut off may be the slowest.
    times: dict[str, list[float]] = {}
    share = 0.0
    for tick in (json.loads(line) for line in ticks.read_text().splitlines()):
        if tick["daemon"] == PROCESS:
            share = tick["cpu_seconds"] / tick["seconds"]
        if tick["daemon"] in _NAMES:
            times.setdefault(_NAMES[tick["daemon"]], []).append(tick["seconds"])
    late = {f"{name}_tick_seconds_p95": float(np.percentile(each, 95)) for name, each in sorted(times.items())}
    return {
        "tick_seconds_p95": max(late.values()),
        "tick_seconds_most": max(max(each) for each in times.values()),
        **late,
        "daemon_cpu_share": share,
        "dequeued_per_minute": done / passed * 60,
    }


@contextmanager
def _daemon(folder: Path, location: Path) -> Iterator[Path]:
    """The daemon with all that it starts in a process group of its own, which ends with it."""
    ticks = folder / "ticks.jsonl"
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            python("benchmarks.queue_daemon", str(location), str(ticks)),
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield ticks
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            _end_group(process.pid)


def _end_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _wait_until_asked(instance: object, runs: int, folder: Path) -> None:
    limit = time.monotonic() + _MOST_SECONDS
    while instance.get_runs_count() < runs:  # type: ignore[attr-defined]
        if time.monotonic() > limit:
            raise RuntimeError("the runs were not queued:\n" + (folder / "daemon.log").read_text()[-3000:])
        time.sleep(0.5)


def _started(instance: object) -> int:
    """Runs that are no longer waiting."""
    from dagster import DagsterRunStatus, RunsFilter

    waiting = RunsFilter(statuses=[DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED])
    return int(instance.get_runs_count() - instance.get_runs_count(waiting))  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main())
