"""Wall time, CPU time and peak memory of commands, run in turn so that a noisy machine is unfair to nobody.

Each run is a process of its own: its CPU seconds and peak memory are the kernel's figures for it and what it waited for.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One run of a command: seconds by the clock, CPU seconds of the process and its children, peak resident memory in MB."""

    wall: float
    cpu: float
    peak_mb: float


class CommandFailedError(RuntimeError):
    """A measured command ended with an error; the message holds the end of what it printed."""


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None, quiet: bool = True) -> Run:
    """Runs a command and measures it.

    Raises:
        CommandFailedError: it ended with a code other than 0.
    """
    log = subprocess.PIPE if quiet else None
    started = time.monotonic()
    process = subprocess.Popen(command, env=_environment(env), stdout=subprocess.DEVNULL, stderr=log)
    tail: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(process.stderr, tail))
    reader.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    reader.join()
    if process.returncode != 0:
        raise CommandFailedError(
            f"{' '.join(command[:4])} … ended with {process.returncode}: {b''.join(tail)[-2000:].decode(errors='replace')}"
        )
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    """Where Python may not keep compiled modules (PYTHONDONTWRITEBYTECODE), each start would compile ours again, 0.04 CPU seconds of them, and
    find those of installed peers compiled."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | dict(more or {})


def _drain(stream: object, tail: list[bytes]) -> None:
    if stream is None:
        return
    for line in stream:  # type: ignore[attr-defined]
        tail.append(line)
        del tail[:-50]


def in_turn(contenders: Mapping[str, Callable[[], Run]], *, rounds: int) -> dict[str, Run]:
    """Runs every contender once a round (A B A B …) and gives each one's medians."""
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, contender in contenders.items():
            print(f"  round {number + 1}/{rounds}: {name} …", end="", file=sys.stderr, flush=True)
            measured = contender()
            runs[name].append(measured)
            print(f" {measured.wall:.1f} s, {measured.cpu:.1f} CPU s, {measured.peak_mb:.0f} MB", file=sys.stderr)
    return {name: median(each) for name, each in runs.items()}


def median(runs: Sequence[Run]) -> Run:
    """The median of each figure."""
    return Run(*(statistics.median(getattr(each, figure) for each in runs) for figure in ("wall", "cpu", "peak_mb")))


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this repository."""
    return [sys.executable, "-m", module, *arguments]


ROOT = Path(__file__).resolve().parent.parent
