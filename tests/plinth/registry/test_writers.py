"""Several processes at one registry, which none of them has made yet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.plinth.registry.conftest import registry_in

PROJECT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_processes_that_register_at_once_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    writers, rounds = 3, 3
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.plinth.registry.writer", str(tmp_path / "r"), str(tmp_path / "m"), str(name), str(rounds)],
            cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in range(writers)
    ]  # fmt: skip
    for each in started:
        out, errors = each.communicate(timeout=300)
        assert each.returncode == 0, errors
        assert (out, [line for line in errors.splitlines() if " INFO " in line]) == ("", [])
    versions = registry_in(tmp_path / "r").versions("recommender")
    made = (writers + 1) * rounds  # what all of them write is registered once
    assert [each.version for each in versions] == list(range(made, 0, -1))
    assert len({each.digest for each in versions}) == made
    # All were compared on one snapshot, so whatever their order was, one of the best is champion and every promotion was a gain.
    champion = registry_in(tmp_path / "r").champion("recommender")
    assert champion is not None and champion.metrics["recall"] == max(each.metrics["recall"] for each in versions)
    assert all(each.decision is not None for each in versions)
    promoted = [each.decision for each in versions if each.decision is not None and each.decision.promoted]
    assert all(each.champion_value is None or (each.challenger_value or 0) > each.champion_value for each in promoted)
    assert len([each for each in promoted if each.champion_value is None]) == 1
