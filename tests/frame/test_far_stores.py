"""The whole project with its state elsewhere: the cloud zone in an object store, Dagster's history and the online store in PostgreSQL."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from plinth.features import load_views
from plinth.features.due import last_told
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import load_platform
from tests.frame.shop import PROJECT
from tests.servers import PostgresServer, S3Server

pytestmark = pytest.mark.slow


def _plinth(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "plinth.cli", *arguments],
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=500,
    )


def _overlay(folder: Path, bucket: str, endpoint: str) -> dict[str, str]:
    overlay = folder / "platform.yaml"
    overlay.write_text(
        f"zones:\n  on_prem: {{root: {folder}/on_prem}}\n"
        f"  cloud: {{root: 's3://{bucket}/plinth', options: {{endpoint_env: LAKE_ENDPOINT, retries: 1}}}}\n"
        f"stores: {{report: {folder}/report.json, scratch: {folder}/scratch, registry: {folder}/registry, "
        f"online_env: ONLINE_URL, history_env: HISTORY_URL}}\n"
        f"sources:\n  erp: {{url: 'sqlite:///{folder}/erp.sqlite'}}\n"
    )
    return {"PLINTH_PLATFORM": str(overlay), "DAGSTER_HOME": str(folder / "instance"), "LAKE_ENDPOINT": endpoint}


def test_a_whole_refresh_with_its_state_in_an_object_store_and_in_postgresql(
    tmp_path: Path,
    bucket: str,
    s3_server: S3Server,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history, online = postgres_server.new_database("history"), postgres_server.new_database("online")
    dagster = history.replace("postgresql:", "postgresql+psycopg2:")
    environment = {**_overlay(tmp_path, bucket, s3_server.endpoint), "HISTORY_URL": dagster, "ONLINE_URL": online}
    legacy = f"sqlite:///{tmp_path / 'erp.sqlite'}"
    made = _plinth(environment, "sample", "--to", legacy, "--customers", "60", "--days", "30")
    assert made.returncode == 0, made.stderr

    first = _plinth(environment, "run")
    assert first.returncode == 0, first.stdout + first.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    rows = {f"{line['layer']}/{line['table']}": line["rows"] for line in report["tables"]}
    assert rows["bronze/invoice_line"] > 300 and rows["gold/sales_daily"] > 10 and rows["features/customer"] > 0
    layers = {key.split("/")[1] for key in s3_server.keys(bucket)}
    assert layers == {"silver", "gold", "features", "serving"}
    assert sorted(path.name for path in (tmp_path / "on_prem").iterdir()) == ["bronze", "ops"]
    with psycopg.connect(history) as con:
        runs = con.execute("SELECT status FROM runs").fetchall()
        assert [status for (status,) in runs] == ["SUCCESS"]
    with psycopg.connect(online) as con:
        assert con.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchone() != (0,)
    assert not (tmp_path / "instance" / "history").exists(), "nothing of the history is left in files"
    secret = postgres_server.folder.joinpath("password").read_text()
    assert secret not in (tmp_path / "instance" / "dagster.yaml").read_text()

    # Definitions learn from the log in the bucket which weeks there are.
    monkeypatch.setenv("LAKE_ENDPOINT", s3_server.endpoint)
    platform = load_platform(PROJECT / "platform.yaml", tmp_path / "platform.yaml")
    assert last_told(Lakehouse(platform), load_views(platform)) is not None

    # A day later only what changed is read and written, by merges in the bucket.
    before = set(s3_server.keys(bucket))
    assert _plinth(environment, "sample", "advance", "--days", "1", "--to", legacy).returncode == 0
    second = _plinth(environment, "run")
    assert second.returncode == 0, second.stdout + second.stderr
    assert before < set(s3_server.keys(bucket)), "no file of a version is taken away by a later one"
    again = {
        f"{line['layer']}/{line['table']}": line["rows"]
        for line in json.loads((tmp_path / "report.json").read_text())["tables"]
    }
    with sqlite3.connect(tmp_path / "erp.sqlite") as con:
        (lines,) = con.execute("SELECT count(*) FROM INVLINE").fetchone()
    assert again["bronze/invoice_line"] == lines > rows["bronze/invoice_line"]
    shown = _plinth(environment, "show", "gold/sales_daily", "--sql", "SELECT sum(orders) AS n FROM t")
    assert shown.returncode == 0 and "s3://" in shown.stdout

    nothing = _plinth(environment, "run")
    assert nothing.returncode == 0 and "nothing to do" in nothing.stdout

    # Without its stores it says what to do, and nothing else.
    refused = _plinth({**environment, "AWS_SECRET_ACCESS_KEY": "wrong"}, "run")
    assert refused.returncode == 1 and "refused the credentials" in refused.stderr + refused.stdout
    assert "Traceback" not in refused.stderr
    lost = _plinth({**environment, "HISTORY_URL": dagster.replace("plinth:", "nobody:")}, "run")
    driver = _plinth({**environment, "HISTORY_URL": history}, "run")
    assert driver.returncode == 1 and "postgresql+psycopg2://" in driver.stderr
    assert lost.returncode == 1 and "HistoryUnavailable" in lost.stderr and secret not in lost.stderr
