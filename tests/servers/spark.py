"""A standalone Spark cluster and a Spark Connect server as processes, bound to loopback, from the jars of the installed pyspark."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from tests.servers.ports import free_port

_READY_SECONDS = 120


def spark_home() -> Path:
    """The folder of the installed pyspark, which is a whole Spark."""
    spec = find_spec("pyspark")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


class SparkProcess:
    """One process of Spark in a group of its own, with its output in a file."""

    def __init__(self, folder: Path, name: str, arguments: list[str], memory: str = "256m") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.log = folder, folder / f"{name}.log"
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("SPARK_", "PYSPARK_"))},
            "SPARK_HOME": str(spark_home()),
            # Everything that a process opens, its page too, is bound to this address.
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(folder / "local"),
            "SPARK_WORKER_DIR": str(folder / "work"),
            "SPARK_DAEMON_MEMORY": memory,
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [str(spark_home() / "bin" / arguments[0]), *arguments[1:]],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, pattern: str) -> str:
        """Waits until a line of the output matches; gives the match."""
        until = time.monotonic() + _READY_SECONDS
        while time.monotonic() < until:
            found = re.search(pattern, self.log.read_text())
            if found:
                return found.group(0)
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.2)
        raise AssertionError(f"{pattern!r} did not come:\n{self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """SIGKILL to the process and all that it has started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class SparkCluster:
    """A master and workers of one core each."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        port = free_port()
        self.url = f"spark://127.0.0.1:{port}"
        start = ["spark-class", "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port)]
        self.master = SparkProcess(folder / "master", "master", [*start, "--webui-port", "0"])
        self.master.wait_for("I have been elected leader")
        self.workers = [self._worker(folder / f"worker{number}") for number in range(workers)]
        for worker in self.workers:
            worker.wait_for("Successfully registered with master")

    def _worker(self, folder: Path) -> SparkProcess:
        start = ["spark-class", "org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--webui-port", "0"]
        return SparkProcess(folder, "worker", [*start, "--cores", "1", "--memory", "1g", self.url])

    def close(self) -> None:
        for process in (*self.workers, self.master):
            process.kill()


class ConnectServer:
    """A Spark Connect server with the reference Delta."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        port = free_port()
        self.url = f"sc://127.0.0.1:{port}"
        # It says that it is ready in a line of its log, which is one of information.
        own = {
            "spark.log.level": "INFO",
            "spark.connect.grpc.binding.port": str(port),
            "spark.connect.grpc.binding.address": "127.0.0.1",
        }
        options = [part for key, value in {**settings, **own}.items() for part in ("--conf", f"{key}={value}")]
        start = ["spark-submit", "--class", "org.apache.spark.sql.connect.service.SparkConnectServer", *options]
        self.process = SparkProcess(folder, "connect", [*start, "spark-internal"], memory="1g")
        self.process.wait_for("Spark Connect server started at")

    def close(self) -> None:
        self.process.kill()
