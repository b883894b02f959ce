"""Dagster's daemon as `dagster-daemon run` starts it, with a clock at each tick; one process, run by `benchmarks.queue`.

`python -m benchmarks.queue_daemon <location.py> <ticks.jsonl>`. Each tick of each of its daemons is a line: what it belongs to, when it began (seconds since
the epoch), and how long it took; the last line is of the process as a whole, with its CPU seconds. It ends by SIGTERM.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any, TextIO

import dagster as dg
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.controller import create_daemons_from_instance, daemon_controller_from_instance
from dagster._daemon.daemon import DagsterDaemon, SpanMarker

PROCESS = "PROCESS"
"""Stands in the last line where others name a daemon."""


def clocked(daemon: DagsterDaemon[Any], out: TextIO) -> DagsterDaemon[Any]:
    """The daemon, whose loop now writes down each tick: from the marker that Dagster puts at its start to that at its end."""
    loop = daemon.core_loop

    def core_loop(context: Any, shutdown: Event) -> Iterator[Any]:
        began, at = None, 0.0
        try:
            for said in loop(context, shutdown):
                if said is SpanMarker.START_SPAN:
                    began, at = time.perf_counter(), time.time()
                elif said is SpanMarker.END_SPAN and began is not None:
                    write(at, began)
                    began = None
                yield said
        finally:
            # The tick that the end cuts off may be the slowest of all.
            if began is not None:
                write(at, began)

    def write(at: float, began: float) -> None:
        line = {"daemon": daemon.daemon_type(), "at": at, "seconds": time.perf_counter() - began}
        out.write(json.dumps(line) + "\n")

    daemon.core_loop = core_loop  # type: ignore[method-assign]
    return daemon


def end(_: int, __: FrameType | None) -> None:
    """Ends as Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> int:
    location, ticks = Path(sys.argv[1]), Path(sys.argv[2])
    signal.signal(signal.SIGTERM, end)
    began = time.perf_counter()
    target = PythonFileTarget(str(location), attribute=None, working_directory=None, location_name="queue")
    with dg.DagsterInstance.get() as instance, ticks.open("w", buffering=1) as out:
        try:
            with daemon_controller_from_instance(
                instance,
                target,
                gen_daemons=lambda of: [clocked(each, out) for each in create_daemons_from_instance(of)],
            ) as controller:
                controller.check_daemon_loop()
        except KeyboardInterrupt:
            pass
        whole = {"daemon": PROCESS, "cpu_seconds": time.process_time(), "seconds": time.perf_counter() - began}
        out.write(json.dumps(whole) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
