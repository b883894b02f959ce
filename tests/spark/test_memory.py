"""What a step that runs Spark holds stays within its profile: Python with DuckDB, and the JVM, by what the kernel says of both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from plinth.engine import duckdb_bytes
from plinth.errors import ConfigurationError
from plinth.profile import OUTSIDE, Profile
from plinth.spark_memory import LEAST_LOCAL, OUTSIDE_HEAP, heap_of, heap_of_driver, heap_of_executor
from tests.spark.conftest import JARS_MISSING
from tests.spark.house import ROOT, platform_in

MIB, GIB = 2**20, 2**30
# A process of its own, as a JVM is as large as it ever was and the room's session has a larger profile. The definitions are what a step loads.
STEP = """
import json, sys
from pathlib import Path
import definitions
from plinth.engine import connect
from plinth.platform import load_platform
from plinth.resident import peak_bytes
from plinth.spark.session import open_session

folder = Path(sys.argv[1])
platform = load_platform(Path(sys.argv[2]) / "platform.yaml", folder / "platform.yaml")
profile = platform.declared("spark")
session = open_session(platform, profile)
made = f"{folder}/made"
session.range(2_000_000).selectExpr("id", "id % 100000 AS who", "CAST(rand(1) * 1000 AS DECIMAL(18, 2)) AS amount", "uuid() AS text").write.parquet(made)
session.read.parquet(made).createOrReplaceTempView("made")
for name, sql in {
    "grouped": "SELECT who, sum(amount) AS amount, count(DISTINCT text) AS texts FROM made GROUP BY who",
    "ordered": "SELECT *, row_number() OVER (PARTITION BY who ORDER BY amount) AS place FROM made",
}.items():
    session.sql(sql).write.format("delta").save(f"{folder}/{name}")
con = connect(profile, scratch=folder / "spilled")
con.execute(f"SELECT count(DISTINCT text) FROM read_parquet('{made}/*.parquet')").fetchall()
java = Path(f"/proc/{session.sparkContext._gateway.proc.pid}/status")
# spark-submit is a shell that has become Java.
peak = next(int(line.split()[1]) * 1024 for line in java.read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps({"python": peak_bytes(), "java": peak, "rows": session.read.format("delta").load(f"{folder}/ordered").count()}))
session.stop()
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_step_of_little_more_than_the_least_profile_keeps_within_it(spark_ready: None, tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("what a process held at most is read from Linux's /proc")
    memory = LEAST_LOCAL + 32 * MIB
    platform_in(tmp_path, memory=f"{memory}B")
    done = subprocess.run(
        [sys.executable, "-c", STEP, str(tmp_path), str(ROOT)], cwd=ROOT, capture_output=True, text=True, timeout=500, check=False
    )  # fmt: skip
    if "unresolved dependency" in done.stderr or "JAVA_GATEWAY" in done.stderr:
        pytest.skip(JARS_MISSING)
    assert done.returncode == 0, done.stderr[-3000:]
    held = json.loads(done.stdout.splitlines()[-1])
    assert held["rows"] == 2_000_000
    assert held["java"] > 2 * 240 * MIB, "the process that was looked at is not the JVM"
    assert held["python"] + held["java"] <= memory, {name: size // MIB for name, size in held.items()}


@pytest.mark.parametrize("size", [LEAST_LOCAL, 2 * GIB, 3 * GIB, 8 * GIB, 64 * GIB])
def test_the_shares_fit_into_the_profile(size: int) -> None:
    profile = Profile(cpu=4, memory=size, engine="spark")
    # What was measured: an eighth of the heap and a quarter of DuckDB's limit beyond these.
    assert OUTSIDE + OUTSIDE_HEAP + heap_of(profile) * 9 // 8 + duckdb_bytes(profile) * 5 // 4 <= size
    assert OUTSIDE + OUTSIDE_HEAP + heap_of_driver(profile) * 9 // 8 + duckdb_bytes(profile) * 5 // 4 <= size
    executor = heap_of_executor(profile)
    assert executor + max(384 * MIB, executor // 10) <= size, "Spark's own rule for the pod of an executor"


@pytest.mark.parametrize(
    ("spark", "memory", "said"),
    [
        ("", "1GiB", "at least 1632MiB is expected with engine spark and the master local"),
        ("spark: {master: 'spark://host:7077'}\n", "800MiB", "at least 864MiB"),
    ],
)
def test_a_profile_without_room_for_spark_is_refused_when_the_platform_loads(
    tmp_path: Path, spark: str, memory: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        platform_in(tmp_path, spark=spark, memory=memory)
    platform_in(tmp_path, spark="spark: {remote: 'sc://host:15002'}\n", memory=memory)  # the server has its own
