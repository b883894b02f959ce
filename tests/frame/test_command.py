"""The `plinth` command: help without delay, errors without tracebacks, and the main job from beginning to end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.frame.shop import PROJECT, Shop, contract


@pytest.fixture
def project(shop: Shop) -> Shop:
    """The shop as a project of its own."""
    shop.make_project()
    return shop


def test_help_names_every_command_and_loads_neither_dagster_nor_an_engine() -> None:
    script = "import sys\nfrom plinth.cli import app\ntry: app(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    for name in (
        *("run", "ingest", "sample", "contract", "quarantine", "show", "maintain"),
        *("model", "online", "serve", "key", "report", "ui"),
    ):
        assert f" {name} " in done.stdout
    assert not [
        name for name in ("dagster", "duckdb", "deltalake", "sqlalchemy", "pyarrow") if f"'{name}'" in done.stdout
    ]


def test_a_wrong_command_line_ends_with_2(project: Shop) -> None:
    assert project.command("plinth", "run", "--no-such-option").returncode == 2


def test_an_error_is_told_in_full_without_a_traceback_and_ends_with_1(project: Shop) -> None:
    done = project.command("plinth", "run", "--data", "nowhere.parquet")
    assert done.returncode == 1
    assert "the data file is missing" in done.stderr
    assert "what to do:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["ui", "serve"])
def test_a_port_that_is_taken_is_refused_before_anything_is_started(project: Shop, command: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = project.command("plinth", command, "--port", str(port))
    assert done.returncode == 1
    assert f"127.0.0.1:{port} cannot be listened on" in done.stderr and "already" in done.stderr


def test_a_report_that_does_not_exist_yet_says_how_to_make_one(project: Shop) -> None:
    done = project.command("plinth", "report")
    assert done.returncode == 1
    assert "make run" in done.stderr


def test_a_table_that_no_contract_has_is_named_with_those_that_there_are(project: Shop) -> None:
    done = project.command("plinth", "ingest", "clients")
    assert done.returncode == 1
    assert "client, orders, stock_dump" in done.stderr


@pytest.mark.slow
def test_interrupted_it_says_so_and_the_next_run_goes_on(project: Shop) -> None:
    tool = str(Path(sys.executable).with_name("plinth"))
    variables = {key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "PLINTH_PLATFORM")}
    with subprocess.Popen(
        [tool, "run"], cwd=project.folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        seen = next(line for line in running.stdout if "bronze/" in line and "…" in line)
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
    assert running.returncode == 130, seen + rest
    assert "Interrupted. What was published stays" in rest and "Traceback" not in rest
    again = project.command("plinth", "run")
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.slow
def test_the_main_job_reports_what_it_did_and_a_second_one_finds_nothing_to_do(project: Shop) -> None:
    first = project.command("plinth", "run")
    assert first.returncode == 0, first.stdout + first.stderr
    said = json.loads((project.folder / "report.json").read_text())
    assert said["status"] == "succeeded"
    assert {(each["layer"], each["table"], each["rows"], each["changed"]) for each in said["tables"]} == {
        ("bronze", "client", 2, True), ("bronze", "orders", 3, True), ("bronze", "stock_dump", 2, True),
    }  # fmt: skip
    assert said["checks_passed"] > 10
    assert said["failed_checks"] == []
    assert said["peak_memory_mb"] > 0
    assert said["run_id"]
    assert "make ui" in first.stdout

    second = project.command("plinth", "run")
    assert second.returncode == 0
    assert "Nothing has changed" in second.stdout
    again = json.loads((project.folder / "report.json").read_text())
    assert (again["status"], again["run_id"], again["checks_passed"]) == ("unchanged", None, said["checks_passed"])

    assert "Nothing has changed" in project.command("plinth", "report").stdout


@pytest.mark.slow
def test_what_went_wrong_is_told_and_the_next_run_takes_it_up(project: Shop) -> None:
    values = contract()
    values["schema"][0]["customProperties"].append({"property": "drift", "value": "freeze"})
    project.describe(values)
    project.sql("ALTER TABLE CLIENTS ADD COLUMN FAX TEXT")
    failed = project.command("plinth", "run")
    assert failed.returncode == 1
    assert "FAX" in failed.stdout
    assert "what to do:" in failed.stdout
    assert json.loads((project.folder / "report.json").read_text())["failures"][0]["step"] == "bronze/client"
    project.describe(contract())
    mended = project.command("plinth", "run")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert "the last run failed" in mended.stdout


@pytest.mark.slow
def test_a_column_that_landed_is_told_and_stands_in_the_report_until_the_contract_names_it(project: Shop) -> None:
    project.sql("ALTER TABLE CLIENTS ADD COLUMN FAX TEXT")
    loaded = project.command("plinth", "ingest", "client")
    (told,) = [line for line in loaded.stdout.splitlines() if "drift:" in line]
    assert "bronze/client" in told and "FAX: the database has this column" in told
    for _ in range(2):
        ran = project.command("plinth", "run")
        assert "bronze/client: FAX: the database has this column" in ran.stdout, ran.stdout + ran.stderr
        (line,) = json.loads((project.folder / "report.json").read_text())["drift"]
        assert line["asset"] == "bronze/client" and "FAX" in line["difference"]


@pytest.mark.slow
def test_one_table_is_loaded_by_name_and_in_full(project: Shop) -> None:
    assert project.command("plinth", "ingest", "orders").returncode == 0
    assert "2 rows  (2 inserted)" in project.command("plinth", "ingest", "stock_dump").stdout
    project.sql("""UPDATE "Stock Dump" SET "Größe" = 4""")
    assert "2 rows  (all replaced, 2 before)" in project.command("plinth", "ingest", "stock_dump").stdout
    done = project.command("plinth", "ingest", "bronze/orders", "--full")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bronze/orders" in done.stdout
    assert "bronze/client …" not in done.stdout
    assert project.table("orders").rows == 3


@pytest.mark.slow
def test_show_says_whose_table_it_shows_and_how_large_it_is(project: Shop) -> None:
    assert project.command("plinth", "ingest", "client").returncode == 0
    shown = project.command("plinth", "show", "bronze/client")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"bronze/client of sample, version 0: 2 rows, \d+ B in 1 files", shown.stdout), shown.stdout
    for file in project.table("client").files:
        Path(file.uri).write_bytes(b"")
    shown = project.command("plinth", "show", "bronze/client")
    assert shown.returncode == 1 and "Traceback" not in shown.stderr, shown.stderr
    assert "the query cannot run" in shown.stderr and "too small to be a Parquet file" in shown.stderr


def test_show_looks_for_the_tables_of_a_data_file_where_they_are_kept(project: Shop) -> None:
    (project.folder / "trade.parquet").touch()
    settings = project.folder / "platform.yaml"
    settings.write_text(settings.read_text().replace("shop:", "erp:"))
    shown = project.command("plinth", "show", "bronze/client", "--data", "trade.parquet")
    assert shown.returncode == 1
    assert "bronze/client does not exist yet" in shown.stderr and "/data/trade/" in shown.stderr
