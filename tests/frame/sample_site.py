"""A small sample, run once as its users run it: what is looked at afterwards by the API, in the browser and by hand stands in one folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.frame.shop import PROJECT


@dataclass(frozen=True)
class SampleSite:
    """The folder with all that the run has left behind: zones, registry, online store, Dagster's history."""

    folder: Path

    @property
    def online(self) -> str:
        """The URL of the online store."""
        return f"sqlite:///{self.folder / 'online.db'}"

    @property
    def variables(self) -> dict[str, str]:
        """What a process of the project is told, to be about this site."""
        return {"PLINTH_PLATFORM": str(self.folder / "overlay.yaml"), "DAGSTER_HOME": str(self.folder / "instance")}

    @cached_property
    def report(self) -> dict[str, Any]:
        """What the run says of itself."""
        said: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return said

    def plinth(self, *arguments: str) -> str:
        """What a command prints; it has to succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "plinth.cli", *arguments],
            cwd=PROJECT,
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def sample_site(tmp_path_factory: pytest.TempPathFactory) -> SampleSite:
    """300 customers of 400 days, from a legacy system in SQLite to the published version; nobody changes it."""
    made = SampleSite(tmp_path_factory.mktemp("site"))
    legacy, folder = f"sqlite:///{made.folder / 'erp.sqlite'}", made.folder
    (folder / "overlay.yaml").write_text(
        f"zones:\n  on_prem: {{root: {folder}/on_prem}}\n  cloud: {{root: {folder}/cloud}}\n"
        f"stores: {{report: {folder}/report.json, scratch: {folder}/scratch, registry: {folder}/registry, online: '{made.online}'}}\n"
        f"sources:\n  erp: {{url: '{legacy}'}}\n"
    )
    made.plinth("sample", "--to", legacy, "--customers", "300", "--days", "400")
    made.plinth("run")
    return made
