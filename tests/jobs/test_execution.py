"""The executor follows from the platform's setting, and what is missing for it is named."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml

from definitions import build_definitions
from tests.frame.shop import PROJECT, Shop


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
