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
from plinth.history import history_settings
from plinth.platform import OVERLAY_VARIABLE, Platform, Zone, find_overlay, load_platform

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
        dataset: `sample`, or the name of the data file that was loaded beside it, also where its overlay is named by the environment.
    """

    home: Path
    platform: Platform
    overlay: Path | None
    instance: Path
    dataset: str = "sample"

    @property
    def roots(self) -> dict[str, str]:
        """Where the tables of each zone are: two projects with the same roots are one lakehouse, whatever their overlays are called."""
        return roots_of(self.platform)

    @property
    def called(self) -> str:
        """What people call it."""
        return f"the overlay {self.overlay}" if self.overlay is not None and self.dataset == "sample" else self.dataset

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
        """Puts the instance's settings in place and this process into the project, before anything of Dagster is loaded.

        Raises:
            ConfigurationError, HistoryUnavailable: Dagster's history is to be in PostgreSQL, and cannot be there.
        """
        self.instance.mkdir(parents=True, exist_ok=True)
        settings, copy = self.home / "dagster.yaml", self.instance / "dagster.yaml"
        settings = settings if settings.is_file() else _OWN_HOME / "dagster.yaml"
        text = settings.read_text(encoding="utf-8") + history_settings(self.platform)
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
    shared = Path(os.environ.get(INSTANCE_VARIABLE) or home / ".dagster").absolute()
    if data is None:
        named = os.environ.get(OVERLAY_VARIABLE)
        overlay = find_overlay(home, named) if named else None
        platform = load_platform(home / "platform.yaml", overlay)
        instance = shared if os.environ.get(INSTANCE_VARIABLE) else _instance_of(home, platform, shared)
        loaded = overlay is not None and overlay.parent.parent == (home / "data").resolve()
        return Project(home, platform, overlay, instance, overlay.parent.name if overlay and loaded else "sample")
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
    return Project(home, load_platform(home / "platform.yaml", overlay), overlay, shared / name, name)


def roots_of(platform: Platform) -> dict[str, str]:
    """The storage root of each zone, as a URI or an absolute path."""
    return {name: platform.root_of(name) for name in sorted(platform.zones)}


def _instance_of(home: Path, platform: Platform, shared: Path) -> Path:
    """The instance of a lakehouse: an overlay that moves a zone gets its own, or one's history would pass for the other's.

    It follows from the roots alone, so that every overlay and every spelling that leads to them finds the same history: that of `--data` too.
    """
    file, roots = home / "platform.yaml", roots_of(platform)
    # The file laid over itself: the settings without the overlay that the environment names.
    if roots == roots_of(load_platform(file, file)):
        return shared
    folders = {Path(root).parent for root in roots.values()}
    common = folders.pop() if len(folders) == 1 else Path("lakehouse")
    if common.parent == (home / "data").resolve():
        return shared / common.name
    digest = hashlib.sha256(repr(sorted(roots.items())).encode()).hexdigest()[:8]
    return shared / f"{common.name or 'lakehouse'}-{digest}"


def _moved(zone: Zone, root: str) -> dict[str, Any]:
    """A zone of an overlay, in a folder: options of an object store do not go with it."""
    return {"root": root} if zone.options is None else {"root": root, "options": None}


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
        "zones": {zone: _moved(settings, f"data/{name}/{zone}") for zone, settings in base.zones.items()},
        "stores": {
            "scratch": f"data/{name}/scratch",
            # Models of one dataset must not meet those of another, so a tracking server is left aside too.
            "registry": f"data/{name}/registry",
            "tracking": None,
            "tracking_env": None,
            "online": f"sqlite:///data/{name}/online/online.db",
            "online_env": None,
            **({"history_env": None} if base.stores.history_env is not None else {}),
        },
        "sources": {SAMPLE_SOURCE: {"url": f"sqlite:///data/{name}/erp.sqlite", "url_env": None, "password_env": None}},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"# Made by `plinth run --data`: {name} beside the sample.\n" + yaml.safe_dump(values), encoding="utf-8"
    )
