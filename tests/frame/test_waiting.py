"""Threads that wait for each other sleep, in every process that trains or serves."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.frame.shop import PROJECT

pytestmark = pytest.mark.slow  # each case loads scikit-learn in a process of its own


def said_by_openmp(imported: str, **variables: str) -> str:
    """What the OpenMP library says of its settings, when it is loaded after a module of this project."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", f"import {imported}\nimport sklearn.ensemble"],
        cwd=PROJECT, env={**environment, "OMP_DISPLAY_ENV": "TRUE", **variables}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    if "OMP_WAIT_POLICY" not in done.stderr:
        pytest.skip("this scikit-learn has no OpenMP that tells its settings")
    return done.stderr


@pytest.mark.parametrize(
    "imported",
    [
        pytest.param("plinth.cli", id="the command"),
        pytest.param("definitions", id="Dagster's code server, runs and steps, which all load the definitions"),
        pytest.param("api.app", id="a worker of the API"),
        pytest.param("benchmarks.recommender_ratings", id="a benchmark"),
        pytest.param("tests.conftest", id="the suite"),
    ],
)
def test_threads_that_wait_sleep(imported: str) -> None:
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in said_by_openmp(imported)


def test_who_sets_another_policy_keeps_it() -> None:
    assert "OMP_WAIT_POLICY = 'ACTIVE'" in said_by_openmp("plinth.cli", OMP_WAIT_POLICY="ACTIVE")
