"""A balancer as a cluster's service is one: new connections go to backends that say that they are ready, open ones stay where they are."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable

_LOOK_SECONDS = 0.05


class Balancer:
    """A TCP proxy on a port of its own, in a thread of its own; `backends` are ports of this machine and may change at any time."""

    def __init__(self, backends: Iterable[int]) -> None:
        self.backends = list(backends)
        self.ready: set[int] = set()
        self.served: dict[int, int] = {}
        self.port = 0
        self._turn = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(10)

    def close(self) -> None:
        """Ends the proxy with all its connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._loop.run_forever()
        ending = asyncio.all_tasks(self._loop)
        for task in ending:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*ending, return_exceptions=True))
        self._loop.close()

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._looking = asyncio.create_task(self._look())
        self._started.set()

    async def _look(self) -> None:
        while True:
            for port in list(self.backends):
                (self.ready.add if await _is_ready(port) else self.ready.discard)(port)
            self.ready &= set(self.backends)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = sorted(self.ready)
        if not ready:
            writer.close()
            return
        self._turn += 1
        port = ready[self._turn % len(ready)]
        self.served[port] = self.served.get(port, 0) + 1
        try:
            there, back = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, back), _pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    writer.close()


async def _is_ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 1)
        writer.write(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = await asyncio.wait_for(reader.read(64), 1)
        writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in said
