"""Silver and gold come out of Spark as they come out of DuckDB: every table, value by value, through the same tests and the same door."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from plinth.catalogue import load_contracts
from plinth.engine import connect, quote
from plinth.ingest import ingest
from plinth.lakehouse.staged_apart import STAGING
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.sample import SampleSpec, write_sample
from plinth.sources import open_url
from plinth.spark.engine import SparkEngine
from plinth.transform.project import prepare
from plinth.transform.run import Built, build
from tests.spark.house import ROOT, platform_in

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow
MODELS = [model.table for model in prepare(ROOT / "dbt_project").models]


@dataclass
class Pair:
    """Two lakehouses over the same bronze rows, one built by each engine."""

    duck: Lakehouse
    spark: Lakehouse
    engine: SparkEngine
    built: Built
    con: duckdb.DuckDBPyConnection

    def differing(self, table: str) -> list[tuple[object, ...]]:
        """Rows that stand in one of the two and not in the other, each with how many more of it Spark has."""
        layer, _, name = table.partition("/")
        ours, theirs = (house.open(TableId(layer, name)) for house in (self.duck, self.spark))  # type: ignore[arg-type]
        assert [(c.name, c.type, c.classification, c.comment, c.metadata) for c in ours.columns] == [
            (c.name, c.type, c.classification, c.comment, c.metadata) for c in theirs.columns
        ]
        assert ours.rows == theirs.rows > 0
        names = ", ".join(quote(column.name) for column in ours.columns)
        return self.con.execute(
            f"SELECT sum(side), {names} FROM (SELECT 1 AS side, {names} FROM {theirs.scan} UNION ALL SELECT -1, {names} FROM {ours.scan}) "
            f"GROUP BY {names} HAVING sum(side) <> 0 ORDER BY {names} LIMIT 20"
        ).fetchall()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Iterator[Pair]:
    base = tmp_path_factory.mktemp("engines")
    url = f"sqlite:///{base}/duckdb/erp.sqlite"
    duck = Lakehouse(platform_in(base / "duckdb", "duckdb"))
    write_sample(url, SampleSpec(customers=300, days=200, seed=5))
    with closing(sqlite3.connect(base / "duckdb" / "erp.sqlite")) as legacy, legacy:
        # The sample books nothing that says nothing about the trade, so that a few lines are made so: rejects have to agree as well.
        legacy.execute("UPDATE INVLINE SET ITEMNO = ' test001 ' WHERE LINEID % 97 = 0")
    _load(duck, url)
    assert all(outcome.status.value == "published" for outcome in build(ROOT / "dbt_project", duck, run="test").models)
    shutil.copytree(base / "duckdb" / "on_prem", base / "spark" / "on_prem")
    by_spark = Lakehouse(platform_in(base / "spark", "spark"))
    engine = SparkEngine(lambda: spark)
    built = build(ROOT / "dbt_project", by_spark, run="test", spark=engine)
    with connect(duck.platform.profile(), extensions=("delta",)) as con:
        yield Pair(duck, by_spark, engine, built, con)


def _load(lakehouse: Lakehouse, url: str) -> None:
    for contract in load_contracts(lakehouse.platform):
        source = open_url(url)
        for table in contract.tables:
            ingest(table, source, lakehouse, run="test")
        source.close()


def test_every_model_is_published_by_spark_after_the_same_tests(pair: Pair) -> None:
    assert {str(outcome.table): outcome.status.value for outcome in pair.built.models} == dict.fromkeys(
        MODELS, "published"
    ), pair.built.errors
    assert len(pair.built.tests) > 40 and all(test.passed for test in pair.built.tests), pair.built.tests
    for table in MODELS:
        layer, _, name = table.partition("/")
        version = pair.spark.open(TableId(layer, name))  # type: ignore[arg-type]
        commit = version.delta.history(1)[0]
        assert str(commit["engineInfo"]).startswith("Apache-Spark"), commit
        assert version.writer == 1 and version.state.rows == version.rows and version.state.asset == table
    assert not list((Path(pair.spark.platform.root_of("cloud")) / STAGING).iterdir()), "what was staged is gone"


@pytest.mark.parametrize("table", MODELS)
def test_a_table_is_equal_between_the_engines_value_by_value(pair: Pair, table: str) -> None:
    assert pair.differing(table) == []
