"""Which Dagster instance a command takes: one for each lakehouse."""

from __future__ import annotations

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
    assert all(path.name.startswith("other-") for path in moved)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert open_project().instance == tmp_path
