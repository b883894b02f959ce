"""A merge gives the rows that a rebuild would give, and touches only files that hold a changed row."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pytest

from plinth.errors import StorageFailure
from plinth.lakehouse.changes import changes_since
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.feed import CHANGE
from plinth.lakehouse.files import is_plain, require_plain
from plinth.lakehouse.maintenance import maintain
from plinth.lakehouse.merge import Changes, Rewrite, merge, replace_scope
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.staging import stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion

from .conftest import create

LINES = TableId("bronze", "lines")
ROWS = (
    "SELECT i AS id, i % 7 AS customer, (i * 13 % 101)::DECIMAL(10, 2) AS price, 'n' || i AS note FROM range(3000) t(i)"
)


def publish(lakehouse: Lakehouse, base: TableVersion, rewrite: Rewrite) -> TableVersion:
    state = base.state.next(changed=rewrite.changed)
    return commit(lakehouse, base.id, Write(base, base.columns, state, rewrite.add, rewrite.remove, base.partition_by))


def append(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, base: TableVersion, sql: str) -> TableVersion:
    staged = stage(con, sql, base.uri, base.columns, base.partition_by)
    return commit(
        lakehouse,
        base.id,
        Write(base, base.columns, base.state.next(changed=True), staged, partition_by=base.partition_by),
    )


def test_upserts_and_deletes_give_what_a_rebuild_gives(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    draw = random.Random(11)
    version = create(con, lakehouse, LINES, ROWS)
    con.execute(f"CREATE TABLE truth AS {ROWS}")
    for _ in range(6):
        ids = draw.sample(range(4000), 120)
        con.execute("CREATE OR REPLACE TABLE up AS SELECT unnest(?)::BIGINT AS id", [ids[:90]])
        con.execute(
            "CREATE OR REPLACE TABLE up AS SELECT id, id % 5 AS customer, ?::DECIMAL(10, 2) AS price, 'new' AS note FROM up",
            [draw.randint(0, 99)],
        )
        con.execute("CREATE OR REPLACE TABLE gone AS SELECT unnest(?)::BIGINT AS id", [ids[90:]])
        con.execute("DELETE FROM truth WHERE id IN (SELECT id FROM up) OR id IN (SELECT id FROM gone)")
        con.execute("INSERT INTO truth SELECT * FROM up")
        version = publish(lakehouse, version, merge(con, version, version.columns, Changes(("id",), "up", "gone")))
        assert (
            con.execute(
                f"(FROM truth EXCEPT ALL FROM {version.scan}) UNION ALL (FROM {version.scan} EXCEPT ALL FROM truth)"
            ).fetchall()
            == []
        )
        assert version.rows == con.execute("SELECT count(*) FROM truth").fetchone()[0]


def test_rows_that_arrive_unchanged_write_no_file(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    version = create(con, lakehouse, LINES, ROWS)
    con.execute(f"CREATE TABLE up AS SELECT * FROM ({ROWS}) WHERE id < 500")
    assert merge(con, version, version.columns, Changes(("id",), "up")) == Rewrite()


def test_a_merge_writes_one_file_for_one_that_it_replaces(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    # Text that does not compress: files that are as full as they become, which would be ended once more before their last rows.
    rows = (
        "SELECT i AS id, 0 AS customer, 1::DECIMAL(10, 2) AS price, md5(i::VARCHAR) AS note FROM range(1_000_000) t(i)"
    )
    version = create(con, lakehouse, LINES, rows)
    con.execute(f"CREATE TABLE up AS SELECT * REPLACE (2 AS price) FROM ({rows}) WHERE id % 100 = 7")
    after = publish(lakehouse, version, merge(con, version, version.columns, Changes(("id",), "up")))
    assert len(version.files) > 2
    assert len(after.files) == len(version.files)
    assert con.execute(f"SELECT count(*), sum(price) FROM {after.scan}").fetchone() == (1_000_000, 1_010_000)


def test_only_files_that_hold_a_changed_row_are_written_anew(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    version = create(con, lakehouse, LINES, ROWS)
    version = append(con, lakehouse, version, ROWS.replace("SELECT i AS id", "SELECT i + 10000 AS id"))
    untouched = {file.path for file in version.files if file.minimum["id"] >= 10000}
    con.execute(f"CREATE TABLE up AS SELECT id, customer, 1::DECIMAL(10, 2) AS price, note FROM ({ROWS}) WHERE id = 7")
    rewrite = merge(con, version, version.columns, Changes(("id",), "up"))
    assert (rewrite.inserted, rewrite.updated) == (0, 1)
    assert {file.path for file in rewrite.remove} == {file.path for file in version.files} - untouched


def test_an_updated_row_stays_in_its_file(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    """Key ranges are what a later merge prunes by; rows that moved to another file would wear them away."""
    version = create(con, lakehouse, LINES, ROWS)
    version = append(con, lakehouse, version, ROWS.replace("SELECT i AS id", "SELECT i + 10000 AS id"))
    con.execute(
        "CREATE TABLE up AS SELECT unnest([3, 1500, 10003])::BIGINT AS id, 0::BIGINT AS customer, 0::DECIMAL(10, 2) AS price, 'x' AS note"
    )
    version = publish(lakehouse, version, merge(con, version, version.columns, Changes(("id",), "up")))
    ranges = sorted((file.minimum["id"], file.maximum["id"]) for file in version.files)
    assert ranges == [(0, 2999), (10000, 12999)]


def test_a_merge_over_a_composite_key_with_texts(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    version = create(con, lakehouse, LINES, "SELECT i % 10 AS a, 'k' || i AS b, i AS value FROM range(50) t(i)")
    con.execute(
        "CREATE TABLE up AS SELECT 3::BIGINT AS a, 'k13' AS b, 99::BIGINT AS value UNION ALL SELECT 3, 'new', 100"
    )
    version = publish(lakehouse, version, merge(con, version, version.columns, Changes(("a", "b"), "up")))
    assert con.execute(f"SELECT value FROM {version.scan} WHERE b = 'k13'").fetchall() == [(99,)]
    assert version.rows == 51


def test_many_small_files_are_folded_into_the_next_rewrite(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    version = create(con, lakehouse, LINES, ROWS)
    for step in range(14):
        version = append(
            con, lakehouse, version, ROWS.replace("SELECT i AS id", f"SELECT i + {10000 * (step + 1)} AS id")
        )
    con.execute(
        "CREATE TABLE up AS SELECT 5::BIGINT AS id, 0::BIGINT AS customer, 0::DECIMAL(10, 2) AS price, 'x' AS note"
    )
    version = publish(lakehouse, version, merge(con, version, version.columns, Changes(("id",), "up")))
    assert len(version.files) == 1 and version.rows == 15 * 3000


def test_a_scope_is_replaced_whole_and_other_scopes_stay(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    version = create(con, lakehouse, LINES, ROWS + " UNION ALL SELECT 9000, NULL, 1, 'without a customer'")
    con.execute("CREATE TABLE touched AS SELECT 3::BIGINT AS customer UNION ALL SELECT NULL UNION ALL SELECT 6")
    con.execute(
        f"CREATE TABLE new_rows AS SELECT id, customer, price + 1 AS price, note FROM ({ROWS}) WHERE customer = 3 AND id < 1000 "
        f"UNION ALL SELECT * FROM ({ROWS}) WHERE customer = 6"
    )
    rewrite = replace_scope(
        con, version, version.columns, rows="new_rows", touched="touched", scope=("customer",), key=("id",)
    )
    after = publish(lakehouse, version, rewrite)
    expected = f"SELECT * FROM ({ROWS}) WHERE customer NOT IN (3) UNION ALL SELECT * FROM new_rows WHERE customer = 3"
    assert (
        con.execute(
            f"(({expected}) EXCEPT ALL FROM {after.scan}) UNION ALL (FROM {after.scan} EXCEPT ALL ({expected}))"
        ).fetchall()
        == []
    )
    assert rewrite.updated == con.execute("SELECT count(*) FROM new_rows WHERE customer = 3").fetchone()[0]


def test_what_changed_between_two_versions_is_exactly_the_changed_rows(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    con.execute(
        "CREATE TABLE up AS SELECT 5::BIGINT AS id, 0::BIGINT AS customer, 0::DECIMAL(10, 2) AS price, 'x' AS note"
    )
    con.execute("CREATE TABLE gone AS SELECT 6::BIGINT AS id")
    second = publish(lakehouse, first, merge(con, first, first.columns, Changes(("id",), "up", "gone")))
    third = append(con, lakehouse, second, "SELECT 7777 AS id, 1 AS customer, 2 AS price, 'y' AS note")
    found = changes_since(lakehouse, third, first.content)
    assert found is not None
    rows = con.execute(f"SELECT id, {CHANGE} FROM ({found.sql}) ORDER BY id, {CHANGE}").fetchall()
    assert rows == [(5, "delete"), (5, "insert"), (6, "delete"), (7777, "insert")]
    nothing = changes_since(lakehouse, third, third.content)
    assert nothing is not None and con.execute(nothing.sql).fetchall() == []


def test_changes_are_not_told_when_the_old_files_are_gone(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    first = create(con, lakehouse, LINES, ROWS)
    con.execute(
        "CREATE TABLE up AS SELECT 5::BIGINT AS id, 0::BIGINT AS customer, 0::DECIMAL(10, 2) AS price, 'x' AS note"
    )
    second = publish(lakehouse, first, merge(con, first, first.columns, Changes(("id",), "up")))
    Path(first.files[0].uri).unlink()
    assert changes_since(lakehouse, second, first.content) is None
    assert changes_since(lakehouse, second, "999") is None


@pytest.mark.parametrize("rows", [0, 1])
def test_a_merge_reads_files_that_lack_a_newer_column_as_null(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, rows: int
) -> None:
    version = create(con, lakehouse, LINES, "SELECT 1::BIGINT AS id, 'a' AS note UNION ALL SELECT 2, 'b'")
    columns = (*version.columns, DeltaColumn("extra", "long"))
    con.execute(f"CREATE TABLE up AS SELECT 2::BIGINT AS id, 'c' AS note, 5::BIGINT AS extra FROM range({rows})")
    rewrite = merge(con, version, columns, Changes(("id",), "up"))
    state = version.state.next(changed=rewrite.changed)
    after = commit(lakehouse, LINES, Write(version, columns, state, rewrite.add, rewrite.remove))
    expected = [(1, "a", None), (2, "c", 5)] if rows else [(1, "a", None), (2, "b", None)]
    assert con.execute(f"SELECT id, note, extra FROM {after.scan} ORDER BY id").fetchall() == expected


def test_partitions_of_another_tool_are_replaced_whole_and_never_merged_into(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    import pyarrow as pa
    from deltalake import write_deltalake

    table = TableId("gold", "split")
    uri = lakehouse.uri_of(table)
    rows = pa.table({"id": pa.array(range(20), pa.int64()), "code": ["a b%c:d" if i % 2 else "z" for i in range(20)]})
    write_deltalake(uri, rows, partition_by=["code"])
    found = lakehouse.open(table)
    assert not is_plain(found)
    with pytest.raises(StorageFailure, match="partition values outside the files"):
        require_plain(found)
    assert maintain(con, lakehouse, found).folded == 0
    sql = "SELECT 99 AS id, 'a b%c:d' AS code"
    staged = stage(con, sql, uri, found.columns, ("code",))
    write = Write(found, found.columns, State().next(changed=True), staged, found.files, ("code",))
    now = commit(lakehouse, table, write)
    assert con.execute(f"SELECT id, code FROM {now.scan}").fetchall() == [(99, "a b%c:d")]
    assert is_plain(now)


def test_a_key_at_the_end_of_all_dates_can_be_merged(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    sql = "SELECT TIMESTAMP '9999-12-31 23:59:59.999999' AS valid_to, i AS id FROM range(10) t(i)"
    base = create(con, lakehouse, TableId("gold", "spans"), sql)
    con.execute(f"CREATE OR REPLACE TABLE up AS SELECT valid_to, id + 5 AS id FROM ({sql})")
    rewrite = merge(con, base, base.columns, Changes(("valid_to", "id"), "up"))
    assert (rewrite.inserted, rewrite.updated) == (5, 0)
