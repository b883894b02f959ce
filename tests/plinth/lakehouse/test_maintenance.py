"""Maintenance changes no row, removes what nothing needs, and stays out of the way of a running load."""

from __future__ import annotations

import os
import time
from pathlib import Path

import duckdb
import pytest

from plinth.errors import CommitConflict
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.maintenance import maintain, remove_abandoned_scratch, remove_abandoned_staging
from plinth.lakehouse.staged_apart import new_folder
from plinth.lakehouse.staging import stage
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion

from .conftest import create

EVENTS = TableId("bronze", "events")


def grown(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, steps: int) -> TableVersion:
    version = create(con, lakehouse, EVENTS, "SELECT 0 AS id, 'a' AS kind")
    for step in range(1, steps):
        staged = stage(con, f"SELECT {step} AS id, 'a' AS kind", version.uri, version.columns)
        version = commit(lakehouse, EVENTS, Write(version, version.columns, version.state.next(changed=True), staged))
    return version


def test_small_files_become_one_and_the_content_keeps_its_name(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    before = grown(con, lakehouse, 5)
    done = maintain(con, lakehouse, before)
    after = lakehouse.open(EVENTS)
    assert (done.folded, done.folded_into, len(after.files)) == (5, 1, 1)
    assert after.content == before.content, "nothing downstream has to be computed again"
    assert con.execute(f"SELECT list(id ORDER BY id) FROM {after.scan}").fetchone() == ([0, 1, 2, 3, 4],)


def test_versions_of_the_retention_stay_readable(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    before = grown(con, lakehouse, 3)
    maintain(con, lakehouse, before)
    old = lakehouse.open(EVENTS, version=before.version)
    assert con.execute(f"SELECT count(*) FROM {old.scan}").fetchone() == (3,)


def test_files_that_no_commit_ever_named_are_removed_after_the_retention(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    version = grown(con, lakehouse, 1)
    orphan = Path(stage(con, "SELECT 9 AS id, 'b' AS kind", version.uri, version.columns)[0].uri)
    maintain(con, lakehouse, version)
    assert orphan.exists(), "a running load may be about to commit it"
    week_ago = time.time() - 8 * 24 * 3600
    os.utime(orphan, (week_ago, week_ago))
    done = maintain(con, lakehouse, lakehouse.open(EVENTS))
    assert not orphan.exists()
    assert done.removed == 1
    assert con.execute(f"SELECT count(*) FROM {lakehouse.open(EVENTS).scan}").fetchone() == (1,)


def test_maintenance_that_races_a_load_gives_way(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    stale = grown(con, lakehouse, 3)
    staged = stage(con, "SELECT 9 AS id, 'b' AS kind", stale.uri, stale.columns)
    commit(lakehouse, EVENTS, Write(stale, stale.columns, stale.state.next(changed=True), staged))
    with pytest.raises(CommitConflict):
        maintain(con, lakehouse, stale)
    assert con.execute(f"SELECT count(*) FROM {lakehouse.open(EVENTS).scan}").fetchone() == (4,)


class Overtaken(Lakehouse):
    """A lakehouse in which a load commits just after maintenance has looked what the newest version is."""

    def __init__(self, lakehouse: Lakehouse, con: duckdb.DuckDBPyConnection) -> None:
        super().__init__(lakehouse.platform)
        self._con, self._loaded = con, False

    def open(self, table: TableId, *, version: int | None = None, zone: str | None = None) -> TableVersion:
        found = super().open(table, version=version, zone=zone)
        if self._loaded:
            return found
        self._loaded = True
        staged = stage(self._con, "SELECT 9 AS id, 'b' AS kind", found.uri, found.columns)
        state = found.state.next(changed=True, watermark="9")
        commit(Lakehouse(self.platform), table, Write(found, found.columns, state, staged))
        return found


def test_a_load_that_commits_while_files_are_removed_keeps_its_name_and_watermark(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    before = grown(con, lakehouse, 1)
    orphan = stage(con, "SELECT 7 AS id, 'b' AS kind", before.uri, before.columns)[0].uri
    week_ago = time.time() - 8 * 24 * 3600
    os.utime(orphan, (week_ago, week_ago))
    assert maintain(con, Overtaken(lakehouse, con), before).removed == 1
    after = lakehouse.open(EVENTS)
    assert after.content != before.content, "what stands downstream would take the new row for known"
    assert (after.state.watermark, after.rows, after.foreign) == ("9", 2, False)
    assert after.version == before.version + 1, "removing files is no commit"


def test_what_a_load_has_just_committed_stays_also_without_any_retention(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    maintain(con, Overtaken(lakehouse, con), grown(con, lakehouse, 1), retention_hours=0)
    after = lakehouse.open(EVENTS)
    assert con.execute(f"SELECT list(id ORDER BY id) FROM {after.scan}").fetchone() == ([0, 9],)


def test_old_files_go_whatever_another_tool_called_them(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    import pyarrow as pa
    from deltalake import write_deltalake

    uri = lakehouse.uri_of(EVENTS)
    for number in (1, 2):
        rows = pa.table({"id": pa.array([number], pa.int64()), "kind": ["a b%c:d/é"]})
        write_deltalake(uri, rows, partition_by=["kind"], mode="overwrite")
    found = lakehouse.open(EVENTS)
    assert maintain(con, lakehouse, found, retention_hours=0).removed == 1
    assert len(list(Path(uri).rglob("*.parquet"))) == 1
    assert con.execute(f"SELECT * FROM {lakehouse.open(EVENTS).scan}").fetchall() == [(2, "a b%c:d/é")]


def test_scratch_folders_of_killed_loads_are_removed_and_those_of_running_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "load-1-aa").mkdir()
    (tmp_path / "load-2-bb").mkdir()
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(tmp_path / "load-1-aa", (long_ago, long_ago))
    assert remove_abandoned_scratch(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["load-2-bb"]


def test_what_a_killed_build_staged_apart_is_removed_after_a_day(lakehouse: Lakehouse) -> None:
    old, new = (Path(new_folder(lakehouse, EVENTS)) for _ in range(2))
    for folder in (old, new):
        folder.mkdir(parents=True)
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    assert remove_abandoned_staging(lakehouse) == 1
    assert (old.exists(), new.exists()) == (False, True)
