"""The fingerprint of code changes with every module that a training goes through, and with no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from plinth.training import code
from plinth.training.targets import TARGETS


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A room with a package, a module and something else."""
    (tmp_path / "learn").mkdir()
    for name in ("learn/trees.py", "estimators.py", "other.py"):
        (tmp_path / name).write_text("FIRST = 1\n")
    monkeypatch.setattr(code, "_ROOM", tmp_path)
    return tmp_path


def _now() -> str:
    return code.code_of.__wrapped__(("learn", "estimators"))


@pytest.mark.parametrize(("name", "changes"), [("learn/trees.py", True), ("estimators.py", True), ("other.py", False)])
def test_packages_and_modules_count_and_nothing_else(room: Path, name: str, changes: bool) -> None:
    before = _now()
    (room / name).write_text("SECOND = 2\n")
    assert (_now() != before) is changes


def test_every_model_counts_the_module_that_writes_its_files() -> None:
    assert all("estimators" in target.packages for target in TARGETS)
