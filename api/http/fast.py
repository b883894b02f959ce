"""The fast lane: a GET by key whose answer lies ready goes out from here, and never sees FastAPI.

It takes only what it can answer in full: a valid key with the scope and a request left, no query, and an answer in memory. Everything
else, every error too, is left untouched to the application behind it, whose routes are the whole truth and the OpenAPI document; the
suite holds both to the same answers.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from api.served.shelf import Ready
from api.telemetry.counters import ROUTES
from api.worker import Worker

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Lane:
    """One route of the fast lane: the kind of document, the scope that it needs, its place in ROUTES."""

    kind: str
    scope: str
    route: int


def _lane(kind: str, scope: str, route: str) -> Lane:
    return Lane(kind, scope, ROUTES.index(route))


_BY_ENDS = {
    ("customers", "recommendations"): _lane(
        "recommendations", "recommendations:read", "/v1/customers/{id}/recommendations"
    ),
    ("customers", "promotions"): _lane("promotions", "promotions:read", "/v1/customers/{id}/promotions"),
    ("customers", "features"): _lane("features", "features:read", "/v1/customers/{id}/features"),
    ("items", "similar"): _lane("similar", "recommendations:read", "/v1/items/{id}/similar"),
}
_TABLES = _lane("table", "catalogue:read", "/v1/tables/{layer}/{name}")


class RequestNumbers:
    """Ids of requests: a random beginning for each process, and a number."""

    def __init__(self) -> None:
        import secrets

        self._begin = secrets.token_hex(5)
        self._number = 0

    def next(self) -> str:
        """The next id."""
        self._number += 1
        return f"{self._begin}-{self._number:x}"


class FastLane:
    """The ASGI application that stands before the others."""

    def __init__(self, app: App, worker: Worker, numbers: RequestNumbers) -> None:
        self._app = app
        self._worker = worker
        self._numbers = numbers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"]:
            return await self._app(scope, receive, send)
        started = time.perf_counter()
        parts = scope["path"].split("/")
        if len(parts) != 5 or parts[1] != "v1" or b"%" in scope["raw_path"]:
            return await self._app(scope, receive, send)
        lane, name = _BY_ENDS.get((parts[2], parts[4])), parts[3]
        if lane is None and parts[2] == "tables":
            lane, name = _TABLES, f"{parts[3]}/{parts[4]}"
        authorization = matching = None
        for header, value in scope["headers"]:
            if header == b"authorization":
                authorization = value if authorization is None else b""
            elif header == b"if-none-match":
                matching = value
        ready = self._ready(lane, name) if lane is not None else None
        key = self._worker.ring.find(authorization)
        if ready is None or lane is None or key is None or lane.scope not in key.scopes or not key.take():
            return await self._app(scope, receive, send)
        request = self._numbers.next()
        scope["plinth.route"], scope["plinth.key"] = ROUTES[lane.route], key.id
        status, head, body = 200, ready.headers, ready.body
        if matching is not None and matches(matching, ready.etag):
            status, head, body = 304, _without_body(head), b""
        head = [*head, (b"x-request-id", request.encode()), *self._worker.trailing]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})
        seconds = time.perf_counter() - started
        self._worker.counters.request(lane.route, status, seconds)
        self._worker.log.note(request, "GET", lane.route, status, seconds, key.id)

    def _ready(self, lane: Lane, name: str) -> Ready | None:
        worker = self._worker
        if worker.shelf is None:
            return None
        if lane.kind == "recommendations" and name in worker.live.customers:
            # None where the list has to be made first: the route does that.
            return worker.live.lists.get(name)
        return worker.shelf.answer(lane.kind, name)


def _without_body(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [each for each in headers if each[0] not in (b"content-length", b"content-type")]


def matches(if_none_match: bytes, etag: bytes) -> bool:
    """Whether an If-None-Match header names this ETag; the comparison is the weak one, as RFC 9110 says."""
    if if_none_match == etag:
        return True
    named = [each.strip().removeprefix(b"W/") for each in if_none_match.split(b",")]
    return etag in named or named == [b"*"]
