"""What a query yields becomes few files of about one size, whatever the number of threads that write it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.staging import file_bytes, stage

COLUMNS = (DeltaColumn("id", "long"), DeltaColumn("note", "string"))
# A hash does not compress: 40 bytes a row, and so 2 million rows are 80 MB.
MANY = "SELECT range AS id, md5(range::VARCHAR) AS note FROM range(2_000_000)"


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 4})


def rows_of(con: duckdb.DuckDBPyConnection, folder: Path) -> list[tuple[int, ...]]:
    return con.execute(
        f"SELECT count(*), count(DISTINCT id), max(id) FROM read_parquet('{folder}/*.parquet')"
    ).fetchall()


def test_threads_write_files_of_their_own_that_end_at_their_size(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    staged = stage(con, MANY, str(tmp_path), COLUMNS)
    full = [file for file in staged if file.size > file_bytes(0) * 0.8]
    assert max(file.size for file in staged) < file_bytes(0) * 1.8
    # Each of the four threads may leave one that is not full.
    assert len(staged) - len(full) <= 4
    assert rows_of(con, tmp_path) == [(2_000_000, 2_000_000, 1_999_999)]


def test_few_rows_are_one_file_though_several_threads_wrote_them(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    con.execute(f"COPY (SELECT * FROM ({MANY}) LIMIT 300_000) TO '{tmp_path / 'source.parquet'}' (ROW_GROUP_SIZE 2048)")
    few = f"SELECT * FROM read_parquet('{tmp_path / 'source.parquet'}') WHERE id % 10 = 0"
    staged = stage(con, few, str(tmp_path / "table"), COLUMNS)
    assert [file.rows for file in staged] == [30_000]
    assert [file.name for file in (tmp_path / "table").iterdir()] == [staged[0].path]
    assert rows_of(con, tmp_path / "table") == [(30_000, 30_000, 299_990)]


def test_rows_of_one_file_become_one_file_in_their_order(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    staged = stage(con, MANY, str(tmp_path), COLUMNS, one_file=True)
    assert len(staged) == 1
    assert staged[0].size > 2 * file_bytes(0)
    ordered = con.execute(
        f"SELECT bool_and(id = file_row_number) FROM read_parquet('{staged[0].uri}', file_row_number = true)"
    ).fetchone()
    assert ordered == (True,)


@pytest.mark.parametrize("one_file", [True, False])
def test_no_rows_leave_no_file(con: duckdb.DuckDBPyConnection, tmp_path: Path, one_file: bool) -> None:
    assert stage(con, f"SELECT * FROM ({MANY}) WHERE id < 0", str(tmp_path), COLUMNS, one_file=one_file) == ()
    assert list(tmp_path.iterdir()) == []
