"""What stands around FastAPI: request ids, limits of bodies, a time-out, and what counters and the log get of each request.

What belongs here: what holds for every route alike. What does not: keys and scopes (the routes ask for them), and the limits of the
connection itself (`api.http.protocol`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any

from api.http.body import ClientGone, read_body
from api.http.fast import App, Receive, Scope, Send
from api.http.hot import RequestNumbers
from api.http.problems import BUSY, NOT_FOUND, Problem, answer
from api.telemetry.counters import ROUTES
from api.worker import Worker

_PLACE = {route: place for place, route in enumerate(ROUTES)}
_OTHER = _PLACE["other"]
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})


class Guard:
    """The ASGI application around FastAPI."""

    def __init__(self, app: App, worker: Worker, numbers: RequestNumbers) -> None:
        self._app = app
        self._worker = worker
        self._numbers = numbers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        exchange = _Exchange(self._numbers.next(), send, self._worker)
        scope["state"] = {**scope.get("state", {}), "request_id": exchange.request}
        try:
            await self._answer(scope, receive, exchange)
        finally:
            exchange.finish(scope)

    async def _answer(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        settings = self._worker.settings
        try:
            if b"%2f" in scope["raw_path"].lower():
                # One path has one spelling: what stands before us may read a hidden slash in another way than we do.
                raise Problem(NOT_FOUND, "There is no such path.")
            if scope["method"] in ("POST", "PUT", "PATCH"):
                receive = _replay(await read_body(scope["headers"], receive, settings))
            async with asyncio.timeout(settings.request_seconds + 1):
                await self._app(scope, receive, exchange.send)
        except Problem as problem:
            await exchange.send_problem(problem)
        except TimeoutError:
            await exchange.send_problem(Problem(BUSY, "The answer took too long.", headers={"Retry-After": "1"}))
        except ClientGone:
            exchange.status = 400


class _Exchange:
    """One request and its answer."""

    def __init__(self, request: str, send: Send, worker: Worker) -> None:
        self.request = request
        self.status = 0
        self._send = send
        self._worker = worker
        self._started = time.perf_counter()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            request = [(b"x-request-id", self.request.encode())]
            message = {**message, "headers": [*message.get("headers", []), *request, *self._worker.trailing]}
        await self._send(message)

    async def send_problem(self, problem: Problem) -> None:
        if self.status:
            return
        said = answer(problem, self.request)
        await self.send({"type": "http.response.start", "status": said.status, "headers": said.headers})
        await self.send({"type": "http.response.body", "body": said.body})

    def finish(self, scope: Scope) -> None:
        seconds = time.perf_counter() - self._started
        route = _PLACE.get(getattr(scope.get("route"), "path", "other"), _OTHER)
        scope["plinth.route"] = ROUTES[route]
        key = scope.get("plinth.key", "")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._worker.log.note(self.request, method, route, self.status, seconds, key)


def _replay(body: bytes) -> Receive:
    sent = False

    async def receive() -> MutableMapping[str, Any]:
        nonlocal sent
        if sent:
            # The body was read whole; what comes next is that the client goes, which no route waits for.
            await asyncio.get_running_loop().create_future()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
