"""Spark's commits go through the same door: cleared, numbered, with the table's state, and proved afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from plinth.engine import connect
from plinth.errors import CommitConflict, ConfigurationError, ResidencyViolation
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.spark_door import SparkWrite, replace_by_spark
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.platform import Platform
from plinth.spark.engine import Input, SparkEngine
from plinth.spark.types import shaped
from tests.plinth.lakehouse.conftest import create

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow
T = TableId("gold", "things")
COLUMNS = (
    DeltaColumn("id", "long", "internal", "The number.", {"plinth.legacy_type": "NUMBER(9)"}),
    DeltaColumn("at", "timestamp_ntz", "public", "", {"plinth.pseudonymised": "no more than the day"}),
)


@pytest.fixture
def lakehouse(lake: Platform) -> Lakehouse:
    return Lakehouse(lake)


@pytest.fixture
def con(lake: Platform) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(lake.profile(), extensions=("delta",)) as opened:
        yield opened


def write(
    spark: SparkSession,
    lakehouse: Lakehouse,
    base: TableVersion | None,
    rows: int,
    columns: tuple[DeltaColumn, ...] = COLUMNS,
) -> TableVersion:
    frame = spark.sql(f"SELECT id, TIMESTAMP_NTZ '2024-01-01 10:00:00' AS at FROM range({rows})")
    state = (base.state if base else State()).next(
        changed=True, asset="gold/things", run="r1", inputs={"silver/x": "1-a"}
    )
    return replace_by_spark(lakehouse, T, SparkWrite(base, columns, state, rows, shaped(frame, columns)))


def test_a_commit_of_spark_carries_state_columns_and_token_as_every_other(
    spark: SparkSession, con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    first = write(spark, lakehouse, None, 100)
    assert (first.writer, first.rows, first.state.rows, first.foreign, first.columns) == (1, 100, 100, False, COLUMNS)
    assert first.state.inputs == {"silver/x": "1-a"} and first.state.run == "r1"
    second = write(spark, lakehouse, first, 50)
    assert (second.writer, second.rows, second.version, second.state.data_version) == (2, 50, 1, 2)
    assert con.execute(f'SELECT count(*), min(id), max(id), min("at")::VARCHAR FROM {second.scan}').fetchone() == (
        50,
        0,
        49,
        "2024-01-01 10:00:00",
    )
    assert lakehouse.open(T, version=0).state == first.state


def test_the_engines_take_turns_on_one_table(
    spark: SparkSession, con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse
) -> None:
    from plinth.lakehouse.door import Write, commit
    from plinth.lakehouse.staging import stage

    by_duckdb = create(con, lakehouse, T, "SELECT i AS id FROM range(10) t(i)")
    by_spark = write(spark, lakehouse, by_duckdb, 20)
    staged = stage(con, "SELECT 99::BIGINT AS id, TIMESTAMP '2020-01-01' AS \"at\"", by_spark.uri, COLUMNS)
    again = commit(lakehouse, T, Write(by_spark, COLUMNS, by_spark.state.next(changed=True), staged))
    # One number more than commits of rows: Spark could not add the naive time stamp before the table was allowed to hold one.
    assert (again.writer, again.rows, again.columns, again.foreign) == (4, 21, COLUMNS, False)
    assert write(spark, lakehouse, again, 5).writer == again.writer + 1


def test_of_two_writers_from_one_version_the_second_is_refused_and_nothing_of_it_is_visible(
    spark: SparkSession, lakehouse: Lakehouse
) -> None:
    base = write(spark, lakehouse, None, 10)
    write(spark, lakehouse, base, 20)
    with pytest.raises(CommitConflict):
        write(spark, lakehouse, base, 30)
    with pytest.raises(CommitConflict):
        write(spark, lakehouse, None, 40)
    assert lakehouse.open(T).rows == 20


def test_a_number_that_delta_spark_skips_without_a_word_is_a_conflict(
    spark: SparkSession, lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = write(spark, lakehouse, None, 10)
    write(spark, lakehouse, base, 20)
    # The look before the write comes too early to see the other's commit, as when both write at once.
    real, stale = lakehouse.find, iter([base])
    monkeypatch.setattr(lakehouse, "find", lambda table, **more: next(stale, None) or real(table, **more))
    with pytest.raises(CommitConflict):
        write(spark, lakehouse, base, 30)
    monkeypatch.undo()
    assert lakehouse.open(T).rows == 20


def test_a_zone_that_is_not_cleared_refuses_sparks_rows_before_the_first_file(
    spark: SparkSession, lakehouse: Lakehouse
) -> None:
    with pytest.raises(ResidencyViolation, match=r"id \(restricted\)"):
        write(spark, lakehouse, None, 10, (DeltaColumn("id", "long", "restricted"),))
    assert lakehouse.find(T) is None


def test_an_address_for_which_spark_has_no_client_is_told_as_a_setting(spark: SparkSession, tmp_path: Path) -> None:
    columns = (DeltaColumn("id", "long"),)
    at_s3 = Input(TableId("silver", "numbers"), columns, "s3://bucket/silver/numbers", None, ("s3://bucket/a.parquet",))
    with pytest.raises(ConfigurationError, match=r"no client for s3://[\s\S]*spark\.hadoop\.fs\.s3\.impl"):
        SparkEngine(lambda: spark).stage("SELECT id FROM silver.numbers", [at_s3], columns, f"{tmp_path}/staged")
