"""The executor follows from the platform's setting, and what is missing for it is named."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from definitions import build_definitions
from tests.frame.shop import PROJECT, Shop

forks = pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="this system starts processes from nothing"
)


def ask_for_pods(shop: Shop) -> None:
    """Has the shop's platform name pods."""
    file = shop.folder / "platform.yaml"
    values = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**values, "execution": {"executor": "kubernetes"}}))


def test_steps_are_processes_unless_the_platform_names_pods(shop: Shop) -> None:
    pytest.importorskip("dagster_k8s", reason="dagster-k8s is not installed: requirements/kubernetes.lock brings it")
    assert build_definitions(shop.platform).get_repository_def().get_job("ingest").executor_def.name == "multiprocess"
    ask_for_pods(shop)
    assert build_definitions(shop.platform).get_repository_def().get_job("ingest").executor_def.name == "pods"


def test_pods_without_the_extra_are_refused_with_its_name(shop: Shop) -> None:
    ask_for_pods(shop)
    # A finder that knows no dagster_k8s is an environment without it.
    script = """
import importlib.util, json, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "dagster_k8s" else real(name, package)
from definitions import build_definitions
from plinth.errors import ConfigurationError
from plinth.platform import load_platform
try:
    build_definitions(load_platform(sys.argv[1]))
except ConfigurationError as error:
    print(json.dumps(str(error)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(shop.folder / "platform.yaml")], cwd=PROJECT, capture_output=True, text=True
    )
    said = json.loads(done.stdout)
    assert "execution.executor" in said and "requirements/kubernetes.lock" in said


def run(job: str, folder: Path) -> dict[str, Any]:
    """What became of a job of `process_job`, run in a process of its own as runs are."""
    command = [sys.executable, "-m", "tests.jobs.process_job", job, str(folder)]
    said: dict[str, Any] = json.loads(subprocess.check_output(command, cwd=PROJECT, text=True, timeout=120))
    return said


@forks
@pytest.mark.slow
def test_steps_are_forked_from_one_process_that_has_imported_what_all_need(tmp_path: Path) -> None:
    said = run("telling", tmp_path)
    assert said["success"]
    assert [began for began, _ in said["steps"]] == [3, 3]
    parents = {parent for _, parent in said["steps"]}
    assert len(parents) == 1 and parents != {said["own"]}


@forks
@pytest.mark.slow
def test_a_step_that_is_killed_fails_the_run_and_takes_no_other_along(tmp_path: Path) -> None:
    said = run("dying", tmp_path)
    assert not said["success"] and list(said["failed"]) == ["die"]
    assert len(said["steps"]) == 1


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="this system does not tell of threads")
def test_what_is_imported_before_a_fork_starts_no_thread() -> None:
    script = "import jobs.preload, os; print(len(os.listdir('/proc/self/task')))"
    assert subprocess.check_output([sys.executable, "-c", script], cwd=PROJECT, text=True) == "1\n"
