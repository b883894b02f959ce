"""Each benchmark works: its quick form ends with the line of JSON whose form and figures others rely on."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIGURES = {
    "ingest": {"wall_vs_copy", "cpu_vs_dlt", "peak_mb", "mariadb_wall_vs_dump", "sqlite_wall_vs_dump"},
    "engines": {"equal", "spark_wall_vs_duckdb", "spark_cpu_vs_duckdb", "duckdb_peak_mb", "spark_peak_mb"},
    "features": {
        "cpu_vs_duckdb",
        "long_cpu_vs_duckdb",
        "weekly_cpu_vs_duckdb",
        "equal",
        "duckdb_wrong_rows",
        "peak_mb",
    },
    "incremental": {"cpu_vs_full", "scattered_cpu_vs_full", "peak_mb", "recent_cpu_vs_dlt", "scattered_cpu_vs_dlt"},
    "noop": {"load_seconds", "noop_seconds", "load_vs_dagster"},
    "propensity": {"roc_auc", "pr_auc", "brier", "ece", "lift_at_10", "qini_vs_truth", "plan_interval_coverage"},
    "events": {
        "event_to_list_ms_p99",
        "waiting_event_to_list_ms_p99",
        "http_event_to_list_ms_p99",
        "events_per_second",
    },
    "queue": {"tick_seconds_p95", "queue_tick_seconds_p95", "dequeued_per_minute"},
    "recommender": {
        "recall_at_20",
        "ndcg_at_20",
        "hit_rate_at_20",
        "new_recall_at_20",
        "session_recall_at_20",
        "event_to_list_ms_p99",
        "coverage",
        "popularity_bias",
    },
    "scale": {
        "time_slope",
        "cpu_slope",
        "memory_slope",
        "last_memory_slope",
        "peak_vs_profile",
        "largest_seconds",
        "largest_peak_mb",
    },
    "serve": {
        "requests_per_second",
        "vs_hello",
        "vs_hello_hot",
        "vs_hello_customer_items",
        "vs_hello_item_features",
        "p99_vs_p50",
    },
    "spike": {"errors", "p99_ms", "p99_ms_2_workers", "simulated_pods", "simulated_least_pods"},
    "train": {"seconds", "peak_mb", "recommender_seconds", "propensity_seconds", "propensity_peak_mb"},
    "transform": {
        "wall_vs_sql",
        "day_vs_rebuild",
        "day_cpu_vs_rebuild",
        "recent_day_cpu_vs_rebuild",
        "recent_day_cpu_vs_overwrite",
    },
}

MAY_BE_NEGATIVE = {"time_slope", "cpu_slope", "memory_slope", "last_memory_slope"}
"""Of the two small sizes: what they hardly differ in is noise."""
MAY_BE_ZERO = {"errors", "contention", "crosstalk", "simulated_wait_seconds", "simulated_late_share"}


EXACT = {"engines": {"equal": 1.0}, "features": {"equal": 1.0}, "spike": {"errors": 0.0}}
"""Bars that no clock has a part in: they hold in the quick form too."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FIGURES))
def test_the_quick_form_ends_with_its_figures_as_json(name: str) -> None:
    if name in ("ingest", "incremental") and not (shutil.which("psql") and shutil.which("mysql")):
        pytest.skip("needs the clients psql and mysql: apt-get install postgresql mariadb-server")
    if name == "engines" and not (find_spec("pyspark") and shutil.which("java")):
        pytest.skip("needs Spark: install requirements/spark.lock and apt-get install openjdk-17-jre-headless")
    if name in ("serve", "spike") and shutil.which("wrk") is None:
        pytest.skip("needs wrk: apt-get install wrk")
    command = [sys.executable, "-m", f"benchmarks.{name}", "--small"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    line = json.loads(done.stdout.strip().splitlines()[-1])
    assert line["benchmark"] == name
    assert set(line["figures"]) >= FIGURES[name]
    assert all(math.isfinite(value) for value in line["figures"].values())
    figures = {figure: value for figure, value in line["figures"].items() if figure not in MAY_BE_NEGATIVE}
    assert all(value >= 0 for value in figures.values())
    assert all(value > 0 for figure, value in figures.items() if figure not in MAY_BE_ZERO)
    for figure, value in EXACT.get(name, {}).items():
        assert line["figures"][figure] == value, figure
    assert line["bars"] == {}, "a quick run proves nothing about a bar"
    assert line["machine"]["cpus"]
