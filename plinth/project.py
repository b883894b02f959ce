"""Where the files of a project are: its platform, its Dagster instance, and the side projects that real data get.

What belongs here: folders and the files that a command has to find or put in place before Dagster starts. What does not: Dagster itself.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from plinth.errors import ConfigurationError
from plinth.platform import OVERLAY_VARIABLE, Platform, load_platform

INSTANCE_VARIABLE = "DAGSTER_HOME"
SAMPLE_SOURCE = "erp"
"""The source that the sample warehouse stands for."""

_OWN_HOME = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Project:
    """A project as one command sees it.

    Attributes:
        home: folder of `platform.yaml`, `definitions.py`, `workspace.yaml` and `dagster.yaml`.
        platform: the settings, with the overlay.
        overlay: file that lies over `platform.yaml`, or None.
        instance: folder of the Dagster instance.
        dataset: `sample`, or the name of the data file that was loaded beside it.
    """

    home: Path
    platform: Platform
    overlay: Path | None
    instance: Path
    dataset: str = "sample"

    @property
    def report(self) -> Path:
        """Where the report of the newest run is written."""
        return self.platform.path(self.platform.stores.report)

    @property
    def last_report(self) -> Path:
        """The report of this dataset's own newest run, beside its history."""
        return self.instance / "report.json"

    def environment(self) -> dict[str, str]:
        """The variables by which Dagster's processes find the same project."""
        overlay = {OVERLAY_VARIABLE: str(self.overlay)} if self.overlay is not None else {}
        return {INSTANCE_VARIABLE: str(self.instance), **overlay}

    def prepare(self) -> None:
        """Puts the instance's settings in place and this process into the project, before anything of Dagster is loaded."""
        self.instance.mkdir(parents=True, exist_ok=True)
        settings, copy = self.home / "dagster.yaml", self.instance / "dagster.yaml"
        settings = settings if settings.is_file() else _OWN_HOME / "dagster.yaml"
        text = settings.read_text(encoding="utf-8")
        if not copy.exists() or copy.read_text(encoding="utf-8") != text:
            copy.write_text(text, encoding="utf-8")
        os.environ.update(self.environment())


def find_home() -> Path:
    """The project's folder: the nearest one from here upwards that has a `platform.yaml`, else the one that this package stands in.

    Raises:
        ConfigurationError: there is none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, _OWN_HOME):
        if (folder / "platform.yaml").is_file():
            return folder
    raise ConfigurationError(
        "this is no Plinth project",
        expected="a folder with platform.yaml, here or above",
        where=here,
        remedy="change into the project's folder",
    )


def open_project(data: Path | None = None) -> Project:
    """The project of the current folder, or with `data` the one beside it that holds that file's data.

    Raises:
        ConfigurationError: there is none, its settings are wrong, or the data file is missing.
    """
    home = find_home()
    instance = Path(os.environ.get(INSTANCE_VARIABLE) or home / ".dagster").absolute()
    if data is None:
        named = os.environ.get(OVERLAY_VARIABLE)
        platform = load_platform(home / "platform.yaml")
        if named and not os.environ.get(INSTANCE_VARIABLE):
            instance = _instance_of(home, platform, Path(named), instance)
        return Project(home, platform, Path(named) if named else None, instance)
    if not data.is_file():
        raise ConfigurationError(
            "the data file is missing",
            expected="online_retail_ii.parquet (UCI 502, doi 10.24432/C5CG6D)",
            where=data.absolute(),
            remedy="give its path: make run DATA=<path>",
        )
    name = re.sub(r"[^a-z0-9]+", "_", data.stem.lower()).strip("_") or "data"
    base = load_platform(home / "platform.yaml")
    overlay = home / "data" / name / "platform.yaml"
    _write_overlay(overlay, base, name)
    return Project(home, load_platform(home / "platform.yaml", overlay), overlay, instance / name, name)


def _instance_of(home: Path, platform: Platform, overlay: Path, shared: Path) -> Path:
    """The instance of a lakehouse: an overlay that moves a zone gets its own, or one's history would pass for the other's."""
    file = home / "platform.yaml"
    # The file laid over itself: the settings without the overlay that the environment names.
    before = {name: str(zone.root) for name, zone in load_platform(file, file).zones.items()}
    roots = {name: str(zone.root) for name, zone in platform.zones.items()}
    if roots == before:
        return shared
    digest = hashlib.sha256(repr(sorted(roots.items())).encode()).hexdigest()[:8]
    return shared / f"{overlay.stem}-{digest}"


def _write_overlay(path: Path, base: Platform, name: str) -> None:
    """An overlay that moves all that a run writes into a folder of its own, so that real and generated rows never meet."""
    if SAMPLE_SOURCE not in base.sources:
        raise ConfigurationError(
            "the data cannot be loaded: no source stands for the retailer's ERP",
            expected=f"a source {SAMPLE_SOURCE} with the contract contracts/erp.odcs.yaml",
            found=", ".join(base.sources) or "no source",
            where="platform.yaml, sources",
        )
    values: dict[str, Any] = {
        "zones": {zone: {"root": f"data/{name}/{zone}"} for zone in base.zones},
        "stores": {
            "scratch": f"data/{name}/scratch",
            # Models of one dataset must not meet those of another, so a tracking server is left aside too.
            "registry": f"data/{name}/registry",
            "tracking": None,
            "tracking_env": None,
            "online": f"sqlite:///data/{name}/online/online.db",
            "online_env": None,
        },
        "sources": {SAMPLE_SOURCE: {"url": f"sqlite:///data/{name}/erp.sqlite", "url_env": None, "password_env": None}},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"# Made by `plinth run --data`: {name} beside the sample.\n" + yaml.safe_dump(values), encoding="utf-8"
    )
