"""The whole way of the data, as a new user goes it: a legacy system, one run, the API on what it published, an event, another list."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.process import ApiProcess
from tests.frame.shop import PROJECT

pytestmark = pytest.mark.slow

MODELS = {"recommender", "propensity"}
"""What is learnt of so few customers; an uplift wants more contacts."""


def _plinth(folder: Path, *arguments: str) -> str:
    environment = {"PLINTH_PLATFORM": str(folder / "overlay.yaml"), "DAGSTER_HOME": str(folder / "instance")}
    done = subprocess.run(
        [sys.executable, "-m", "plinth.cli", *arguments],
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_from_a_legacy_system_to_a_list_that_an_event_changes(tmp_path: Path) -> None:
    legacy, online = f"sqlite:///{tmp_path / 'erp.sqlite'}", f"sqlite:///{tmp_path / 'online.db'}"
    (tmp_path / "overlay.yaml").write_text(
        f"zones:\n  on_prem: {{root: {tmp_path}/on_prem}}\n  cloud: {{root: {tmp_path}/cloud}}\n"
        f"stores: {{report: {tmp_path}/report.json, scratch: {tmp_path}/scratch, registry: {tmp_path}/registry, online: '{online}'}}\n"
        f"sources:\n  erp: {{url: '{legacy}'}}\n"
    )
    _plinth(tmp_path, "sample", "--to", legacy, "--customers", "300", "--days", "400")
    _plinth(tmp_path, "run")
    report = json.loads((tmp_path / "report.json").read_text())
    assert {model["model"] for model in report["models"]} == MODELS
    customer = report["online"]["customers"][0]

    (tmp_path / "api").mkdir()
    server = ApiProcess(tmp_path / "api", online)
    server.start()
    try:
        with server.client() as client:
            path = f"/v1/customers/{customer}/recommendations"
            before = [row["item"] for row in client.get(path).json()["items"]]
            assert len(before) == 20
            for about in (
                f"customers/{customer}/features",
                f"customers/{customer}/items",
                f"items/{before[0]}/features",
            ):
                assert client.get(f"/v1/{about}").status_code == 200
            similar = client.get(f"/v1/items/{before[0]}/similar").json()["items"]
            seen = [row["item"] for row in similar if row["item"] not in before][:3]
            assert seen, "goods that go with the first of the list and are not in it"
            events = [
                {"id": f"e-{number}", "customer": str(customer), "item": item, "kind": "view"}
                for number, item in enumerate(seen)
            ]
            assert client.post("/v1/events", json={"events": events}).status_code == 200
            after = [row["item"] for row in client.get(path).json()["items"]]
        assert len(after) == 20 and after != before
    finally:
        server.kill()
