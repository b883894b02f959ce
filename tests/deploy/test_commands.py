"""What the chart's containers run, run here: the schema jobs on a real PostgreSQL, and a code location asked by the probe that the kubelet uses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.deploy.rendering import Manifest, of_kind, rendered
from tests.deploy.test_runs import HOME, config_map, locations
from tests.servers.ports import free_port
from tests.servers.process import _die_with_parent

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent


def environment(folder: Path, database: str) -> dict[str, str]:
    """The variables and files that a pod without a launcher has."""
    home = folder / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        config_map("trial", "plinth-instance")["without-launcher.yaml"], encoding="utf-8"
    )
    overlay = folder / "platform.yaml"
    overlay.write_text(config_map("trial", "plinth-platform")["platform.yaml"], encoding="utf-8")
    own = {
        "DAGSTER_HOME": str(home),
        "PLINTH_PLATFORM": str(overlay),
        "PLINTH_INSTANCE_URL": database,
        "PLINTH_ONLINE_URL": database,
    }
    return {**os.environ, "PYTHONPATH": str(HOME), **own}


def arguments(manifest: Manifest) -> list[str]:
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    return list(container["args"])


def command(given: list[str]) -> list[str]:
    """A container's arguments on this machine."""
    starts = {"plinth": [sys.executable, "-m", "plinth.cli"], "dagster": [str(BIN / "dagster")]}
    return [*starts[given[0]], *(each.replace("/opt/plinth", str(HOME)) for each in given[1:])]


def test_the_schema_jobs_make_both_databases_tables_and_may_be_repeated(postgres_db: str, tmp_path: Path) -> None:
    variables = environment(tmp_path, postgres_db)
    jobs = of_kind(rendered("trial"), "Job")
    for job in (*jobs, *jobs):
        done = subprocess.run(
            command(arguments(job)), cwd=HOME, env=variables, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
    with psycopg.connect(postgres_db) as connection:
        found = {
            name
            for (name,) in connection.execute(
                "select table_name from information_schema.tables where table_schema = 'public'"
            )
        }
    assert {"runs", "event_logs", "job_ticks", "online_versions", "online_documents", "online_events"} <= found


def test_a_code_location_answers_the_probe_that_its_pod_names(postgres_db: str, tmp_path: Path) -> None:
    deployment = locations("trial")["plinth"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    port = free_port()
    given = [
        each.replace("--port=4000", f"--port={port}").replace("0.0.0.0", "127.0.0.1") for each in arguments(deployment)
    ]
    process = subprocess.Popen(
        command(given),
        cwd=HOME,
        env=environment(tmp_path, postgres_db),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=_die_with_parent,
    )
    try:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert _serves(process, port, container[probe]["grpc"], seconds=120)
    finally:
        # How it ends is not asked here: told to, it takes its time, on a busy machine more than half a minute.
        process.kill()
        process.wait(30)


def _serves(process: subprocess.Popen[bytes], port: int, probe: dict[str, Any], seconds: float) -> bool:
    assert probe["port"] == 4000
    limit = time.monotonic() + seconds
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < limit:
            assert process.poll() is None, process.stdout.read().decode() if process.stdout else ""
            try:
                answer = stub.Check(health_pb2.HealthCheckRequest(service=probe["service"]), timeout=3)
            except grpc.RpcError:
                time.sleep(0.5)
                continue
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
    return False
