"""A Ray cluster of nodes that are processes of this machine, by the commands that a company would use."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.servers.ports import free_port
from tests.servers.process import _die_with_parent

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 90.0
_STARTED = "Ray runtime started."


class RayCluster:
    """A head and a worker, of one processor each."""

    def __init__(self) -> None:
        # Paths of sockets below it may have 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self.port, self.client_port = free_port(), free_port()
        self.head = self._start(
            *("--head", f"--port={self.port}", f"--ray-client-server-port={self.client_port}"),
            *("--include-dashboard=false", f"--temp-dir={self.folder}"),
        )
        self._wait(1)
        self.worker = self._start(f"--address={self.address}")
        self._wait(2)

    @property
    def address(self) -> str:
        """Of the head."""
        return f"127.0.0.1:{self.port}"

    @property
    def client_address(self) -> str:
        """Of the head for who is no node of the cluster, as the pod of a run is none."""
        return f"ray://127.0.0.1:{self.client_port}"

    def close(self) -> None:
        """Ends every process of it."""
        for node in (self.worker, self.head):
            # The nodes' own processes are of their groups; asked to end, they would take half a minute.
            with suppress(ProcessLookupError):
                os.killpg(node.pid, signal.SIGKILL)
            node.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=1", "--node-ip-address=127.0.0.1",
                   "--object-store-memory=100000000", "--disable-usage-stats", *options]  # fmt: skip
        with (self.folder / "nodes.log").open("ab") as log:
            return subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "RAY_USAGE_STATS_ENABLED": "0"},
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent,
                start_new_session=True,
            )

    def _wait(self, nodes: int) -> None:
        """Until so many nodes have said that they are of the cluster. To ask it takes a driver, a process that loads all of Ray."""
        limit = time.monotonic() + _START_SECONDS
        while time.monotonic() < limit and self.head.poll() is None:
            if self._log().count(_STARTED) >= nodes:
                return
            time.sleep(0.1)
        raise RuntimeError(f"Ray's node {nodes} did not start:\n{self._log()}")

    def _log(self) -> str:
        return (self.folder / "nodes.log").read_text(errors="replace")
