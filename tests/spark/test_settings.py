"""Where Spark runs is configuration, and a wrong one is refused with the key and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from plinth.errors import ConfigurationError
from plinth.profile import Profile
from plinth.spark.session import prepare, session_settings
from plinth.spark_settings import DELTA_PACKAGE, MARIADB_DRIVER, POSTGRES_DRIVER
from tests.spark.house import platform_in

EIGHT = Profile(cpu=4, memory=8 * 2**30, engine="spark")


def test_on_this_machine_the_profile_is_the_session(tmp_path: Path) -> None:
    found = session_settings(platform_in(tmp_path), EIGHT)
    assert (found["spark.master"], found["spark.driver.memory"]) == (
        "local[4]",
        f"{int((8 * 1024 - 320 - 512) * 0.6)}m",
    )
    assert found["spark.jars.packages"] == f"{DELTA_PACKAGE},{POSTGRES_DRIVER},{MARIADB_DRIVER}"
    assert found["spark.driver.bindAddress"] == "127.0.0.1"
    assert (found["spark.sql.session.timeZone"], found["spark.sql.parquet.outputTimestampType"]) == (
        "UTC",
        "TIMESTAMP_MICROS",
    )


@pytest.mark.parametrize("master", ["spark://host:7077", "k8s://https://host:6443"])
def test_on_a_cluster_the_profile_is_an_executor(tmp_path: Path, master: str) -> None:
    found = session_settings(platform_in(tmp_path, spark=f"spark: {{master: '{master}'}}\n"), EIGHT)
    assert (found["spark.master"], found["spark.executor.cores"], found["spark.executor.memory"]) == (
        master,
        "4",
        "6553m",
    )
    assert found["spark.driver.memory"] == "1024m", "it directs, and computes nothing"


def test_a_connect_server_is_given_no_size_and_its_address_is_no_setting(tmp_path: Path) -> None:
    found = session_settings(
        platform_in(tmp_path, spark="spark: {remote: 'sc://host:15002', conf: {spark.sql.shuffle.partitions: 8}}\n"),
        EIGHT,
    )
    assert found["spark.sql.shuffle.partitions"] == "8"
    assert not [key for key in found if "memory" in key or "remote" in key or "jars" in key]


@pytest.mark.parametrize(
    ("spark", "message"),
    [
        ("{master: mesos://host}", "spark.master.*spark://host:port"),
        ("{remote: 'http://host'}", "sc://host:port is expected"),
        ("{remote: 'sc://host:1/;token=abc'}", "name the variable"),
        ("{remote: 'sc://host:1', master: 'spark://host:7077'}", "only one of master and remote"),
        ("{conf: {sql.ansi: true}}", "start with spark"),
        ("{mastr: local}", "did you mean 'master'"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path: Path, spark: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        platform_in(tmp_path, spark=f"spark: {spark}\n")


def test_a_profile_too_small_for_a_jvm_and_a_folder_without_jars_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="too little memory for Spark"):
        session_settings(platform_in(tmp_path), Profile(cpu=1, memory=512 * 2**20))
    with pytest.raises(ConfigurationError, match="holds none"):
        session_settings(platform_in(tmp_path, spark="spark: {jars: nowhere}\n"), EIGHT)


def test_the_variable_of_a_connect_address_is_asked_for_when_a_session_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLINTH_TEST_REMOTE", raising=False)
    platform = platform_in(tmp_path, spark="spark: {remote_env: PLINTH_TEST_REMOTE}\n")
    session_settings(platform, EIGHT)
    with pytest.raises(ConfigurationError, match="PLINTH_TEST_REMOTE is not set"):
        prepare(platform)


def test_the_jar_is_of_the_versions_that_are_installed() -> None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        spark, delta = version("pyspark"), version("delta-spark")
    except PackageNotFoundError:
        pytest.skip("pyspark is not installed: install requirements/spark.lock")
    assert f"io.delta:delta-spark_{'.'.join(spark.split('.')[:2])}_2.13:{delta}" == DELTA_PACKAGE
