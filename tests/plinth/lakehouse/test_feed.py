"""What the feeds say of two versions is what their rows say, whatever happened in between; where no feed can, the files do."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from plinth.errors import CommitConflict
from plinth.lakehouse.changes import ChangeSet, changes_since, difference
from plinth.lakehouse.compare import merge_difference
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.feed import CHANGE, FOLDER
from plinth.lakehouse.maintenance import maintain
from plinth.lakehouse.merge import Changes, Rewrite, merge, replace_scope
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion

from .conftest import create
from .merging import LINES

ROOT = Path(__file__).resolve().parents[3]
ROWS = (
    "SELECT i AS id, CASE WHEN i % 5 > 0 THEN i % 7 END AS customer, (i * 13 % 101)::DECIMAL(10, 2) AS price, "
    "CASE WHEN i % 3 > 0 THEN 'n' || i % 9 END AS note FROM range(3000) t(i)"
)


def publish(lakehouse: Lakehouse, base: TableVersion, rewrite: Rewrite) -> TableVersion:
    state = base.state.next(changed=rewrite.changed)
    write = Write(base, base.columns, state, rewrite.add, rewrite.remove, base.partition_by, feed=rewrite.feed)
    return commit(lakehouse, base.id, write)


def apply(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, base: TableVersion, rows: str, gone: str = "SELECT -1 AS id"
) -> TableVersion:
    """Merges rows (id, price, note) and takes out keys, with a feed."""
    con.execute(
        f"CREATE OR REPLACE TABLE up AS SELECT id::BIGINT AS id, 1::BIGINT AS customer, price::DECIMAL(10, 2) AS price, note::VARCHAR AS note FROM ({rows})"
    )
    con.execute(f"CREATE OR REPLACE TABLE gone AS {gone}")
    return publish(lakehouse, base, merge(con, base, base.columns, Changes(("id",), "up", "gone", feed=True)))


def truth(con: duckdb.DuckDBPyConnection, old: TableVersion, new: TableVersion) -> list[tuple[object, ...]]:
    """The rows that two versions differ in, found out by comparing all of them."""
    names = ", ".join(column.name for column in new.columns)
    a, b = (f"SELECT {names} FROM {version.scan}" for version in (old, new))
    return con.execute(
        f"SELECT *, 'insert' FROM ({b} EXCEPT ALL {a}) UNION ALL SELECT *, 'delete' FROM ({a} EXCEPT ALL {b}) ORDER BY ALL"
    ).fetchall()


def told(con: duckdb.DuckDBPyConnection, changes: ChangeSet | None) -> list[tuple[object, ...]]:
    assert changes is not None
    return con.execute(f"FROM ({changes.sql}) ORDER BY ALL").fetchall()


def check(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, old: TableVersion, new: TableVersion, *, fed: bool = True
) -> list[tuple[object, ...]]:
    changes = changes_since(lakehouse, new, old.content)
    assert changes is not None and changes.fed == fed
    rows = told(con, changes)
    assert rows == truth(con, old, new)
    return rows


def feeds(version: TableVersion) -> list[Path]:
    return sorted((Path(version.uri) / FOLDER).glob("*.parquet"))


@pytest.mark.parametrize("seed", range(4))
def test_feeds_say_what_the_rows_say_over_any_number_of_commits(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, seed: int
) -> None:
    draw = random.Random(seed)
    versions = [create(con, lakehouse, LINES, ROWS)]
    for step in range(7):
        ids, base = draw.sample(range(3100), 60), versions[-1]
        note = draw.choice(["NULL", "'x'", f"'s{step}'"])
        rows = f"SELECT unnest({ids[:40]}) AS id, {draw.randrange(3)} AS price, {note} AS note"
        if step % 3 == 2:
            new = f"SELECT * FROM {base.scan} WHERE id NOT IN ({', '.join(map(str, ids[:20]))}) UNION ALL SELECT 5000 + {step}, NULL, NULL, NULL"
            rewrite = merge_difference(con, base, base.columns, new, ("id",), feed=True)
            assert rewrite is not None
            versions.append(publish(lakehouse, base, rewrite))
        else:
            versions.append(apply(con, lakehouse, base, rows, f"SELECT unnest({ids[40:]})::BIGINT AS id"))
    for old in versions[:-1]:
        check(con, lakehouse, old, versions[-1])


def test_a_feed_is_read_instead_of_the_files(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    second = apply(con, lakehouse, first, "SELECT 5 AS id, 1 AS price, 'x' AS note")
    assert len(check(con, lakehouse, first, second)) == 2
    changes = changes_since(lakehouse, second, first.content)
    assert changes is not None and (changes.files, changes.rows_read) == (1, 2)


def test_a_row_that_changed_twice_stands_in_it_once_and_one_that_came_back_not_at_all(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    second = apply(con, lakehouse, first, "SELECT unnest([5, 6, 7001]) AS id, 77 AS price, 'a' AS note")
    third = apply(con, lakehouse, second, "SELECT 5 AS id, 78 AS price, 'b' AS note", "SELECT unnest([6, 7001]) AS id")
    con.execute(f"CREATE OR REPLACE TABLE up AS SELECT * FROM {first.scan} WHERE id = 6")
    fourth = publish(lakehouse, third, merge(con, third, third.columns, Changes(("id",), "up", feed=True)))
    rows = check(con, lakehouse, first, fourth)
    assert sorted((row[0], row[-1]) for row in rows) == [(5, "delete"), (5, "insert")]


def test_doubled_rows_count_as_often_as_they_stand(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    """No key is unique by itself: bronze holds what a source sends, and a table may have been made by others."""
    first = create(con, lakehouse, LINES, f"{ROWS} UNION ALL SELECT * FROM ({ROWS}) WHERE id < 10")
    second = apply(con, lakehouse, first, "SELECT 5 AS id, 1 AS price, 'x' AS note", "SELECT 6::BIGINT AS id")
    rows = check(con, lakehouse, first, second)
    assert sorted((row[0], row[-1]) for row in rows) == [
        *[(5, "delete")] * 2,
        *[(5, "insert")] * 2,
        *[(6, "delete")] * 2,
    ]


def test_a_key_to_write_and_to_take_out_at_once_is_taken_out(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    second = apply(con, lakehouse, first, "SELECT 5 AS id, 1 AS price, 'x' AS note", "SELECT 5::BIGINT AS id")
    assert [row[-1] for row in check(con, lakehouse, first, second)] == ["delete"]


def test_a_scope_that_is_replaced_feeds_only_what_differs(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    con.execute("CREATE TABLE touched AS SELECT NULL::BIGINT AS customer UNION ALL SELECT 3")
    con.execute(
        f"CREATE TABLE made AS SELECT * REPLACE (CASE WHEN id < 100 THEN price + 1 ELSE price END AS price) FROM ({ROWS}) "
        "WHERE customer IS NULL OR (customer = 3 AND id > 50)"
    )
    rewrite = replace_scope(
        con, first, first.columns, rows="made", touched="touched", scope=("customer",), key=("id",), feed=True
    )
    rows = check(con, lakehouse, first, publish(lakehouse, first, rewrite))
    assert 0 < len(rows) < 80


def test_a_large_change_has_no_feed_and_the_files_tell_it(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    second = apply(con, lakehouse, first, "SELECT unnest(range(400)) AS id, 1 AS price, 'x' AS note")
    assert feeds(second) == [] and second.state.feed is None
    check(con, lakehouse, first, second, fed=False)
    third = apply(con, lakehouse, second, "SELECT 5 AS id, 2 AS price, 'y' AS note")
    check(con, lakehouse, first, third, fed=False)
    check(con, lakehouse, second, third)


def test_feeds_that_add_up_to_more_than_the_files_are_left_alone(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    first = version = create(con, lakehouse, LINES, ROWS)
    for step in range(14):
        version = apply(con, lakehouse, version, f"SELECT unnest(range(250)) AS id, {step} AS price, 'x' AS note")
    check(con, lakehouse, first, version, fed=False)


def test_a_table_from_before_there_were_feeds_is_followed_by_its_files(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    con.execute(
        "CREATE TABLE up AS SELECT 5::BIGINT AS id, 0::BIGINT AS customer, 0::DECIMAL(10, 2) AS price, 'x' AS note"
    )
    second = publish(lakehouse, first, merge(con, first, first.columns, Changes(("id",), "up")))
    assert "feed" not in second.delta.history(1)[0]["plinth"]
    check(con, lakehouse, first, second, fed=False)


def test_rows_from_before_a_new_column_are_told_with_nulls_in_it(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    columns = (*first.columns, DeltaColumn("extra", "long"))
    con.execute(
        "CREATE TABLE up AS SELECT 5::BIGINT AS id, 0::BIGINT AS customer, 0::DECIMAL(10, 2) AS price, 'x' AS note, 9::BIGINT AS extra"
    )
    rewrite = merge(con, first, columns, Changes(("id",), "up", feed=True))
    state = first.state.next(changed=True)
    second = commit(lakehouse, LINES, Write(first, columns, state, rewrite.add, rewrite.remove, feed=rewrite.feed))
    found = changes_since(lakehouse, second, first.content)
    assert found is not None and found.fed
    assert {(row[0], row[4], row[5]) for row in told(con, found)} == {(5, None, "delete"), (5, 9, "insert")}
    con.execute(
        "CREATE OR REPLACE TABLE up AS SELECT 7::BIGINT AS id, 0::BIGINT AS customer, 0::DECIMAL(10, 2) AS price, 'x' AS note, 9::BIGINT AS extra"
    )
    third = publish(lakehouse, second, merge(con, second, second.columns, Changes(("id",), "up", feed=True)))
    assert len(check(con, lakehouse, second, third)) == 2


def test_partitions_and_a_commit_without_rows_keep_the_feeds_chain(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    first = create(con, lakehouse, LINES, ROWS, partition_by=("note",))
    second = apply(con, lakehouse, first, "SELECT unnest([5, 9000]) AS id, 1 AS price, 'n1' AS note")
    marked = commit(
        lakehouse,
        LINES,
        Write(second, second.columns, second.state.next(changed=False, watermark="9"), partition_by=("note",)),
    )
    third = apply(con, lakehouse, marked, "SELECT 9 AS id, 1 AS price, 'n2' AS note")
    check(con, lakehouse, first, third)
    assert marked.state.feed == second.state.feed


def test_folded_files_are_no_change_and_feeds_go_with_the_retention(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    second = apply(con, lakehouse, first, "SELECT unnest([5, 9000]) AS id, 1 AS price, 'x' AS note")
    maintain(con, lakehouse, second)
    folded = lakehouse.open(LINES)
    assert len(feeds(folded)) == 1, "a running build may be about to read it"
    check(con, lakehouse, first, folded)
    week_ago = time.time() - 8 * 24 * 3600
    os.utime(feeds(folded)[0], (week_ago, week_ago))
    maintain(con, lakehouse, folded)
    assert feeds(folded) == []
    check(con, lakehouse, first, lakehouse.open(LINES), fed=False)


def test_after_an_erasure_no_feed_holds_the_rows_longer_than_the_old_files(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    second = apply(con, lakehouse, first, "SELECT 9000 AS id, 1 AS price, 'a name' AS note")
    third = apply(con, lakehouse, second, "SELECT 9001 AS id, 1 AS price, NULL AS note", "SELECT 9000::BIGINT AS id")
    assert len(feeds(third)) == 2
    done = maintain(con, lakehouse, third, retention_hours=0)
    assert done.removed > 2 and feeds(third) == []
    held = list(Path(third.uri).rglob("*.parquet"))
    found = con.execute(
        "SELECT count(*) FROM read_parquet(?, union_by_name = true) WHERE note = 'a name'", [list(map(str, held))]
    )
    assert found.fetchone() == (0,)
    assert changes_since(lakehouse, lakehouse.open(LINES), first.content) is None


def test_deltas_own_vacuum_and_readers_pass_over_feeds(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    second = apply(con, lakehouse, first, "SELECT 9000 AS id, 1 AS price, 'x' AS note")
    gone = second.delta.vacuum(retention_hours=0, dry_run=True, enforce_retention_duration=False, full=True)
    assert not [path for path in gone if FOLDER in path]
    assert con.execute(f"SELECT count(*) FROM {second.scan}").fetchone() == (3001,)


def test_another_tools_commit_breaks_the_chain(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    second = apply(con, lakehouse, first, "SELECT 5 AS id, 1 AS price, 'x' AS note")
    second.delta.delete("id = 17")
    foreign = lakehouse.open(LINES)
    assert foreign.foreign and changes_since(lakehouse, foreign, first.content) is None
    third = apply(con, lakehouse, foreign, "SELECT 7 AS id, 1 AS price, 'x' AS note")
    rows = check(con, lakehouse, first, third, fed=False)
    assert (17, "delete") in [(row[0], row[-1]) for row in rows]


def test_of_two_merges_at_once_only_the_one_that_was_let_in_is_told(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    second = apply(con, lakehouse, first, "SELECT 5 AS id, 1 AS price, 'x' AS note")
    with pytest.raises(CommitConflict):
        apply(con, lakehouse, first, "SELECT 6 AS id, 1 AS price, 'y' AS note")
    assert len(feeds(second)) == 2
    assert {row[0] for row in check(con, lakehouse, first, lakehouse.open(LINES))} == {5}


def test_a_table_with_a_column_of_the_markers_name_has_no_feed(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    first = create(con, lakehouse, LINES, f"SELECT id, note AS {CHANGE.upper()} FROM ({ROWS})")
    con.execute(f"CREATE TABLE up AS SELECT 5::BIGINT AS id, 'x' AS {CHANGE.upper()}")
    assert merge(con, first, first.columns, Changes(("id",), "up", feed=True)).feed == ()


def test_a_feed_that_is_cut_short_is_never_committed(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    from plinth.errors import StorageFailure

    first = create(con, lakehouse, LINES, ROWS)
    con.execute(
        "CREATE TABLE up AS SELECT 5::BIGINT AS id, 0::BIGINT AS customer, 0::DECIMAL(10, 2) AS price, 'x' AS note"
    )
    rewrite = merge(con, first, first.columns, Changes(("id",), "up", feed=True))
    os.truncate(rewrite.feed[0].uri, 10)
    with pytest.raises(StorageFailure):
        publish(lakehouse, first, rewrite)
    assert lakehouse.open(LINES).version == first.version


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_feeds_that_say_what_the_rows_say(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    first, draw = create(con, lakehouse, LINES, ROWS), random.Random(5)
    for kill in range(12):
        command = [sys.executable, "-m", "tests.plinth.lakehouse.merging", str(lakehouse.platform.home), str(kill)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            time.sleep(draw.uniform(0, 0.6))
            process.send_signal(signal.SIGKILL)
        now = lakehouse.open(LINES)
        changes = changes_since(lakehouse, now, first.content)
        assert told(con, changes) == truth(con, first, now)
    now = lakehouse.open(LINES)
    assert now.version > 12
    named = {state for version in range(1, now.version + 1) for state in _files(lakehouse.open(LINES, version=version))}
    orphans = {path.name for path in (Path(now.uri) / FOLDER).iterdir()} - named
    week_ago = time.time() - 8 * 24 * 3600
    for path in (Path(now.uri) / FOLDER).iterdir():
        os.utime(path, (week_ago, week_ago))
    maintain(con, lakehouse, now)
    assert not any((Path(now.uri) / FOLDER).iterdir()), f"{len(orphans)} were orphans"


def _files(version: TableVersion) -> tuple[str, ...]:
    return version.state.feed.files if version.state.feed is not None else ()


@pytest.mark.slow
def test_two_writers_at_once_leave_feeds_that_say_what_the_rows_say(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    commands = [
        [sys.executable, "-m", "tests.plinth.lakehouse.merging", str(lakehouse.platform.home), str(seed)]
        for seed in (1, 2)
    ]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for command in commands]
    deadline = time.monotonic() + 60
    while lakehouse.open(LINES).version < 15 and time.monotonic() < deadline:
        time.sleep(0.2)
    for process in both:
        process.kill()
        process.wait()
    now = lakehouse.open(LINES)
    assert now.version >= 15
    changes = changes_since(lakehouse, now, first.content)
    assert told(con, changes) == truth(con, first, now)
    middle = lakehouse.open(LINES, version=now.version - 5)
    check(con, lakehouse, middle, now)


def test_a_commit_of_another_tool_under_ours_is_told_by_the_files(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    base = create(con, lakehouse, TableId("bronze", "raced"), "SELECT i AS id, i % 3 AS surplus FROM range(2000) t(i)")
    con.execute("CREATE OR REPLACE TABLE up AS SELECT 5 AS id, -5 AS surplus")
    rewrite = merge(con, base, base.columns, Changes(("id",), "up", feed=True))
    import pyarrow as pa
    from deltalake import write_deltalake

    write_deltalake(
        base.uri, pa.table({"id": pa.array([77777], pa.int64()), "surplus": pa.array([1], pa.int64())}), mode="append"
    )
    write = Write(base, base.columns, base.state.next(changed=True), rewrite.add, rewrite.remove, feed=rewrite.feed)
    now = commit(lakehouse, base.id, write)
    changes = changes_since(lakehouse, now, base.content)
    assert changes is None or 77777 in {row[0] for row in con.execute(changes.sql).fetchall()}


def test_columns_may_be_called_as_the_comparison_calls_its_own(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    names = ("surplus", "side", "row_hash", "range")
    listed = ", ".join(f"i AS {name}" for name in names)
    base = create(con, lakehouse, TableId("bronze", "named"), f"SELECT i AS id, {listed} FROM range(-2000, 2000) t(i)")
    con.execute(
        f"CREATE OR REPLACE TABLE up AS SELECT id, {', '.join(f'-9 AS {name}' for name in names)} FROM (VALUES (-5), (0), (7)) t(id)"
    )
    rewrite = merge(con, base, base.columns, Changes(("id",), "up", feed=True))
    write = Write(base, base.columns, base.state.next(changed=True), rewrite.add, rewrite.remove, feed=rewrite.feed)
    now = commit(lakehouse, base.id, write)
    fed = changes_since(lakehouse, now, base.content)
    assert fed is not None and fed.fed
    plain = difference(f"FROM {now.scan}", f"FROM {base.scan}", now.columns)
    wanted = sorted((kind, i, *[value] * 4) for i in (-5, 0, 7) for kind, value in (("delete", i), ("insert", -9)))
    for sql in (fed.sql, plain):
        assert sorted(con.execute(f"SELECT _change, id, {', '.join(names)} FROM ({sql})").fetchall()) == wanted


def test_maintenance_that_removes_files_leaves_the_table_ours(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    table = TableId("bronze", "kept")
    base = create(con, lakehouse, table, "SELECT i AS id, i AS value FROM range(2000) t(i)")
    con.execute("CREATE OR REPLACE TABLE up AS SELECT 5 AS id, -5 AS value")
    rewrite = merge(con, base, base.columns, Changes(("id",), "up", feed=True))
    write = Write(base, base.columns, base.state.next(changed=True), rewrite.add, rewrite.remove, feed=rewrite.feed)
    now = commit(lakehouse, table, write)
    assert maintain(con, lakehouse, now, retention_hours=0).removed >= 1
    after = lakehouse.open(table)
    assert not after.foreign and (after.content, after.version) == (now.content, now.version)
