"""The image `spark`, built and run: a session without a network, with the jars that lie in it, writes a Delta table and reads it.

Half a gigabyte of sources is fetched and built the first time, which takes minutes, so this runs only where PLINTH_SPARK_IMAGE=1 asks for it.
"""

from __future__ import annotations

import os

import pytest

from tests.deploy import engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
SESSION = """
from pathlib import Path
from plinth.platform import load_platform
from plinth.spark.session import open_session

overlay = Path("/tmp/overlay.yaml")
overlay.write_text("{spark: {jars: /opt/spark-jars}, stores: {scratch: /tmp/scratch}}")
platform = load_platform("/opt/plinth/platform.yaml", overlay)
session = open_session(platform, platform.declared("small"))
session.range(10).write.format("delta").save("/tmp/numbers")
print("rows", session.read.format("delta").load("/tmp/numbers").count())
session.stop()
"""


@pytest.fixture(scope="module")
def image() -> str:
    """The name of the image."""
    if os.environ.get("PLINTH_SPARK_IMAGE") != "1":
        pytest.skip("the image spark takes minutes to build: PLINTH_SPARK_IMAGE=1 builds it")
    try:
        engine.require_engine()
        engine.make_base()
        return engine.build("spark")
    except engine.EngineMissing as missing:
        pytest.skip(str(missing))


def test_a_closed_container_without_a_network_writes_and_reads_delta(image: str) -> None:
    # Without a network a container does not know its own name, which Spark asks for.
    done = engine.run(
        image, ["python3", "-c", SESSION], "--network=none", "--env=SPARK_LOCAL_HOSTNAME=localhost", timeout=300
    )
    assert "rows 10" in done.stdout, done.stdout[-2000:] + done.stderr[-4000:]


def test_it_runs_as_nobody_and_its_project_is_parsed(image: str) -> None:
    look = "id -u; ls dbt_project/target | grep -c plinth; stat -c %u data; touch /opt/plinth/x; plinth --help > /dev/null && echo plinth"
    done = engine.run(image, ["sh", "-c", look], "--network=none")
    assert done.stdout.split() == ["10001", "1", "10001", "plinth"] and "Read-only file system" in done.stderr


def test_a_build_is_skipped_where_maven_central_is_away_and_fails_where_it_has_no_such_jar() -> None:
    missing = "unresolved dependency: io.delta#delta-spark_4.2_2.13;9.9.9: not found"
    assert engine.UNREACHED.search(f"Host maven.example.com not found. url=https://maven.example.com/a.pom\n{missing}")
    assert not engine.UNREACHED.search(missing)
