"""The tests are shared out in units that belong together, the longest first, and nobody counts on who was there before."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import test_small
from tests.frame.shop import PROJECT
from tests.scheduling import APART, FIRST, SMALL, TOGETHER, rank_of, unit_of
from tests.servers.ports import free_port

TESTS = """
import os
import pytest

@pytest.mark.parametrize("number", range(6))
def test_is_somewhere(number):
    with open({marks!r}, "a") as marks:
        marks.write(f"{name} {{os.environ['PYTEST_XDIST_WORKER']}} {{number}}\\n")
"""


def test_what_is_named_exists() -> None:
    named = [each.partition("::")[0] for each in (*TOGETHER, *APART, *FIRST)]
    assert [each for each in named if not (PROJECT / each).exists()] == []
    assert {*TOGETHER.values(), *APART} <= set(FIRST) and len(set(FIRST)) == len(FIRST)
    assert "engines" in test_small.FIGURES, "the benchmark that starts Spark, by its name in TOGETHER"


def test_a_file_is_a_unit_and_so_is_a_room_that_shares_a_session() -> None:
    assert unit_of("tests/api/test_keys.py::test_a[x::y]") == "tests/api/test_keys.py"
    assert {unit_of(f"tests/spark/{file}.py::test_a") for file in ("test_door", "test_models")} == {"tests/spark/"}
    quick = f"{SMALL}::{test_small.test_the_quick_form_ends_with_its_figures_as_json.__name__}"
    assert unit_of(f"{quick}[noop]") == f"{quick}[noop]" and unit_of(f"{quick}[engines]") == "tests/spark/"
    ranks = [rank_of(f"{file}::test_a") for file in (FIRST[0], FIRST[-1], "tests/api/test_keys.py")]
    assert ranks == sorted(ranks) and len(set(ranks)) == 3


@pytest.mark.slow
def test_two_processes_share_the_files_and_print_the_closing_line_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    marks = tmp_path / "marks"
    for name in "abcd":
        (tmp_path / "tests" / f"test_{name}.py").write_text(TESTS.format(marks=str(marks), name=name))
    (tmp_path / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(PROJECT)!r})\n"
        "from tests.scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler  # noqa: F401\n"
    )
    command = [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "--import-mode=importlib", "tests"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b24 passed in ", done.stdout.splitlines()[-1])
    seen = [line.split() for line in marks.read_text().splitlines()]
    assert len({worker for _, worker, _ in seen}) == 2
    for name in "abcd":
        assert len({worker for file, worker, _ in seen if file == name}) == 1
        assert [number for file, _, number in seen if file == name] == list("012345"), "in the order of the file"


def test_a_port_is_free_and_none_that_the_kernel_gives_to_a_connection() -> None:
    ports = {free_port() for _ in range(50)}
    assert len(ports) > 40, "processes that ask at once shall not get the same one"
    assert all(20_000 <= port < 32_000 for port in ports)
