"""Which Dagster instance a command takes: one for each lakehouse."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from plinth.project import find_home, open_project


def _instance(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, values: dict[str, object]) -> Path:
    overlay = folder / name
    overlay.write_text(yaml.safe_dump(values), encoding="utf-8")
    monkeypatch.setenv("PLINTH_PLATFORM", str(overlay))
    return open_project().instance


def test_each_lakehouse_has_an_instance_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("PLINTH_PLATFORM", raising=False)
    project = open_project()
    zone = next(iter(project.platform.zones))
    moved = [
        _instance(tmp_path, monkeypatch, "other.yaml", {"zones": {zone: {"root": str(tmp_path / root)}}})
        for root in ("one", "two")
    ]
    same = _instance(tmp_path, monkeypatch, "same.yaml", {"stores": {"scratch": str(tmp_path)}})

    assert project.instance == same == find_home() / ".dagster"
    assert len({project.instance, *moved}) == 3
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert open_project().instance == tmp_path


def test_overlays_and_spellings_that_lead_to_the_same_roots_have_one_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    home = find_home()
    roots = {"on_prem": tmp_path / "lake" / "on_prem", "cloud": tmp_path / "lake" / "cloud"}
    spelt = [
        {zone: str(root) for zone, root in roots.items()},
        {zone: os.path.relpath(root, home) for zone, root in roots.items()},
        {zone: f"{tmp_path}/elsewhere/../lake/{zone}/" for zone in roots},
    ]
    found = {
        _instance(tmp_path, monkeypatch, f"{number}.yaml", {"zones": {zone: {"root": each[zone]} for zone in each}})
        for number, each in enumerate(spelt)
    }
    (instance,) = found
    assert instance.parent == home / ".dagster" and instance.name.startswith("lake-")


def test_the_overlay_of_a_data_file_leads_to_the_project_of_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("PLINTH_PLATFORM", raising=False)
    shutil.copy(find_home() / "platform.yaml", tmp_path / "platform.yaml")
    (tmp_path / "trade.parquet").touch()
    monkeypatch.chdir(tmp_path)
    loaded = open_project(tmp_path / "trade.parquet")
    monkeypatch.setenv("PLINTH_PLATFORM", "data/trade/platform.yaml")
    assert open_project() == loaded and loaded.instance == tmp_path / ".dagster" / "trade"


def test_an_overlay_is_found_from_whichever_folder_a_process_starts_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(find_home() / "platform.yaml", tmp_path / "platform.yaml")
    (tmp_path / "other.yaml").write_text(yaml.safe_dump({"stores": {"report": "other.json"}}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLINTH_PLATFORM", "other.yaml")
    said = open_project().environment()
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    monkeypatch.setenv("PLINTH_PLATFORM", said["PLINTH_PLATFORM"])
    assert open_project().report == tmp_path / "other.json"
