"""Processes that can be killed: forked from one that has imported all they need, so that each starts within milliseconds."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.plinth.online.worlds", "tests.plinth.online.appending"])


def start(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """Runs a function of a module in a process of its own."""
    process = _context.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def kill_after(process: BaseProcess, told: Path, seconds: float) -> list[str]:
    """Kills a process some time after it first wrote to a file; gives the lines that it had written whole."""
    limit = time.monotonic() + 60
    while not (told.exists() and told.stat().st_size):
        assert process.is_alive() and time.monotonic() < limit
        time.sleep(0.002)
    time.sleep(seconds)
    process.kill()
    process.join()
    # A line that was cut off was never told.
    return told.read_text(encoding="utf-8").split("\n")[:-1]
