"""What stands around FastAPI: request ids, limits of bodies, a time-out, and what counters and the log get of each request.

What belongs here: what holds for every route alike. What does not: keys and scopes (the routes ask for them), and the limits of the
connection itself (`api.http.protocol`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

from api.http.admit import admit
from api.http.body import ClientGone, read_body
from api.http.fast import App, Receive, Scope, Send
from api.http.hot import RequestNumbers
from api.http.problems import BUSY, NOT_FOUND, Problem, answer
from api.telemetry.counters import ROUTES
from api.worker import Worker

_PLACE = {route: place for place, route in enumerate(ROUTES)}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})


class Guard:
    """The ASGI application around FastAPI."""

    def __init__(self, app: App, worker: Worker, numbers: RequestNumbers, bodies: Mapping[str, str]) -> None:
        """`bodies`: the paths whose requests have a body, each with the scope that it needs."""
        self._app = app
        self._bodies = bodies
        self._worker = worker
        self._numbers = numbers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        exchange = _Exchange(self._numbers.next(), send, self._worker)
        scope["state"] = {**scope.get("state", {}), "request_id": exchange.request}
        exchange.bare = scope["method"] == "HEAD"
        # To HEAD goes what GET would answer, without the body. The server looks into its own scope to see that none is to come.
        asked = {**scope, "method": "GET"} if exchange.bare else scope
        try:
            await self._answer(asked, receive, exchange)
        finally:
            scope["plinth.route"], scope["plinth.key"] = _route_of(asked), asked.get("plinth.key", "")
            exchange.finish(scope)

    async def _answer(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        settings = self._worker.settings
        try:
            if b"%2f" in scope["raw_path"].lower():
                # One path has one spelling: what stands before us may read a hidden slash in another way than we do.
                raise Problem(NOT_FOUND, "There is no such path.")
            needed = self._bodies.get(scope["path"]) if scope["method"] == "POST" else None
            if needed is not None:
                scope["plinth.template"] = scope["path"]
                # First who asks: of others no byte of a body is read, and nothing in it is said to be wrong.
                admit(scope, self._worker, (needed,))
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
        self.bare = False
        self._send = send
        self._worker = worker
        self._started = time.perf_counter()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            request = [(b"x-request-id", self.request.encode())]
            message = {**message, "headers": [*message.get("headers", []), *request, *self._worker.trailing]}
        elif self.bare:
            message = {**message, "body": b""}
        await self._send(message)

    async def send_problem(self, problem: Problem) -> None:
        if self.status:
            return
        said = answer(problem, self.request)
        await self.send({"type": "http.response.start", "status": said.status, "headers": said.headers})
        await self.send({"type": "http.response.body", "body": said.body})

    def finish(self, scope: Scope) -> None:
        seconds = time.perf_counter() - self._started
        route, key = _PLACE[scope["plinth.route"]], scope["plinth.key"]
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._worker.log.note(self.request, method, route, self.status, seconds, key)


def _route_of(scope: Scope) -> str:
    template = scope.get("plinth.template") or getattr(scope.get("route"), "path", "other")
    return template if template in _PLACE else "other"


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
