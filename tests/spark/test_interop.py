"""One table, three readers: what our door writes the reference Delta on Spark reads, and the other way round, value by value or refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from plinth.engine import connect
from plinth.errors import StorageFailure
from plinth.lakehouse.files import read_files, require_plain
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.platform import Platform
from tests.plinth.lakehouse.conftest import create

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow
T = TableId("silver", "things")

# Every encoding of Parquet's second version that DuckDB uses, and the first one's for floating-point columns, which it splits otherwise.
PLAIN = """SELECT i::BIGINT AS id, (i % 97)::INTEGER AS few, (i % 7)::SMALLINT AS small, (i % 5)::TINYINT AS tiny, (i / 100)::DECIMAL(12, 4) AS price,
    (i * 12345678901)::DECIMAL(30, 2) AS wide, 'text ' || i AS text, 'k' || (i % 10) AS code, i % 2 = 0 AS flag, DATE '1582-10-01' + i::INTEGER AS day,
    TIMESTAMP '1969-12-31 23:00:00' + to_microseconds(i * 1234567) AS naive, TIMESTAMPTZ '2020-03-29 00:00:00+00' + to_microseconds(i * 1234567) AS utc,
    [['a' || i, NULL], []] AS nested, ('x' || i)::BLOB AS bytes, CASE WHEN i % 3 > 0 THEN i END AS gaps FROM range(12_000) t(i)"""
REAL = """SELECT i::BIGINT AS id, i * 1.37e0 AS number, CASE i WHEN 0 THEN 'nan' WHEN 1 THEN 'inf' WHEN 2 THEN '-0.0' ELSE (i / 3)::VARCHAR END::DOUBLE AS odd,
    (i * 0.1)::FLOAT AS short, [i * 0.1e0] AS list, 'text ' || i AS text FROM range(12_000) t(i)"""


@pytest.fixture
def lakehouse(lake: Platform) -> Lakehouse:
    return Lakehouse(lake)


@pytest.fixture
def con(lake: Platform) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(lake.profile(), extensions=("delta",)) as opened:
        yield opened


def by_duckdb(con: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    """The rows of a query, each as one text in which every value can be told from every other."""
    return sorted(map(_shown, con.execute(sql).fetchall()))


def by_spark(spark: SparkSession, uri: str) -> list[str]:
    frame = spark.read.format("delta").load(uri)
    return sorted(_shown(tuple(row)) for row in frame.collect())


def _shown(row: tuple[Any, ...]) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, (bytes, bytearray)):
            return bytes(value)
        if isinstance(value, (list, tuple)):
            return [plain(each) for each in value]
        if hasattr(value, "tzinfo"):
            return value.replace(tzinfo=None).isoformat()
        return value

    return repr([plain(value) for value in row])


@pytest.mark.parametrize(
    ("sql", "partition_by"), [(PLAIN, ()), (REAL, ()), (PLAIN, ("code", "day"))], ids=["plain", "real", "partitioned"]
)
def test_spark_reads_what_the_door_writes(
    spark: SparkSession, con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, sql: str, partition_by: tuple[str, ...]
) -> None:
    if partition_by:
        sql = f"SELECT * REPLACE (CASE id % 4 WHEN 0 THEN NULL WHEN 1 THEN 'a b/c%d' WHEN 2 THEN 'é=x' ELSE 'z' END AS code, DATE '2024-01-01' AS day) FROM ({sql}) LIMIT 500"
    made = create(con, lakehouse, T, sql, partition_by)
    assert spark.conf.get("spark.sql.parquet.enableVectorizedReader") == "true"
    # Seconds of the local zone and of UTC are the same in a process whose zone is UTC.
    assert by_spark(spark, made.uri) == by_duckdb(con, f"SELECT * FROM ({sql})")


def test_our_readers_read_what_spark_writes(
    spark: SparkSession, con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    rows = """SELECT id, CAST(id / 7 AS DECIMAL(20, 6)) AS price, CAST(id * 0.1 AS DOUBLE) AS real, CAST(id AS SMALLINT) AS small, concat('t ', id) AS text,
        timestamp_micros(id * 1234567 - 10) AS utc, CAST(timestamp_micros(id * 1234567 - 10) AS TIMESTAMP_NTZ) AS naive, date_add(DATE '1999-12-31', CAST(id AS INT)) AS day,
        array(concat('e', id), NULL) AS list, CASE id % 3 WHEN 0 THEN NULL WHEN 1 THEN 'a b/c%d' ELSE 'é=x' END AS code FROM range(1000)"""
    uri = lakehouse.uri_of(T)
    spark.sql(rows).repartition(2).write.format("delta").partitionBy("code").save(uri)
    found = lakehouse.open(T)
    assert found.foreign and found.rows == 1000 and all(file.rows > 0 for file in found.files)
    names = ", ".join(column.name for column in found.columns)
    assert by_duckdb(con, f"SELECT {names} FROM {found.scan}") == by_spark(spark, uri)
    assert {column.name: column.type for column in found.columns}["naive"] == "timestamp_ntz"
    lowest = min(file.minimum["id"] for file in found.files)
    highest = max(file.maximum["id"] for file in found.files)
    assert (lowest, highest) == (0, 999)
    unpartitioned = [column for column in found.columns if column.name != "code"]
    rows_read = con.execute(f"SELECT count(*) FROM ({read_files(found.files, unpartitioned)})").fetchone()
    assert rows_read == (1000,), "the addresses of files in folders with percent signs are those of the files"


def test_rows_that_spark_deleted_by_a_vector_are_gone_for_our_reader_and_single_files_are_refused(
    spark: SparkSession, con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    made = create(con, lakehouse, T, "SELECT i AS id FROM range(1000) t(i)")
    spark.sql(f"ALTER TABLE delta.`{made.uri}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    spark.sql(f"DELETE FROM delta.`{made.uri}` WHERE id % 10 = 0")
    found = lakehouse.open(T)
    assert found.foreign and {file.path for file in found.files} == {file.path for file in made.files}, (
        "a vector, not a rewrite"
    )
    assert con.execute(f"SELECT count(*), min(id) FROM {found.scan}").fetchone() == (900, 1)
    with pytest.raises(StorageFailure, match="deletionVectors"):
        require_plain(found)


def test_columns_that_spark_renamed_are_read_by_their_new_names_and_single_files_are_refused(
    spark: SparkSession, con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    made = create(con, lakehouse, T, "SELECT i AS id, i * 2 AS twice FROM range(10) t(i)")
    spark.sql(f"ALTER TABLE delta.`{made.uri}` SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    spark.sql(f"ALTER TABLE delta.`{made.uri}` RENAME COLUMN twice TO double_of_it")
    found = lakehouse.open(T)
    assert con.execute(f"SELECT sum(double_of_it) FROM {found.scan}").fetchone() == (90,)
    with pytest.raises(StorageFailure, match="columnMapping"):
        require_plain(found)


def test_what_is_kept_beside_a_column_reaches_spark(
    spark: SparkSession, con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    from plinth.lakehouse.door import Write, commit
    from plinth.lakehouse.staging import stage
    from plinth.lakehouse.state import State

    column = DeltaColumn("id", "long", "public", "The number.", {"plinth.legacy_type": "NUMBER(9)"})
    staged = stage(con, "SELECT 1::BIGINT AS id", lakehouse.uri_of(T), (column,))
    made = commit(lakehouse, T, Write(None, (column,), State().next(changed=True), staged))
    stored = spark.read.format("delta").load(made.uri).schema["id"].metadata
    assert stored == {"plinth.classification": "public", "plinth.legacy_type": "NUMBER(9)", "comment": "The number."}
