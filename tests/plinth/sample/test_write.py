"""A generated warehouse: the same for the same seed, complete or not at all, and never over something else."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from plinth.errors import PlinthError, SourceUnavailable
from plinth.sample import SampleError, SampleSpec, advance, write, write_sample
from plinth.sample.schema import TABLES

pytestmark = pytest.mark.slow

SMALL = SampleSpec(customers=150, days=60, seed=5)
Reader = Callable[[str], dict[str, list[tuple[Any, ...]]]]


def test_the_same_seed_gives_the_same_rows_value_by_value(tmp_path: Path, rows_of: Reader) -> None:
    urls = [f"sqlite:///{tmp_path / name}" for name in ("one.sqlite", "two.sqlite")]
    for url in urls:
        write_sample(url, SMALL)
    assert rows_of(urls[0]) == rows_of(urls[1])


def test_another_seed_gives_another_world(tmp_path: Path, rows_of: Reader) -> None:
    urls = [f"sqlite:///{tmp_path / name}" for name in ("one.sqlite", "two.sqlite")]
    write_sample(urls[0], SMALL)
    write_sample(urls[1], SampleSpec(customers=150, days=60, seed=6))
    first, second = rows_of(urls[0]), rows_of(urls[1])
    for name in ("CUSTMAS", "ITEMMAS", "INVLINE"):
        assert len(set(first[name]) & set(second[name])) < len(first[name]) / 20, name


def test_rows_do_not_depend_on_the_size_of_the_blocks_that_bound_the_memory(
    tmp_path: Path, rows_of: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [f"sqlite:///{tmp_path / name}" for name in ("one.sqlite", "two.sqlite")]
    write_sample(urls[0], SMALL)
    monkeypatch.setattr(write, "BLOCK_LINES", 500)
    stages: list[tuple[str, int, int]] = []
    write_sample(urls[1], SMALL, progress=lambda *stage: stages.append(stage))
    assert sum(stage[0] == "INVLINE" for stage in stages) > 3
    assert rows_of(urls[0]) == rows_of(urls[1])


def test_the_report_counts_what_is_there(sqlite_db: str, rows_of: Reader) -> None:
    report = write_sample(sqlite_db, SMALL)
    assert {name: report.rows(name) for name in TABLES} == {
        name: len(rows) for name, rows in rows_of(sqlite_db).items()
    }
    assert report.rows("CUSTMAS") == 150
    assert (report.first_day, report.last_day) == (date(2024, 5, 1), date(2024, 6, 29))


@pytest.mark.slow
def test_the_default_sample_has_a_quarter_to_four_tenths_of_a_million_lines(sqlite_db: str) -> None:
    assert 250_000 <= write_sample(sqlite_db, SampleSpec()).rows("INVLINE") <= 400_000


def test_a_number_of_lines_is_met_within_five_per_cent(sqlite_db: str) -> None:
    assert write_sample(sqlite_db, SampleSpec(lines=60_000, days=120)).rows("INVLINE") == pytest.approx(
        60_000, rel=0.05
    )


def test_tables_that_are_there_are_kept_unless_their_replacement_is_asked_for(sqlite_db: str, rows_of: Reader) -> None:
    write_sample(sqlite_db, SMALL)
    before = rows_of(sqlite_db)
    with pytest.raises(SampleError, match="--replace"):
        write_sample(sqlite_db, SampleSpec(customers=20, days=10))
    assert rows_of(sqlite_db) == before
    assert write_sample(sqlite_db, SampleSpec(customers=20, days=10), replace=True).rows("CUSTMAS") == 20


def test_a_table_of_somebody_else_is_not_replaced_even_when_asked(tmp_path: Path) -> None:
    file = tmp_path / "theirs.sqlite"
    with sqlite3.connect(file) as con:
        con.execute('CREATE TABLE "PROMOS" (code TEXT, secret TEXT)')
        con.execute("INSERT INTO \"PROMOS\" VALUES ('a', 'b')")
    with pytest.raises(SampleError, match="not the sample's"):
        write_sample(f"sqlite:///{file}", SMALL, replace=True)
    with sqlite3.connect(file) as con:
        assert con.execute('SELECT * FROM "PROMOS"').fetchall() == [("a", "b")]
        assert [row[0] for row in con.execute("SELECT name FROM sqlite_master")] == ["PROMOS"]


def test_a_killed_write_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'killed.sqlite'}"
    script = (
        "from plinth.sample import SampleSpec, write, write_sample\n"
        "write.BLOCK_LINES = 1000\n"
        f"write_sample({url!r}, SampleSpec(customers=300, days=300), progress=lambda *s: print(*s, flush=True))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=_environment()
    ) as writer:
        assert writer.stdout is not None
        for _ in range(3):
            assert writer.stdout.readline().startswith("INVLINE")
        writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL
    with pytest.raises(SampleError, match="not complete"):
        advance(url, 1)
    with pytest.raises(SampleError, match="--replace"):
        write_sample(url, SMALL)
    write_sample(url, SMALL, replace=True)
    assert advance(url, 1).days == 1


@pytest.mark.parametrize(
    "url", ["oracle://u:geheim@h/d", "not a url", "sqlite://", "sqlite:///:memory:", "postgresql://u:geheim@h"]
)
def test_a_url_that_cannot_be_written_to_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SampleError, match="sqlite:///path") as refused:
        write_sample(url, SMALL)
    assert "geheim" not in str(refused.value)


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1") as refused:
        write_sample("postgresql://u:geheim@127.0.0.1:9/d", SMALL)
    assert "geheim" not in str(refused.value)


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear customer, " * 100)
    with pytest.raises(PlinthError, match="not a database"):
        write_sample(f"sqlite:///{file}", SMALL, replace=True)
    assert file.read_text() == "Dear customer, " * 100


@pytest.mark.parametrize(
    "values", [{"customers": 0}, {"days": 0}, {"seed": -1}, {"lines": 0}, {"days": 6000}, {"start": date(1900, 1, 1)}]
)
def test_values_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(SampleError, match="out of range"):
        SampleSpec(**values)


@pytest.mark.parametrize(("customers", "days"), [(1, 1), (1, 40), (3, 400), (200, 1)])
def test_the_smallest_shops_can_be_written_and_advanced(sqlite_db: str, customers: int, days: int) -> None:
    assert write_sample(sqlite_db, SampleSpec(customers=customers, days=days)).rows("CUSTMAS") == customers
    assert advance(sqlite_db, 3).days == 3


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
