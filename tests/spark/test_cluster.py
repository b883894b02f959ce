"""The same job on a standalone cluster and by Spark Connect, by configuration only; and a worker that dies in the middle of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from plinth.engine import connect
from plinth.errors import SourceUnavailable
from plinth.lakehouse.tables import Lakehouse
from plinth.spark.session import open_session, session_settings
from tests.plinth.lakehouse.conftest import create
from tests.servers.ports import free_port
from tests.servers.spark import ConnectServer, SparkCluster
from tests.spark.house import ROOT, platform_in
from tests.spark.job import INPUT, OUTPUT, SQL

pytestmark = pytest.mark.slow
LOOPBACK = "  conf: {spark.driver.host: 127.0.0.1, spark.driver.bindAddress: 127.0.0.1, spark.executor.memory: 500m, spark.executor.cores: 1, spark.sql.shuffle.partitions: 6}\n"


@pytest.fixture(scope="module")
def cluster(spark_ready: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    started = SparkCluster(tmp_path_factory.mktemp("cluster"))
    yield started
    started.close()


def start_job(folder: Path, rows: int, spark: str) -> tuple[Lakehouse, subprocess.Popen[str]]:
    """The input table, and the job that reads it."""
    lakehouse = Lakehouse(platform_in(folder, "spark", spark))
    with connect(lakehouse.platform.profile(), extensions=("delta",)) as con:
        create(con, lakehouse, INPUT, f"SELECT i AS id FROM range({rows}) t(i)")
    command = [sys.executable, "-m", "tests.spark.job", str(folder / "platform.yaml")]
    return lakehouse, subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(job: subprocess.Popen[str]) -> str:
    output, _ = job.communicate(timeout=400)
    assert job.returncode == 0, output[-3000:]
    return output


def assert_equal_to_duckdb(lakehouse: Lakehouse) -> None:
    with connect(lakehouse.platform.profile(), extensions=("delta",)) as con:
        con.execute(f"CREATE SCHEMA silver; CREATE VIEW silver.numbers AS SELECT * FROM {lakehouse.open(INPUT).scan}")
        made = lakehouse.open(OUTPUT)
        assert made.writer == 1 and made.rows == 1009
        assert _rows(con, f"SELECT rest, numbers, total, hashes FROM {made.scan}") == _rows(con, SQL)


def _rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[object, ...]]:
    return sorted(con.execute(sql).fetchall())


def test_a_worker_killed_in_the_middle_of_a_job_loses_nothing(cluster: SparkCluster, tmp_path: Path) -> None:
    lakehouse, job = start_job(tmp_path, 3_000_000, f"spark:\n  master: {cluster.url}\n{LOOPBACK}")
    victim = cluster.workers[0]
    until = time.monotonic() + 300
    # What a finished task of the first stage leaves on this worker, and the second stage would fetch from it.
    while not list(victim.folder.rglob("shuffle_*.data")):
        assert job.poll() is None and time.monotonic() < until, "the job ended before this worker had done a part of it"
        time.sleep(0.02)
    os.kill(victim.process.pid, signal.SIGKILL)
    assert job.poll() is None, "killed in the middle"
    finish(job)
    assert "Lost executor" in cluster.master.log.read_text() or "Removing worker" in cluster.master.log.read_text()
    assert_equal_to_duckdb(lakehouse)


def test_by_spark_connect_the_same_job_runs_by_configuration_only(spark_ready: None, tmp_path: Path) -> None:
    local = platform_in(tmp_path / "server")
    server = ConnectServer(tmp_path, session_settings(local, local.profile("spark")))
    try:
        lakehouse, job = start_job(tmp_path / "job", 20_000, f"spark: {{remote: '{server.url}'}}\n")
        assert finish(job).splitlines()[-1] == "1009 UTC"
        assert_equal_to_duckdb(lakehouse)
    finally:
        server.close()


def test_a_connect_server_that_is_not_there_is_said_at_once(spark_ready: None, tmp_path: Path) -> None:
    platform = platform_in(
        tmp_path, "spark", f"spark: {{remote: 'sc://127.0.0.1:{free_port()}', connect_timeout: 2}}\n"
    )
    begun = time.monotonic()
    with pytest.raises(SourceUnavailable, match="does not answer"):
        open_session(platform, platform.profile("spark"))
    assert time.monotonic() - begun < 10
