"""One Spark session for the whole room: starting one takes 10 to 30 s."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from plinth.engine import connect
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.sample import SampleSpec, write_sample
from plinth.spark.engine import SparkEngine
from plinth.transform.run import build
from tests.spark.house import ROOT, Pair, load_bronze, platform_in
from tests.spark.twins import Twins

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

JARS_MISSING = (
    "the jars of delta-spark cannot be had: reach Maven Central (a mirror of it by ~/.m2 or spark.jars.ivySettings), "
    "or put them into Ivy's cache (~/.ivy2.5.2)"
)


@pytest.fixture(scope="session")
def spark_ready() -> None:
    """Skips where Spark cannot run, saying what to install."""
    if find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed: install requirements/spark.lock")
    if not shutil.which("java"):
        pytest.skip("Java is not installed: apt-get install openjdk-17-jre-headless")


@pytest.fixture(scope="session")
def spark_home(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    return platform_in(tmp_path_factory.mktemp("spark"))


@pytest.fixture(scope="session")
def spark(spark_ready: None, spark_home: Platform) -> Iterator[SparkSession]:
    """A local session with the reference Delta."""
    from plinth.spark.session import open_session

    try:
        session = open_session(spark_home, spark_home.profile("spark"))
    except Exception as error:
        # What Spark says where its jars cannot be fetched; any other fault is a fault, and no reason to skip.
        if "unresolved dependency" in str(error) or "JAVA_GATEWAY" in str(error):
            pytest.skip(JARS_MISSING)
        raise
    yield session
    session.stop()


@pytest.fixture
def lake(tmp_path: Path) -> Platform:
    """A platform in a folder of one test's own."""
    return platform_in(tmp_path)


@pytest.fixture
def twins(request: pytest.FixtureRequest, tmp_path: Path, spark: SparkSession) -> Twins:
    """Over the database that the test's parameter names."""
    return Twins(tmp_path, request.getfixturevalue(request.param), lambda: spark)


# A year and more of trade: features look at the same weeks of last year.
@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Iterator[Pair]:
    base = tmp_path_factory.mktemp("engines")
    url = f"sqlite:///{base}/duckdb/erp.sqlite"
    duck = Lakehouse(platform_in(base / "duckdb", "duckdb"))
    write_sample(url, SampleSpec(customers=140, days=430, seed=5))
    with closing(sqlite3.connect(base / "duckdb" / "erp.sqlite")) as legacy, legacy:
        # The sample books nothing that says nothing about the trade, so that a few lines are made so: rejects have to agree as well.
        legacy.execute("UPDATE INVLINE SET ITEMNO = ' test001 ' WHERE LINEID % 97 = 0")
    load_bronze(duck, url)
    assert all(outcome.status.value == "published" for outcome in build(ROOT / "dbt_project", duck, run="test").models)
    shutil.copytree(base / "duckdb" / "on_prem", base / "spark" / "on_prem")
    by_spark = Lakehouse(platform_in(base / "spark", "spark"))
    engine = SparkEngine(lambda: spark)
    built = build(ROOT / "dbt_project", by_spark, run="test", spark=engine)
    with connect(duck.platform.profile(), extensions=("delta",)) as con:
        yield Pair(duck, by_spark, engine, built, con)
