"""The fast lane: a GET by key whose answer lies ready goes out from here, and never sees FastAPI.

It takes only what it can answer in full: a valid key with the scope and a request left, no query, and an answer in memory. Everything
else, every error too, is left untouched to the application behind it, whose routes are the whole truth and the OpenAPI document; the
suite holds both to the same answers.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from api.served.shelf import Ready, Shelf
from api.telemetry.counters import ROUTES
from api.worker import Worker

_MOST_HOT = 20_000

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


@dataclass(frozen=True, slots=True)
class Hot:
    """The answer that lies ready under a path, and what it takes to get it."""

    lane: Lane
    ready: Ready


class FastLane:
    """The ASGI application that stands before the others.

    It keeps the answers of the paths that were asked for last, made up with their headers: one look-up in a dictionary finds one. They
    are those of one shelf, and a customer's goes when an event changes the list.
    """

    def __init__(self, app: App, worker: Worker, numbers: RequestNumbers) -> None:
        self._app = app
        self._worker = worker
        self._numbers = numbers
        self._hot: OrderedDict[str, Hot] = OrderedDict()
        self._shelf: Shelf | None = None
        worker.live.changed = self._forget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"]:
            return await self._app(scope, receive, send)
        started = time.perf_counter()
        worker, path = self._worker, scope["path"]
        hot = self._hot.get(path)
        if hot is None or worker.shelf is not self._shelf:
            hot = self._find(path)
        authorization = matching = None
        for header, value in scope["headers"]:
            if header == b"authorization":
                authorization = value if authorization is None else b""
            elif header == b"if-none-match":
                matching = value
        key = worker.ring.find(authorization)
        if (
            hot is None
            or b"%" in scope["raw_path"]
            or key is None
            or hot.lane.scope not in key.scopes
            or not key.take()
        ):
            return await self._app(scope, receive, send)
        route, ready, request = hot.lane.route, hot.ready, self._numbers.next()
        scope["plinth.route"], scope["plinth.key"] = ROUTES[route], key.id
        status, head, body = 200, ready.headers, ready.body
        if matching is not None and matches(matching, ready.etag):
            status, head, body = 304, _without_body(head), b""
        head = [*head, (b"x-request-id", request.encode()), *worker.trailing]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})
        if worker.stale_since is not None:
            worker.counters.add("stale_answers")
        worker.log.note(request, "GET", route, status, time.perf_counter() - started, key.id)

    def _find(self, path: str) -> Hot | None:
        if self._worker.shelf is not self._shelf:
            self._shelf = self._worker.shelf
            self._hot.clear()
        parts = path.split("/")
        if len(parts) != 5 or parts[1] != "v1":
            return None
        lane, name = _BY_ENDS.get((parts[2], parts[4])), parts[3]
        if lane is None and parts[2] == "tables":
            lane, name = _TABLES, f"{parts[3]}/{parts[4]}"
        ready = None if lane is None else self._ready(lane.kind, name)
        if lane is None or ready is None:
            return None
        hot = Hot(lane, ready)
        # What is not held whole makes room for others on the shelf, and must not live on here.
        if self._shelf is not None and lane.kind in self._shelf.whole:
            if len(self._hot) >= _MOST_HOT:
                self._hot.popitem(last=False)
            self._hot[path] = hot
        return hot

    def _ready(self, kind: str, name: str) -> Ready | None:
        shelf, live = self._shelf, self._worker.live
        if shelf is None:
            return None
        if kind == "recommendations" and name in live.customers:
            # None where the list has to be made first: the route does that.
            return live.lists.get(name)
        body = shelf.get(kind, name)
        return None if body is None else shelf.wrap(body)

    def _forget(self, customer: str) -> None:
        self._hot.pop(f"/v1/customers/{customer}/recommendations", None)


def _without_body(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [each for each in headers if each[0] not in (b"content-length", b"content-type")]


def matches(if_none_match: bytes, etag: bytes) -> bool:
    """Whether an If-None-Match header names this ETag; the comparison is the weak one, as RFC 9110 says."""
    if if_none_match == etag:
        return True
    named = [each.strip().removeprefix(b"W/") for each in if_none_match.split(b",")]
    return etag in named or named == [b"*"]
