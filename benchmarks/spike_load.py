"""Traffic that grows tenfold, sent at its own pace whether answers come or not; one process, run by `benchmarks.spike`.

`python -m benchmarks.spike_load <port> <key> <customers> <from> <to> <steady> <ramp> <connections>`: requests a second, and seconds. Prints one line of JSON.
Each request has a moment at which it is due, and its latency counts from then: a server that stalls is not asked less for it. Every connection stays
open; one whose answer is late makes its next requests late, which counts against the server. Only 127.0.0.1 is asked, and it ends by itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator

import numpy as np

_LONGEST_SECONDS = 300.0
_MOST_REQUESTS = 600_000
_ANSWER_SECONDS = 10.0


def moments(start: float, end: float, steady: float, ramp: float) -> Iterator[float]:
    """When each request is due: `steady` seconds at `start` requests a second, `ramp` seconds growing to `end`, `steady` seconds at that."""
    at, sent = 0.0, 0
    while at < min(2 * steady + ramp, _LONGEST_SECONDS) and sent < _MOST_REQUESTS:
        yield at
        grown = min(max((at - steady) / ramp, 0.0), 1.0)
        at, sent = at + 1.0 / (start + (end - start) * grown), sent + 1


class Connection:
    """One connection that stays open, asked one request after the other."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> int:
        """Sends a request; gives the status of its answer."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        assert self._reader is not None
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if length:
            await self._reader.readexactly(length)
        if b"connection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        """Closes it; the next request opens another."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def load(port: int, key: str, customers: int, due: list[float], connections: int) -> tuple[list[float], int]:
    """Sends every request when it is due; gives the latencies in seconds and the number of errors."""
    latencies, errors = [0.0] * len(due), 0
    turn = iter(range(len(due)))
    began = time.perf_counter() + 0.2

    async def worker() -> None:
        nonlocal errors
        connection = Connection(port)
        for number in turn:
            wait = began + due[number] - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            path = f"/v1/customers/{number * 7919 % customers}/recommendations"
            request = f"GET {path} HTTP/1.1\r\nHost: spike\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
            try:
                status = await asyncio.wait_for(connection.ask(request), _ANSWER_SECONDS)
                errors += status != 200
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
                errors += 1
                connection.close()
            latencies[number] = time.perf_counter() - began - due[number]
        connection.close()

    await asyncio.gather(*(worker() for _ in range(connections)))
    return latencies, errors


def main() -> int:
    port, key, customers = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    start, end, steady, ramp = (float(each) for each in sys.argv[4:8])
    due = list(moments(start, end, steady, ramp))
    latencies, errors = asyncio.run(load(port, key, customers, due, int(sys.argv[8])))
    waited = np.array(latencies) * 1000
    first, last = [at < steady for at in due], [at >= steady + ramp for at in due]
    said = {"requests": len(due), "errors": errors, "p50_ms": float(np.percentile(waited, 50))}
    said |= {"p99_ms": float(np.percentile(waited, 99)), "before_p99_ms": float(np.percentile(waited[first], 99))}
    said |= {"after_p99_ms": float(np.percentile(waited[last], 99))}
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
