"""The fast lane in ASGI: a GET by key whose answer lies ready goes out from here, and never sees FastAPI.

What belongs here: an answer that was found ready as ASGI messages. Most requests on uvicorn do not come so far, since `api.http.direct` writes
theirs; here come those that it leaves (of clients that close their connections, while the store is away or the worker drains, under
traces) and those of other servers. What may be answered so is decided in `api.http.hot`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from api.http.direct import DirectAnswers
from api.http.hot import HotAnswers, RequestNumbers, matches, without_body
from api.telemetry.counters import ROUTES
from api.worker import Worker

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_TWICE = b""


class FastLane:
    """The ASGI application that stands before the others.

    Attributes:
        direct: the same answers as bytes, for a protocol that asks before it makes a scope.
    """

    def __init__(self, app: App, worker: Worker, numbers: RequestNumbers) -> None:
        self._app = app
        self._worker = worker
        self._numbers = numbers
        self._hot = HotAnswers(worker)
        self.direct = DirectAnswers(self._hot, worker, numbers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"]:
            return await self._app(scope, receive, send)
        started = time.perf_counter()
        authorization = matching = None
        for header, value in scope["headers"]:
            if header == b"authorization":
                authorization = value if authorization is None else _TWICE
            elif header == b"if-none-match" and matching is None:
                matching = value
        found = self._hot.find(scope["raw_path"], authorization)
        if found is None:
            return await self._app(scope, receive, send)
        (hot, key), worker, request = found, self._worker, self._numbers.next()
        route, ready = hot.lane.route, hot.ready
        scope["plinth.route"], scope["plinth.key"] = ROUTES[route], key.id
        status, head, body = 200, ready.headers, ready.body
        if matching is not None and matches(matching, ready.etag):
            status, head, body = 304, without_body(head), b""
        head = [*head, (b"x-request-id", request.encode()), *worker.trailing]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})
        if worker.stale_since is not None:
            worker.counters.add("stale_answers")
        worker.log.note(request, "GET", route, status, time.perf_counter() - started, key.id)
