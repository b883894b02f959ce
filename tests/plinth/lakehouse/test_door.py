"""The door lets a write through whole or not at all."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from plinth.errors import CommitConflict, ContractViolation, ResidencyViolation, StorageFailure, TableMissing
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.schema import DeltaColumn, columns_of
from plinth.lakehouse.staging import StagedFile, stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId

from .conftest import create

ORDERS = TableId("bronze", "orders")


def test_a_table_comes_back_value_for_value_with_its_types(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    sql = """SELECT i AS id, (i / 3)::DECIMAL(18, 4) AS price, 9007199254740993 + i AS big, 'ü' || i AS name, 'ab'::BLOB AS raw,
        DATE '1900-01-01' + i::INT AS day, TIMESTAMP '2024-01-01 10:00:00.123456' AS naive,
        TIMESTAMPTZ '2024-01-01 10:00:00.123456+02' AS utc, [i, NULL] AS list, i % 2 = 0 AS flag FROM range(1000) t(i)"""
    version = create(con, lakehouse, ORDERS, sql)
    difference = con.execute(
        f"(({sql}) EXCEPT ALL FROM {version.scan}) UNION ALL (FROM {version.scan} EXCEPT ALL ({sql}))"
    ).fetchall()
    assert difference == []
    types = {column.name: column.type for column in version.columns}
    assert types["naive"] == "timestamp_ntz" and types["utc"] == "timestamp" and types["price"] == "decimal(18,4)"
    assert version.rows == 1000 and version.state.rows == 1000


def test_statistics_in_the_log_are_those_of_the_rows(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    sql = """SELECT i AS id, i::DECIMAL(38, 10) / 7 AS wide, CASE WHEN i > 3 THEN i::DOUBLE ELSE 'nan'::DOUBLE END AS real,
        repeat('x', 200) AS long_text, TIMESTAMP '2024-01-01' + to_seconds(i) AS at FROM range(10) t(i)"""
    version = create(con, lakehouse, ORDERS, sql)
    log = Path(version.uri, "_delta_log", f"{0:020d}.json").read_text().splitlines()
    stats = next(json.loads(json.loads(line)["add"]["stats"]) for line in log if '"add"' in line)
    assert stats["numRecords"] == 10
    assert stats["minValues"]["id"] == 0 and stats["maxValues"]["id"] == 9
    assert stats["maxValues"]["at"] == "2024-01-01T00:00:09"
    assert "long_text" not in stats["maxValues"], "a cut-off maximum would hide rows from readers"
    assert stats["nullCount"]["id"] == 0


def test_files_are_encoded_small_and_read_alike_by_other_readers(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import QueryBuilder

    sql = """SELECT i AS id, (i / 3)::DECIMAL(18, 4) AS price, TIMESTAMP '2024-01-01' + to_seconds(i) AS at,
        md5(i::VARCHAR) AS name FROM range(100000) t(i)"""
    version = create(con, lakehouse, ORDERS, sql)
    group = pq.ParquetFile(version.files[0].uri).metadata.row_group(0)
    encodings = {group.column(at).path_in_schema: group.column(at).encodings for at in range(group.num_columns)}
    assert "DELTA_BINARY_PACKED" in encodings["id"] and "DELTA_BINARY_PACKED" in encodings["at"]
    wanted = con.execute(f"SELECT * FROM ({sql}) ORDER BY id").to_arrow_table().to_pylist()
    by_delta_rs = QueryBuilder().register("t", version.delta).execute("SELECT * FROM t ORDER BY id").read_all()
    assert pa.table(by_delta_rs).to_pylist() == wanted
    tables = [pq.ParquetFile(file.uri).read() for file in version.files]
    assert sorted((row for table in tables for row in table.to_pylist()), key=lambda row: row["id"]) == wanted


@pytest.mark.parametrize("kind", ["DOUBLE", "FLOAT", "DOUBLE[]"])
def test_no_file_has_an_encoding_that_sparks_vectorised_reader_refuses(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, kind: str
) -> None:
    number = "[i * 1.37]" if kind.endswith("[]") else "i * 1.37"
    made = create(con, lakehouse, ORDERS, f"SELECT i AS id, ({number})::{kind} AS number FROM range(20_000) t(i)")
    found = con.execute(f"SELECT DISTINCT encodings FROM parquet_metadata('{made.files[0].uri}')").fetchall()
    assert not any("BYTE_STREAM_SPLIT" in encodings for (encodings,) in found), found


def test_of_writers_who_create_a_table_at_once_one_is_let_in(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    columns = columns_of(con, "SELECT 1 AS id")
    for number in range(40):
        table = TableId("bronze", f"orders_{number}")
        staged = [stage(con, f"SELECT {value} AS id", lakehouse.uri_of(table), columns) for value in range(4)]
        together = threading.Barrier(len(staged))

        def create_it(
            files: tuple[StagedFile, ...], table: TableId = table, gate: threading.Barrier = together
        ) -> bool:
            gate.wait()
            try:
                commit(lakehouse, table, Write(None, columns, State().next(changed=True), files))
            except CommitConflict:
                return False
            return True

        with ThreadPoolExecutor(len(staged)) as pool:
            let_in = list(pool.map(create_it, staged))
        assert sum(let_in) == 1
        assert con.execute(f"FROM {lakehouse.open(table).scan}").fetchall() == [(let_in.index(True),)]


def test_of_two_writers_from_one_version_the_second_is_refused(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    base = create(con, lakehouse, ORDERS, "SELECT 1 AS id")
    for value in (2, 3):
        staged = stage(con, f"SELECT {value} AS id", base.uri, base.columns)
        write = Write(base, base.columns, base.state.next(changed=True), staged)
        if value == 2:
            commit(lakehouse, ORDERS, write)
        else:
            with pytest.raises(CommitConflict, match="another writer"):
                commit(lakehouse, ORDERS, write)
    assert con.execute(f"SELECT list(id ORDER BY id) FROM {lakehouse.open(ORDERS).scan}").fetchone() == ([1, 2],)


def test_two_first_writers_make_one_table(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    create(con, lakehouse, ORDERS, "SELECT 1 AS id")
    with pytest.raises(CommitConflict):
        create(con, lakehouse, ORDERS, "SELECT 2 AS id")
    assert con.execute(f"SELECT id FROM {lakehouse.open(ORDERS).scan}").fetchall() == [(1,)]


def test_the_state_is_carried_from_commit_to_commit(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    base = create(con, lakehouse, ORDERS, "SELECT 1 AS id")
    first = commit(lakehouse, ORDERS, Write(base, base.columns, base.state.next(changed=False, watermark="7")))
    assert first.content == base.content, "a commit without rows must not look like a new content"
    staged = stage(con, "SELECT 2 AS id", base.uri, base.columns)
    second = commit(lakehouse, ORDERS, Write(first, base.columns, first.state.next(changed=True), staged))
    assert second.state.watermark == "7" and second.content != base.content


def test_a_commit_of_another_tool_changes_the_content(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    base = create(con, lakehouse, ORDERS, "SELECT 1 AS id")
    base.delta.delete("id = 1")
    after = lakehouse.open(ORDERS)
    assert after.foreign and after.content != base.content and after.state.data_version == base.state.data_version


def test_a_zone_that_is_not_cleared_refuses_the_column_by_name(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    table = TableId("gold", "customers")
    columns = (DeltaColumn("id", "integer"), DeltaColumn("email", "string", "confidential"))
    staged = stage(con, "SELECT 1 AS id, 'a@example.com' AS email", lakehouse.uri_of(table), columns)
    with pytest.raises(ResidencyViolation, match=r"email \(confidential\)") as refused:
        commit(lakehouse, table, Write(None, columns, State(), staged))
    assert "on_prem" in str(refused.value), "the message names a zone that is cleared"
    assert lakehouse.find(table) is None


@pytest.mark.parametrize("rows", [True, False], ids=["with rows", "without"])
def test_a_classification_is_stored_as_the_write_says_it_raised_or_lowered(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, rows: bool
) -> None:
    base = create(con, lakehouse, ORDERS, "SELECT 1 AS id, 'a@example.com' AS email, TIMESTAMP '2024-01-01' AS at")
    for level, told in (("restricted", "Of a person."), ("internal", "")):
        columns = tuple(replace(each, classification=level, comment=told) for each in base.columns)
        staged = stage(con, f"FROM {base.scan}", base.uri, columns) if rows else ()
        state = base.state.next(changed=rows, run=level)
        after = commit(lakehouse, ORDERS, Write(base, columns, state, staged, data_change=rows))
        assert after.columns == columns and after.state.run == level and not after.foreign
        assert (after.content == base.content) is not rows
        base = after
    assert len(con.execute(f"FROM {base.scan}").fetchall()) == (4 if rows else 1)


def test_who_restates_columns_from_an_older_version_is_refused(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    base = create(con, lakehouse, ORDERS, "SELECT 1 AS id")
    commit(lakehouse, ORDERS, Write(base, base.columns, base.state.next(changed=False, run="first")))
    raised = (replace(base.columns[0], classification="restricted"),)
    with pytest.raises(CommitConflict):
        commit(lakehouse, ORDERS, Write(base, raised, base.state.next(changed=False, run="second")))
    assert lakehouse.open(ORDERS).columns == base.columns


def test_a_staged_file_that_was_cut_is_not_published(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    columns = columns_of(con, "SELECT 1 AS id")
    staged = stage(con, "SELECT 1 AS id", lakehouse.uri_of(ORDERS), columns)
    os.truncate(staged[0].uri, 10)
    with pytest.raises(StorageFailure, match="not as it was written"):
        commit(lakehouse, ORDERS, Write(None, columns, State(), staged))
    assert lakehouse.find(ORDERS) is None


def test_a_new_naive_time_stamp_column_leaves_the_table_readable(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    base = create(con, lakehouse, ORDERS, "SELECT 1 AS id")
    columns = (*base.columns, DeltaColumn("at", "timestamp_ntz"))
    staged = stage(con, "SELECT 2 AS id, TIMESTAMP '2024-01-01' AS at", base.uri, columns)
    commit(lakehouse, ORDERS, Write(base, columns, base.state.next(changed=True), staged))
    rows = con.execute(f'SELECT id, "at"::VARCHAR FROM {lakehouse.open(ORDERS).scan} ORDER BY id').fetchall()
    assert rows == [(1, None), (2, "2024-01-01 00:00:00")]


def test_a_wider_type_replaces_every_file_in_one_commit(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    base = create(con, lakehouse, ORDERS, "SELECT 1::INTEGER AS id")
    columns = (replace(base.columns[0], type="long"), DeltaColumn("at", "timestamp_ntz"))
    staged = stage(con, "SELECT 5000000000 AS id, NULL::TIMESTAMP AS at", base.uri, columns)
    write = Write(base, columns, base.state.next(changed=True), staged, base.files)
    after = commit(lakehouse, ORDERS, write)
    assert after.version == base.version + 1 and after.writer == base.writer + 1
    assert con.execute(f"SELECT id FROM {after.scan}").fetchall() == [(5_000_000_000,)]


def test_a_naive_time_stamp_partition_is_appended_to_and_not_overwritten(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    """dagster-deltalake overwrites the whole table in this case; see TRAPS."""
    base = create(con, lakehouse, ORDERS, "SELECT 1 AS id, TIMESTAMP '2024-01-01 10:00:00.5' AS hour", ("hour",))
    staged = stage(con, "SELECT 2 AS id, TIMESTAMP '2024-01-01 11:00:00' AS hour", base.uri, base.columns, ("hour",))
    write = Write(base, base.columns, base.state.next(changed=True), staged, partition_by=("hour",))
    commit(lakehouse, ORDERS, write)
    rows = con.execute(f"SELECT id, hour::VARCHAR FROM {lakehouse.open(ORDERS).scan} ORDER BY id").fetchall()
    assert rows == [(1, "2024-01-01 10:00:00.5"), (2, "2024-01-01 11:00:00")]


def test_partition_values_with_blanks_slashes_percents_and_nulls_come_back(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    sql = (
        "SELECT i AS id, ['a b', 'ü/x=1%', NULL, '__HIVE_DEFAULT_PARTITION__'][i % 4 + 1] AS country FROM range(8) t(i)"
    )
    version = create(con, lakehouse, ORDERS, sql, ("country",))
    assert con.execute(f"({sql}) EXCEPT ALL FROM {version.scan}").fetchall() == []
    assert len(version.files) == 4


def test_a_table_may_be_partitioned_by_flags_and_decimals(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse) -> None:
    sql = "SELECT i AS id, [true, false, NULL][i % 3 + 1] AS flag, (i % 2 - 0.5)::DECIMAL(5, 2) AS half FROM range(6) t(i)"
    version = create(con, lakehouse, ORDERS, sql, ("flag", "half"))
    assert con.execute(f"({sql}) EXCEPT ALL FROM {version.scan}").fetchall() == [] and version.rows == 6


@pytest.mark.parametrize("value", ["DATE '0044-01-01 (BC)'", "DATE '20240-01-01'", "TIMESTAMP '20240-01-01'"])
def test_a_partition_that_no_reader_can_parse_is_refused_before_it_locks_everyone_out(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, value: str
) -> None:
    with pytest.raises(ContractViolation, match="the partition column part holds a time outside"):
        create(con, lakehouse, ORDERS, f"SELECT 1 AS id, {value} AS part", ("part",))
    assert lakehouse.find(ORDERS) is None


def test_a_write_that_may_happen_once_is_a_no_op_the_second_time(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    base = create(con, lakehouse, ORDERS, "SELECT 1 AS id")
    for _ in range(2):
        now = lakehouse.open(ORDERS)
        staged = stage(con, "SELECT 2 AS id", base.uri, base.columns)
        commit(lakehouse, ORDERS, Write(now, base.columns, now.state.next(changed=True), staged, once="replay.1"))
    assert con.execute(f"SELECT count(*) FROM {lakehouse.open(ORDERS).scan}").fetchone() == (2,)


def test_a_full_disk_leaves_the_table_and_no_staged_file(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, small_disk: Path
) -> None:
    """Staging onto a file system of 8 MiB that is really full."""
    sql = "SELECT i AS id, md5(i::VARCHAR) AS text FROM range(2000000) t(i)"
    columns = columns_of(con, sql)
    with pytest.raises(StorageFailure, match="as it was"):
        stage(con, sql, str(small_disk / "orders"), columns)
    assert list(small_disk.rglob("*.parquet")) == []


def test_a_missing_table_says_what_to_materialise(lakehouse: Lakehouse) -> None:
    with pytest.raises(TableMissing, match="materialise the asset bronze/orders"):
        lakehouse.open(ORDERS)


def test_the_run_that_changed_the_rows_is_not_the_one_that_only_looked() -> None:
    made = State().next(changed=True, run="first")
    looked = made.next(changed=False, run="second", probe="as before")
    assert (looked.run, looked.changed_by, looked.content) == ("second", "first", made.content)
    assert looked.next(changed=True, run="third").changed_by == "third"
