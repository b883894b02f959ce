"""Steps as processes of the run's own pod, for those that are too small for a pod of their own.

What belongs here: starting, watching and ending them. What does not: which steps they are, and pods (`jobs.pods`).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from plinth.errors import OutOfMemory, PlinthError, PodFailed

_KILLED = -9


class RunProcesses:
    """Processes of one run, at most so many at a time; the others wait in the order in which they came."""

    def __init__(self, at_once: int) -> None:
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="step")
        self._ends: dict[str, Future[int]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = Lock()
        self._ending = False

    def start(self, step: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Has a step's command run, with this process's environment and some variables more."""
        self._ends[step] = self._pool.submit(self._run, step, command, {**os.environ, **environment})

    def _run(self, step: str, command: Sequence[str], environment: Mapping[str, str]) -> int:
        with self._lock:
            if self._ending:
                return 0
            process = self._running[step] = subprocess.Popen(command, env=environment)
        return process.wait()

    def has(self, step: str) -> bool:
        """Whether the newest attempt at a step is one of these processes."""
        return step in self._ends

    def forget(self, step: str) -> None:
        """A step's next attempt is elsewhere."""
        self._ends.pop(step, None)

    def end_of(self, step: str) -> PlinthError | None:
        """Why a step's process has ended; None while it runs, or waits for its turn."""
        end = self._ends[step]
        if not end.done():
            return None
        code = end.result()
        if code == _KILLED:
            # Where a container has used up its memory, the kernel kills one of its processes; nobody else sends this signal here.
            return OutOfMemory(
                "the step's process was killed, most likely for want of memory",
                expected="to fit beside the run in its pod",
                found=f"signal {-code}",
                where=f"process of {step} in the run's pod",
            )
        return PodFailed(
            "the step's process ended without a word of its work",
            found=f"exit code {code}",
            where=f"process of {step} in the run's pod",
            remedy="look at the log of the run's pod",
        )

    def end(self, step: str) -> None:
        """Asks a step's process to end, and lets none start that waits."""
        with self._lock:
            self._ending = True
            process = self._running.get(step)
        if process is not None and process.poll() is None:
            process.terminate()
