"""Advancing: what the report counts is what changed, day for day, whether at once or one by one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from plinth.sample import AdvanceReport, SampleError, SampleSpec, advance, campaigns, world, write_sample
from plinth.sample.schema import TABLES, metadata

Tables = dict[str, list[tuple[Any, ...]]]
Reader = Callable[[str], Tables]
SPEC = SampleSpec(customers=900, days=100, seed=3)


@dataclass(frozen=True)
class Day:
    """One advanced day: the tables before and after it, and its report."""

    before: Tables
    after: Tables
    report: AdvanceReport


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("advance") / "legacy.sqlite"
    write_sample(f"sqlite:///{file}", SPEC)
    return file


@pytest.fixture(scope="module")
def days(written: Path, tmp_path_factory: pytest.TempPathFactory, rows_of: Reader) -> list[Day]:
    """Eight days, advanced one by one."""
    url = f"sqlite:///{shutil.copy(written, tmp_path_factory.mktemp('days') / 'copy.sqlite')}"
    lived, before = [], rows_of(url)
    for _ in range(8):
        report = advance(url, 1)
        lived.append(Day(before, rows_of(url), report))
        before = lived[-1].after
    return lived


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(written, tmp_path / 'copy.sqlite')}"


def keyed(rows: list[tuple[Any, ...]], name: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    names = list(metadata.tables[name].c.keys())
    places = [names.index(column.name) for column in metadata.tables[name].primary_key]
    return {tuple(row[place] for place in places): row for row in rows}


@pytest.mark.slow
def test_the_report_of_each_day_is_the_difference_of_the_tables(days: list[Day]) -> None:
    seen = set()
    for day in days:
        for name in TABLES:
            change, before, after = day.report.change(name), day.before[name], day.after[name]
            if name == "STOCKLVL":
                assert len(after) - len(before) == change.inserted - change.deleted
                continue
            old, new = keyed(before, name), keyed(after, name)
            assert change.inserted == len(new.keys() - old.keys()), name
            assert change.deleted == len(old.keys() - new.keys()), name
            assert change.updated == sum(old[key] != new[key] for key in old.keys() & new.keys()), name
            seen |= {(name, kind) for kind in ("inserted", "updated", "deleted") if getattr(change, kind)}
    assert {(name, kind) for name in ("CUSTMAS", "INVLINE") for kind in ("inserted", "updated", "deleted")} <= seen
    assert {("ITEMMAS", "updated"), ("CAMPCON", "updated"), ("CAMPCON", "deleted")} <= seen


@pytest.mark.slow
def test_days_at_once_and_one_by_one_come_to_the_same(days: list[Day], copy: str, rows_of: Reader) -> None:
    for some in (5, 3):
        advance(copy, some)
    assert rows_of(copy) == days[-1].after


@pytest.mark.slow
def test_line_numbers_only_rise_and_are_never_used_again(days: list[Day]) -> None:
    highest = max(row[0] for row in days[0].before["INVLINE"])
    for day in days:
        fresh = {row[0] for row in day.after["INVLINE"]} - {row[0] for row in day.before["INVLINE"]}
        assert not fresh or min(fresh) == highest + 1
        highest = max(fresh, default=highest)


@pytest.mark.slow
def test_every_change_bears_the_stamp_of_its_day_and_late_lines_come_among_them(days: list[Day]) -> None:
    late = 0
    for day in days:
        for name in ("CUSTMAS", "ITEMMAS", "PROMOS", "CAMPCON", "INVLINE"):
            changed = set(day.after[name]) - set(day.before[name])
            assert all(row[-1].date() == day.report.last_day for row in changed), name
        known = {row[0] for row in day.before["INVLINE"]}
        late += sum(row[0] not in known and row[5].date() < day.report.last_day for row in day.after["INVLINE"])
    assert late > 0


@pytest.mark.slow
def test_whoever_is_erased_leaves_no_trace_but_nameless_lines(days: list[Day]) -> None:
    before, after = days[0].before, days[-1].after
    erased = {row[0] for row in before["CUSTMAS"]} - {row[0] for row in after["CUSTMAS"]}
    assert erased
    assert not erased & {row[1] for row in after["CAMPCON"]}
    assert not erased & {row[7] for row in after["INVLINE"]}
    kept = {row[0] for row in after["INVLINE"]}
    theirs = [row[0] for row in before["INVLINE"] if row[7] in erased]
    assert theirs
    assert sum(number in kept for number in theirs) >= 0.95 * len(theirs)


@pytest.mark.slow
def test_a_promotion_is_called_off_the_day_before_it_starts_and_its_rows_vanish(
    sqlite_db: str, rows_of: Reader
) -> None:
    with world.opened(SPEC.seed) as con:
        campaigns.plan_promotions(con, SPEC.start, SPEC.start + timedelta(days=600), SPEC.start)
        row = con.execute("SELECT promoid, announced FROM promo WHERE called_off ORDER BY promoid LIMIT 1").fetchone()
    assert row is not None
    number, announced = row
    write_sample(sqlite_db, replace(SPEC, customers=60, days=(announced - SPEC.start).days))
    found = []
    for _ in range(4):
        advance(sqlite_db, 1)
        rows = rows_of(sqlite_db)
        found.append((number in {row[0] for row in rows["PROMOS"]}, number in {row[0] for row in rows["CAMPCON"]}))
    assert found == [(True, True), (True, True), (False, False), (False, False)]


@pytest.mark.slow
def test_a_killed_advance_leaves_the_end_of_a_day(copy: str, written: Path, tmp_path: Path, rows_of: Reader) -> None:
    script = f"from plinth.sample import advance\nadvance({copy!r}, 40, progress=lambda *s: print(*s, flush=True))\n"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as writer:
        assert writer.stdout is not None
        for _ in range(4):
            assert writer.stdout.readline().startswith("days")
        writer.send_signal(signal.SIGKILL)
    killed = rows_of(copy)
    done = (date.fromisoformat(dict(killed["SYSINFO"])["LASTDAY"]) - (SPEC.start + timedelta(days=SPEC.days - 1))).days
    assert 4 <= done < 40
    other = f"sqlite:///{shutil.copy(written, tmp_path / 'other.sqlite')}"
    advance(other, done)
    assert killed == rows_of(other)


def test_where_there_is_no_sample_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="no sample"):
        advance(f"sqlite:///{tmp_path / 'none.sqlite'}", 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("days", [0, -1, 5001])
def test_days_out_of_range_are_refused(copy: str, days: int) -> None:
    with pytest.raises(SampleError, match="out of range"):
        advance(copy, days)
