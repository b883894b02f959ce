"""The end without a failed request: a worker that is told to end says so first, and goes on answering for a while.

From SIGTERM on readiness says no, so that a balancer sends nobody new, and every answer carries `Connection: close`, so that clients
which keep connections open leave by themselves. Only then does uvicorn stop to listen, and finish what is under way.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType


def drain_on_terminate(begin: Callable[[], None], seconds: float) -> None:
    """Puts the drain before what SIGTERM and SIGINT do now. Called in the worker's main thread, within its running loop.

    Args:
        begin: called once, in the loop, when the first signal comes.
        seconds: from then until uvicorn ends. A second signal ends at once.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        _put_before(number, loop, begin, seconds)


def _put_before(
    number: signal.Signals, loop: asyncio.AbstractEventLoop, begin: Callable[[], None], seconds: float
) -> None:
    after = signal.getsignal(number)
    if not callable(after):
        return
    begun = False

    def end() -> None:
        after(number, None)

    def first() -> None:
        begin()
        loop.call_later(seconds, end)

    def handle(_: int, __: FrameType | None) -> None:
        nonlocal begun
        again, begun = begun, True
        loop.call_soon_threadsafe(end if again else first)

    signal.signal(number, handle)
