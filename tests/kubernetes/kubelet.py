"""Runs the commands of pods as processes of this machine, within the memory that their containers may have.

The memory of a process and its children is looked at ten times a second; what takes more than its limit is killed, as the kernel does in a container.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil


@dataclass
class End:
    """How a container ended: its exit code as Kubernetes counts it (128 and the signal), and whether memory was why."""

    code: int
    out_of_memory: bool


@dataclass
class _Process:
    popen: subprocess.Popen[bytes]
    log: Path
    limit: float | None
    out_of_memory: bool = False
    kill_at: float | None = None
    peak: int = 0


class Kubelet:
    """The processes, by the unique id of their pod; `folder` is their working directory, as an image would have one."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.processes: dict[str, _Process] = {}
        self._names: dict[str, str] = {}
        self._stopping = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def start(self, pod: dict[str, Any], environment: dict[str, str]) -> None:
        """Starts the first container of a pod."""
        from tests.kubernetes.cluster import quantity

        container, meta = pod["spec"]["containers"][0], pod["metadata"]
        limits = (container.get("resources") or {}).get("limits") or {}
        log = self.folder / "logs" / f"{meta['name']}.log"
        log.parent.mkdir(exist_ok=True)
        command = [*(container.get("command") or []), *(container.get("args") or [])]
        with log.open("wb") as output:
            popen = subprocess.Popen(
                command, cwd=self.folder, env={**self.environment, **environment, "HOSTNAME": meta["name"]},
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._names[meta["name"]] = meta["uid"]
        self.processes[meta["uid"]] = _Process(popen, log, quantity(limits["memory"]) if "memory" in limits else None)

    def log_of(self, name: str) -> str:
        """What a pod has printed."""
        return self.processes[self._names[name]].log.read_text(errors="replace") if name in self._names else ""

    def end_of(self, uid: str) -> End | None:
        """How a pod's process ended; None while it runs, or where there is none."""
        process = self.processes.get(uid)
        code = process.popen.poll() if process is not None else None
        if process is None or code is None:
            return None
        return End(code if code >= 0 else 128 - code, process.out_of_memory)

    def terminate(self, uid: str, grace: float) -> None:
        """Asks a pod's process to end, and kills what is left of it after the grace period."""
        process = self.processes.get(uid)
        if process is not None and process.popen.poll() is None:
            process.popen.send_signal(signal.SIGTERM)
            process.kill_at = time.monotonic() + grace

    def kill(self, uid: str) -> None:
        """Kills a pod's process and its children."""
        process = self.processes.get(uid)
        if process is not None and process.popen.poll() is None:
            os.killpg(process.popen.pid, signal.SIGKILL)

    def end_all(self) -> None:
        """Kills all processes that this kubelet has started."""
        self._stopping.set()
        for uid in list(self.processes):
            self.kill(uid)
            self.processes[uid].popen.wait()

    def _watch(self) -> None:
        while not self._stopping.wait(0.1):
            for uid, process in list(self.processes.items()):
                if process.popen.poll() is not None:
                    continue
                if process.kill_at is not None and time.monotonic() > process.kill_at:
                    self.kill(uid)
                used = _memory(process.popen.pid)
                process.peak = max(process.peak, used)
                if process.limit is not None and used > process.limit:
                    process.out_of_memory = True
                    self.kill(uid)


def _memory(pid: int) -> int:
    """Bytes of a process and its children that are theirs alone; shared libraries count for nobody."""
    try:
        head = psutil.Process(pid)
        return sum(
            max(0, info.rss - info.shared)
            for info in (each.memory_info() for each in [head, *head.children(recursive=True)])
        )
    except psutil.Error:
        return 0
