"""Arrows run one way, and every room says what belongs there."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.frame.shop import PROJECT

ROOMS = ("assets", "resources", "sensors", "jobs", "plinth", "api")


@pytest.mark.slow
def test_no_import_goes_against_the_arrows() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists():
        pytest.skip("import-linter is not installed: it comes with requirements/dev.lock")
    done = subprocess.run([str(tool), "--no-cache"], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "package",
    sorted(str(file.parent.relative_to(PROJECT)) for room in ROOMS for file in (PROJECT / room).rglob("__init__.py")),
)
def test_a_package_says_what_belongs_there_and_what_does_not(package: str) -> None:
    text = ast.get_docstring(ast.parse((PROJECT / package / "__init__.py").read_text(encoding="utf-8")))
    assert text
    said = " ".join(text.split())
    assert package.count("/") > 1 or ("What belongs here" in said and "What does not" in said)


def test_no_module_is_named_for_nothing() -> None:
    found = [
        str(file)
        for room in ROOMS
        for file in (PROJECT / room).rglob("*.py")
        if file.stem in ("utils", "helpers", "common", "misc", "manager")
    ]
    assert found == []
