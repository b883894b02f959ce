"""Spark as a resource: dagster-pyspark's own, with the settings of the platform. A JVM starts only in a step that uses it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from plinth.errors import DriverMissing
from plinth.platform import Platform
from plinth.spark.engine import SparkEngine
from plinth.spark.session import prepare, session_settings

if TYPE_CHECKING:
    from dagster_pyspark import LazyPySparkResource


def spark_resource(platform: Platform, profile: str) -> LazyPySparkResource:
    """The resource for steps of a profile. It is made only where something asks for Spark, as pyspark is an extra and slow to import.

    Raises:
        DriverMissing: the extra is not installed.
        ConfigurationError: the profile is too small for Spark, or the settings do not hold.
    """
    if find_spec("dagster_pyspark") is None:
        raise DriverMissing(
            f"the profile {profile} is one of Spark, which is not installed",
            expected="the extra spark",
            where="platform.yaml, profiles",
            remedy="install requirements/spark.lock into this environment, or set engine: duckdb",
        )
    from dagster_pyspark import LazyPySparkResource

    return LazyPySparkResource(spark_config=session_settings(platform, platform.profile(profile)))


def engine_of(platform: Platform, spark: LazyPySparkResource) -> SparkEngine:
    """The engine over a resource: what a session stands on is seen to when something has to be computed, and not before."""

    def open_session() -> Any:
        prepare(platform)
        return spark.spark_session

    return SparkEngine(open_session)
