"""A Spark session from `platform.yaml` and a profile: on this machine, on a standalone cluster, on Kubernetes or by Spark Connect.

What belongs here: settings, what has to be in place before a session starts, and opening it. What does not: what runs in it.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from plinth.errors import ConfigurationError, DriverMissing, SourceUnavailable
from plinth.platform import Platform
from plinth.profile import Profile
from plinth.spark_memory import heap_of, heap_of_driver, heap_of_executor, is_local, least_memory

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_CONNECT_PORT = 15002


def session_settings(platform: Platform, profile: Profile) -> dict[str, str]:
    """The settings of a session, as Spark names them.

    A Connect server has its memory and jars already, so that only the settings of the session itself are given to it. Its address, which may
    hold a token, is none of them: `prepare` puts it where Spark's client looks.

    Raises:
        ConfigurationError: the profile has too little memory for a JVM, or the folder of jars is empty.
    """
    own = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        # Overflows and failed casts are errors, as in DuckDB; a null in their place would pass for a missing value.
        "spark.sql.ansi.enabled": "true",
        "spark.sql.sources.partitionOverwriteMode": "static",
        # Files that hold their rows as they stand: what reads single files (merges, changes between versions) need not be told otherwise.
        "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
    }
    if platform.spark.connects:
        return own | platform.spark.conf
    master = platform.spark.master
    settings = {"spark.app.name": "plinth", "spark.ui.enabled": "false", "spark.log.level": "ERROR", **own}
    settings |= _delta(platform) | _size(master, profile)
    settings["spark.local.dir"] = str(platform.path(platform.stores.scratch))
    settings["spark.sql.warehouse.dir"] = str(platform.path(platform.stores.scratch) / "spark-warehouse")
    if is_local(master):
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return settings | platform.spark.conf


def _delta(platform: Platform) -> dict[str, str]:
    return {
        **_jars(platform),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    }


def _jars(platform: Platform) -> dict[str, str]:
    if platform.spark.jars is None:
        return {"spark.jars.packages": ",".join(platform.spark.packages)} if platform.spark.packages else {}
    folder = platform.path(platform.spark.jars)
    found = sorted(str(path) for path in folder.glob("*.jar"))
    if not found:
        raise ConfigurationError(
            "the folder of Spark's jars holds none",
            expected="the jars of delta-spark",
            where=f"{folder} (platform.yaml, spark.jars)",
            remedy="put them there, or leave spark.jars out and have them fetched by spark.packages",
        )
    return {"spark.jars": ",".join(found)}


def _size(master: str, profile: Profile) -> dict[str, str]:
    if profile.memory < least_memory(master):
        raise ConfigurationError(
            "the profile has too little memory for Spark",
            expected=f"at least {-(-least_memory(master) // 2**20)} MiB",
            found=f"{profile.memory // 2**20} MiB",
            where="platform.yaml, profiles",
            remedy="ask for a larger profile, or leave its engine at duckdb",
        )
    if not is_local(master):
        return {
            "spark.master": master,
            "spark.driver.memory": _mebibytes(heap_of_driver(profile)),
            "spark.executor.memory": _mebibytes(heap_of_executor(profile)),
            "spark.executor.cores": str(profile.threads),
        }
    return {
        "spark.master": f"local[{profile.threads}]" if master in ("local", "local[*]") else master,
        "spark.driver.memory": _mebibytes(heap_of(profile)),
        # 200, the default, is for a cluster: on one machine each of them costs a task.
        "spark.sql.shuffle.partitions": str(2 * profile.threads),
        # Delta reads a table's log in 50 parts by default, whatever its size.
        "spark.databricks.delta.snapshotPartitions": str(profile.threads),
    }


def _mebibytes(size: int) -> str:
    return f"{size // 2**20}m"


def prepare(platform: Platform) -> None:
    """Sees to what has to be there before the session: Python's name for the workers, Java or the Connect server, the scratch folder.

    Raises:
        DriverMissing: pyspark or Java is not installed.
        SourceUnavailable: the Connect server's port is closed. Spark's client would try for minutes without a word.
        ConfigurationError: an environment variable is not set.
    """
    from importlib.util import find_spec

    if find_spec("pyspark") is None:
        raise DriverMissing(
            "pyspark is not installed",
            expected="the extra spark",
            remedy="install requirements/spark.lock into this environment",
        )
    # The setting of the same meaning is ignored; only the variable counts, and only before the JVM starts.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # Of the JVM: with an arena for each of its threads the allocator held 82 MiB more (1,204 instead of 1,122).
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    remote = platform.spark_remote()
    if remote is not None:
        _probe(remote, platform.spark.connect_timeout)
        os.environ["SPARK_REMOTE"] = remote
        return
    java = Path(os.environ["JAVA_HOME"], "bin", "java") if os.environ.get("JAVA_HOME") else None
    if not (java.exists() if java is not None else shutil.which("java")):
        raise DriverMissing(
            "Java is not installed, and Spark runs in it",
            expected="Java 17 or 21",
            found=f"JAVA_HOME={java.parent.parent}" if java is not None else "no java on the PATH",
            remedy="install it (Debian: apt-get install openjdk-17-jre-headless), or name a Connect server in spark.remote",
        )
    platform.path(platform.stores.scratch).mkdir(parents=True, exist_ok=True)


def _probe(remote: str, timeout: float) -> None:
    parts = urlsplit(remote.split(";", 1)[0])
    host, port = parts.hostname or "", parts.port or _CONNECT_PORT
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        raise SourceUnavailable(
            "the Spark Connect server does not answer",
            expected=f"an open port within {timeout:g} s",
            found=error,
            where=f"{host}:{port}",
            remedy="start it, or mend spark.remote in platform.yaml",
        ) from error


def open_session(platform: Platform, profile: Profile) -> SparkSession:
    """The session of this process: started by the first call, which takes 10 to 30 s, and shared by the next ones.

    Raises:
        DriverMissing, SourceUnavailable, ConfigurationError: as `prepare` and `session_settings`.
    """
    settings = session_settings(platform, profile)
    prepare(platform)
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
