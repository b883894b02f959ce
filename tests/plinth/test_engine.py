"""Each DuckDB spills into a folder of its own, and nobody's spilled rows outlive their process for long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plinth.engine import connect, duckdb_bytes
from plinth.profile import OUTSIDE, Profile
from plinth.scratch import spill_folder

ROOT = Path(__file__).resolve().parents[2]
SMALL = Profile(cpu=1, memory=64 * 2**20, threads=1)
# More than the memory holds, so that it spills; the sum is known.
SORTED = "CREATE TABLE sorted AS SELECT r, repeat('x', 60) || r AS text FROM range({rows}) t(r) ORDER BY hash(r)"
SPILLER = f"""
import sys
from plinth.engine import connect
from plinth.profile import Profile
con = connect(Profile(cpu=1, memory=64 * 2**20, threads=1), scratch=sys.argv[1])
con.execute({SORTED.format(rows=1_500_000)!r})
print("spilled", flush=True)
if len(sys.argv) > 2:
    sys.stdin.read()
print(con.execute("SELECT sum(r), count(DISTINCT text) FROM sorted").fetchone())
"""

# What every step has loaded before it computes, a table too large for the memory, and states that DuckDB counts only in part.
STEP = """
import sys
import dagster, definitions, deltalake, pyarrow.parquet
import plinth.features.store
from plinth.engine import connect
from plinth.profile import Profile
from plinth.resident import peak_bytes
con = connect(Profile(cpu=2, memory=int(sys.argv[1])), scratch=sys.argv[2])
rows = "SELECT i, hash(i) % 2500000 AS k, hash(i + 7) % 100000 AS v FROM range(5000000) r(i)"
con.execute(f"CREATE TABLE kept AS SELECT k, max(v) AS most, min(i) AS first, sum(v) AS whole FROM ({rows}) GROUP BY k")
con.execute(f"COPY (SELECT i, v FROM ({rows}) ORDER BY v, i) TO '{sys.argv[2]}/sorted.parquet' (FORMAT parquet)")
print(peak_bytes())
"""


def _spiller(scratch: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SPILLER, str(scratch), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_processes_that_spill_at_once_below_one_folder_keep_their_rows(tmp_path: Path) -> None:
    running = [_spiller(tmp_path) for _ in range(3)]
    said = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert {out.splitlines()[-1] for out, _ in said} == {f"({1_500_000 * 1_499_999 // 2}, 1500000)"}
    assert list(tmp_path.iterdir()) == []


def test_two_databases_of_one_process_spill_into_different_folders(tmp_path: Path) -> None:
    with connect(SMALL, scratch=tmp_path) as one, connect(SMALL, scratch=tmp_path) as other:
        for con in (one, other):
            con.execute(SORTED.format(rows=600_000))
        assert len(list(tmp_path.iterdir())) == 2
        other.close()
        assert one.execute("SELECT count(DISTINCT text) FROM sorted").fetchone() == (600_000,)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_a_killed_process_spilled_is_cleared_by_the_next(tmp_path: Path) -> None:
    killed = _spiller(tmp_path, "wait")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "spilled\n"
    left = list(tmp_path.iterdir())
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=60)
    assert list(tmp_path.iterdir()) == left, "the kill itself leaves the folder behind"
    spill_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folders_of_living_processes_other_machines_and_strangers_stay(tmp_path: Path) -> None:
    own = spill_folder(tmp_path)
    kept = [own, tmp_path / "duckdb-another.machine-1-0123456789ab", tmp_path / "duckdb-notes", tmp_path / "mine"]
    for folder in kept:
        folder.mkdir()
    assert spill_folder(tmp_path) != own
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_duckdb_gets_what_a_step_leaves_of_its_profile_and_a_small_profile_a_quarter() -> None:
    sizes = [each * 2**20 for each in (64, 128, 256, 372, 512, 1024, 2048, 4096, 16384)]
    limits = [duckdb_bytes(Profile(cpu=1, memory=size)) for size in sizes]
    assert limits == sorted(limits) and all(limit >= 48 * 2**20 for limit in limits)
    assert all(
        OUTSIDE + limit * 5 // 4 <= size for size, limit in zip(sizes, limits, strict=True) if size >= 512 * 2**20
    )
    assert limits[5] == int(0.8 * 704 * 2**20), "of 1 GiB what 320 MiB leave, less a fifth"


def test_a_guest_in_another_process_gets_what_it_is_given() -> None:
    with connect(SMALL, memory=100 * 2**20) as con:
        assert con.execute("SELECT current_setting('memory_limit')").fetchone() == ("100.0 MiB",)


@pytest.mark.slow
@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="how much a process holds is told by each system differently"
)
def test_a_steps_process_keeps_within_its_profile_however_much_it_has_to_spill(tmp_path: Path) -> None:
    memory = 576 * 2**20
    done = subprocess.run(
        [sys.executable, "-c", STEP, str(memory), str(tmp_path)], capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= memory
