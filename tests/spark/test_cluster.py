"""The same job on a standalone cluster and by Spark Connect, by configuration only; and workers and drivers that die in the middle of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
import pytest

from plinth.engine import connect
from plinth.errors import SourceUnavailable
from plinth.ingest import bronze_id
from plinth.lakehouse.tables import Lakehouse
from plinth.spark.session import open_session, session_settings
from tests.plinth.lakehouse.conftest import create
from tests.plinth.sources.writers import postgres_writer
from tests.servers.ports import free_port
from tests.servers.spark import ConnectServer, SparkCluster
from tests.spark import load_job
from tests.spark.house import ROOT, platform_in
from tests.spark.job import INPUT, OUTPUT, SQL

pytestmark = pytest.mark.slow
LOOPBACK = "  conf: {spark.driver.host: 127.0.0.1, spark.driver.bindAddress: 127.0.0.1, spark.executor.memory: 500m, spark.executor.cores: 1, spark.sql.shuffle.partitions: 6}\n"


@pytest.fixture(scope="module")
def cluster(spark_ready: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    # Two of the three are killed, each by a test.
    started = SparkCluster(tmp_path_factory.mktemp("cluster"), workers=3)
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


def start_load(folder: Path, url: str, cluster: SparkCluster) -> tuple[Lakehouse, subprocess.Popen[str]]:
    """A load of the bronze table in a process of its own, once several sessions of Spark's are at work."""
    lakehouse = Lakehouse(platform_in(folder, "spark", f"spark:\n  master: {cluster.url}\n{LOOPBACK}"))
    command = [sys.executable, "-m", "tests.spark.load_job", str(folder / "platform.yaml"), url]
    job = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    until = time.monotonic() + 300
    while sessions(url) < 2:
        assert job.poll() is None and time.monotonic() < until, "the job ended before it was seen to read"
        time.sleep(0.01)
    return lakehouse, job


def sessions(url: str) -> int:
    """How many of Spark's sessions read the table now."""
    with psycopg.connect(url, autocommit=True) as con:
        row = con.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT%%FROM (SELECT%%plinth_rows%%plinth_place%%' AND pid <> pg_backend_pid()"
        ).fetchone()
    return int(row[0]) if row else 0


def test_a_load_outlives_a_worker_that_dies_in_mid_read_and_one_whose_driver_dies_leaves_nothing(
    cluster: SparkCluster, postgres_db: str, tmp_path: Path
) -> None:
    postgres_writer(postgres_db)(*load_job.MAKE)
    lakehouse, job = start_load(tmp_path, postgres_db, cluster)
    job.kill()
    job.communicate()
    assert lakehouse.find(bronze_id(load_job.table())) is None
    lakehouse, job = start_load(tmp_path, postgres_db, cluster)
    os.kill(cluster.workers[1].process.pid, signal.SIGKILL)
    assert job.poll() is None, "killed in the middle"
    assert finish(job).splitlines()[-1] == f"spark {load_job.ROWS} {load_job.ROWS}"
    version = lakehouse.open(bronze_id(load_job.table()))
    with connect(lakehouse.platform.profile(), extensions=("delta",)) as con:
        facts = f"SELECT count(*), count(DISTINCT id), sum(weight), sum(hash(sent, label)) FROM {version.scan}"
        expected = "SELECT i, (i / 8.0)::DECIMAL(9,3), TIMESTAMPTZ '2024-01-01 00:00:00+00' + i * INTERVAL 1 SECOND, md5(i::VARCHAR) || repeat('x', 90)"
        made = f"(SELECT UNNEST(range(1, {load_job.ROWS + 1}))::INTEGER AS i)"
        columns = "made(id, weight, sent, label)"
        assert (
            con.execute(facts).fetchall()
            == con.execute(
                f"SELECT count(*), count(DISTINCT id), sum(weight), sum(hash(sent, label)) FROM ({expected} FROM {made}) {columns}"
            ).fetchall()
        )


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
