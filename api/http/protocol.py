"""uvicorn's HTTP/1.1 protocol with two limits that it lacks, how large the head of a request may be and how long it may take to come; and
with a way out for what lies ready.

Without the limits a client that sends a header without end fills the memory, and one that sends a byte a minute holds a connection for ever.
What belongs here: one connection. What does not: which answers lie ready (`api.http.direct`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.fast import FastLane
from api.http.problems import HEADERS_TOO_LARGE, MALFORMED, TIMED_OUT, Kind, Problem, answer

HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 10.0
LINGER_SECONDS = 0.25


class GuardedProtocol(HttpToolsProtocol):
    """One connection. A request that comes in one piece costs two comparisons: the timer runs only while a head is incomplete.

    A plain GET whose answer lies ready is answered when its head is complete, unless one before it is still being answered. Then neither the
    scope nor the task that uvicorn makes for a request comes to be; for every other request uvicorn is told of the head as if it had
    just begun.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_open = True
        self._answered = False
        # None where something stands before the fast lane that has to see every request, as traces do.
        self._direct = self.app.direct if isinstance(self.app, FastLane) else None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._overdue)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_open:
            self._wait_for_head(len(data))
        elif self._head_timer is not None:
            self._stop_timer()

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._head_open = True

    def on_headers_complete(self) -> None:
        self._head_open = False
        self._answered = self._answer()
        if not self._answered:
            url, headers, expects = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.headers, self.expect_100_continue = url, headers, expects
            self.scope["headers"] = headers
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._answered:
            super().on_message_complete()

    def _answer(self) -> bool:
        """Writes the answer where it lies ready and it is this request's turn."""
        direct, parser = self._direct, self.parser
        if (
            direct is None
            or parser.get_method() != b"GET"
            or not parser.should_keep_alive()
            or parser.get_http_version() != "1.1"
            or (self.cycle is not None and not self.cycle.response_complete)
            or self.flow.write_paused
            or self.transport.is_closing()
        ):
            return False
        said = direct.answer(self.url, self.headers, self.server_state.default_headers)
        if said is None:
            return False
        self.transport.write(said)
        self.on_response_complete()
        return True

    def _wait_for_head(self, more: int) -> None:
        self._head_bytes += more
        if self._head_bytes > HEAD_BYTES:
            self._refuse(HEADERS_TOO_LARGE)
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._overdue)

    def shutdown(self) -> None:
        """Ends a connection that is idle, but only after a request that is under way to us would have come: closing at once would lose it."""
        if self.cycle is not None and not self.cycle.response_complete:
            super().shutdown()
            return
        self.loop.call_later(LINGER_SECONDS, super().shutdown)

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed as HTTP gets a problem like everything else."""
        self._refuse(MALFORMED, "This is no HTTP/1.1 request.")

    def _overdue(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._refuse(TIMED_OUT, f"The head did not arrive within {HEAD_SECONDS:g} s.")
        elif not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, kind: Kind, detail: str | None = None) -> None:
        self._stop_timer()
        if self.transport.is_closing():
            return
        said = answer(Problem(kind, detail), "none")
        head = b"".join(name + b": " + value + b"\r\n" for name, value in said.headers)
        self.transport.write(
            b"HTTP/1.1 %d %s\r\n%sconnection: close\r\n\r\n%s" % (said.status, kind.title.encode(), head, said.body)
        )
        self.transport.close()
