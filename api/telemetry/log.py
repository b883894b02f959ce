"""The log of the API: one line of JSON for each request and for each thing that happened, and nothing personal in any.

A line of a request holds its id, the route's template, status, duration and the key's id: no path, no query, no body, no address. A
line of an error holds its type and where it was raised, never its message, which may repeat a value.

Lines of requests are noted as tuples and written some milliseconds later together: each by itself would cost more than its answer, and
all of a quarter of a second at once would hold up the requests of ten milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import TextIO

from api.telemetry.counters import ROUTES, Counters

_FLUSH_SECONDS = 0.005
_LONGEST = 20_000
_MIDDLES = 5_000


class RequestLog:
    """Notes requests, and counts and writes them shortly afterwards; a server that is asked nothing is not woken."""

    def __init__(self, stream: TextIO, counters: Counters) -> None:
        self._stream = stream
        self._counters = counters
        self._noted: list[tuple[str, tuple[str, int, int, str], float]] = []
        self._lost = 0
        self._middles: dict[tuple[str, int, int, str], str] = {}

    def note(self, request_id: str, method: str, route: int, status: int, seconds: float, key: str) -> None:
        """Notes a request; `route` is its place in ROUTES, `key` the id of its key or ''."""
        noted = self._noted
        if not noted:
            asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)
        elif len(noted) >= _LONGEST:
            self._lost += 1
            self._counters.request(route, status, seconds)
            return
        noted.append((request_id, (method, route, status, key), seconds))

    def flush(self) -> None:
        """Counts and writes what was noted, all with the time of now."""
        noted, self._noted = self._noted, []
        lost, self._lost = self._lost, 0
        if not noted:
            return
        count, middle = self._counters.request, self._middle
        begin = f'{{"time":"{_time(time.time())}","level":"info","event":"request","request":"'
        lines = []
        for request_id, what, seconds in noted:
            count(what[1], what[2], seconds)
            lines.append(f"{begin}{request_id}{middle(what)}{seconds * 1000:.3f}}}\n")
        if lost:
            lines.append(
                f'{{"time":"{_time(time.time())}","level":"warning","event":"requests not logged","count":{lost}}}\n'
            )
        self._stream.write("".join(lines))
        self._stream.flush()

    def _middle(self, what: tuple[str, int, int, str]) -> str:
        """The part of a line that many requests have in common."""
        found = self._middles.get(what)
        if found is None:
            if len(self._middles) >= _MIDDLES:
                self._middles.clear()
            method, route, status, key = what
            found = self._middles[what] = (
                f'","method":"{method}","route":"{ROUTES[route]}","status":{status},"key":"{key}","ms":'
            )
        return found


class JsonLines(logging.Formatter):
    """Log records as JSON. Of an exception only the type and the places are said."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, object] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "event": record.getMessage().strip(),
        }
        said.update(getattr(record, "facts", {}))
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            said["error"] = f"{type(error).__module__}.{type(error).__qualname__}"
            said["at"] = [
                f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(error.__traceback__)[-8:]
            ]
        return json.dumps(said, ensure_ascii=False)


def logger() -> logging.Logger:
    """The API's own logger."""
    return logging.getLogger("plinth.api")


def configure_logging(stream: TextIO | None = None) -> None:
    """Sends this process's log to `stream` (the standard error by default) as lines of JSON."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("uvicorn", "uvicorn.error", "plinth.api"):
        each = logging.getLogger(name)
        each.handlers, each.propagate = [handler], False
        each.setLevel(logging.WARNING if name.startswith("uvicorn") else logging.INFO)
    # uvicorn's own line of a request repeats the path and the address.
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate, access.disabled = [], False, True


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
