"""One Spark session for the whole room: starting one takes 10 to 30 s."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from plinth.platform import Platform
from tests.spark.house import platform_in

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
