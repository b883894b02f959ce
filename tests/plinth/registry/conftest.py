"""A registry on a real SQLite store, and models that are a few files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from plinth.registry import RegisteredVersion, Registry

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20

Save = Callable[..., Path]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store without models; MLflow takes more than a second to make one."""
    folder = tmp_path_factory.mktemp("store")
    _ = registry_in(folder).store.client
    return folder


@pytest.fixture
def registry(tmp_path: Path, empty_store: Path) -> Registry:
    """A registry of this test's own."""
    shutil.copytree(empty_store, tmp_path / "registry")
    return registry_in(tmp_path / "registry")


def registry_in(folder: Path) -> Registry:
    """The registry whose files stand in a folder."""
    return Registry(f"sqlite:///{folder / 'mlflow.db'}", folder)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes the files of a model that holds one text."""

    def write(text: str) -> Path:
        folder = tmp_path / "saved" / text
        (folder / "arrays").mkdir(parents=True, exist_ok=True)
        (folder / "settings.json").write_text('{"depth": 3}')
        (folder / "arrays" / "weights.npz").write_bytes(text.encode())
        return folder

    return write


def register(
    registry: Registry,
    folder: Path,
    value: float = 0.5,
    snapshot: str = "june",
    model: str = "recommender",
    **more: object,
) -> RegisteredVersion:
    """A version with one figure, measured on a snapshot."""
    given: dict[str, object] = {
        "files": folder,
        "parameters": {"depth": 3},
        "metrics": {"recall": value},
        "plots": {"recall": PNG},
        "inputs": {"gold/interactions": 7},
        "seed": 11,
        "code": "c0de",
        "origin": f"from {folder.name}",
        "evaluated_on": snapshot,
    }
    return registry.log(model, **{**given, **more})  # type: ignore[arg-type]
