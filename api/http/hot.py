"""The answers that lie ready under their paths, and whether a request may have one: the decision behind both fast ways out.

What belongs here: from a path and its headers to an answer, or None where the application behind has to say more. What does not: how an
answer goes out (`api.http.direct` writes bytes, `api.http.fast` speaks ASGI).

Only what can be answered in full is decided here: a valid key with the scope and a request left, a path in its plainest spelling, and an
answer in memory. Everything else, every error too, is left untouched to the routes, which are the whole truth and the OpenAPI document; the
suite holds all ways to the same answers.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass

from api.keys.ring import Held
from api.served.shelf import Headers, Ready, Shelf
from api.telemetry.counters import ROUTES
from api.worker import Worker

_MOST_HOT = 20_000
# Whoever spells an id in another way (a percent sign, a colon) takes the longer way: one look-up by bytes must mean one document.
_PLAIN = re.compile(rb"/v1/(customers|items|tables)/([A-Za-z0-9_.-]{1,64})/([A-Za-z0-9_.-]{1,128})")
_NO_BODY = (b"content-length", b"content-type")


@dataclass(frozen=True)
class Lane:
    """A route whose answers may lie ready: the kind of document, the scope that it needs, its place in ROUTES."""

    kind: str
    scope: str
    route: int


def _lane(kind: str, scope: str, route: str) -> Lane:
    return Lane(kind, scope, ROUTES.index(route))


_BY_ENDS = {
    (b"customers", b"recommendations"): _lane(
        "recommendations", "recommendations:read", "/v1/customers/{id}/recommendations"
    ),
    (b"customers", b"promotions"): _lane("promotions", "promotions:read", "/v1/customers/{id}/promotions"),
    (b"customers", b"features"): _lane("features", "features:read", "/v1/customers/{id}/features"),
    (b"customers", b"items"): _lane("customer_items", "features:read", "/v1/customers/{id}/items"),
    (b"items", b"similar"): _lane("similar", "recommendations:read", "/v1/items/{id}/similar"),
    (b"items", b"features"): _lane("item_features", "features:read", "/v1/items/{id}/features"),
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


class Hot:
    """The answer that lies ready under a path, and what it takes to get it; `wire` is its headers as they are written."""

    __slots__ = ("lane", "ready", "wire")

    def __init__(self, lane: Lane, ready: Ready) -> None:
        self.lane = lane
        self.ready = ready
        self.wire = wire_of(ready.headers)


def wire_of(headers: Headers) -> bytes:
    """Headers as they are written, each with its line's end."""
    return b"".join([b"%s: %s\r\n" % each for each in headers])


def without_body(headers: Headers) -> Headers:
    """The headers of an answer that says that the client has it already."""
    return [each for each in headers if each[0] not in _NO_BODY]


class HotAnswers:
    """The answers of the paths that were asked for last: one look-up in a dictionary finds one.

    They are those of one shelf, and a customer's goes when an event changes the list.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._by_path: OrderedDict[bytes, Hot] = OrderedDict()
        self._shelf: Shelf | None = None
        worker.live.changed = self._forget

    def find(self, path: bytes, authorization: bytes | None) -> tuple[Hot, Held] | None:
        """The answer and the key of a GET, of whose requests one is taken; None where the routes have to answer.

        Args:
            path: as it was sent, without a query.
            authorization: the value of the header of that name; None where there is none, or more than one.
        """
        worker = self._worker
        hot = self._by_path.get(path)
        if hot is None or worker.shelf is not self._shelf:
            hot = self._look(path)
            if hot is None:
                return None
        key = worker.ring.find(authorization)
        if key is None or hot.lane.scope not in key.scopes or not key.take():
            return None
        return hot, key

    def _look(self, path: bytes) -> Hot | None:
        if self._worker.shelf is not self._shelf:
            self._shelf = self._worker.shelf
            self._by_path.clear()
        plain = _PLAIN.fullmatch(path)
        if plain is None or self._shelf is None:
            return None
        first, middle, last = plain.groups()
        if first == b"tables":
            lane, name = _TABLES, f"{middle.decode()}/{last.decode()}"
        else:
            found = _BY_ENDS.get((first, last))
            if found is None:
                return None
            lane, name = found, middle.decode()
        ready = self._ready(self._shelf, lane.kind, name)
        if ready is None:
            return None
        hot = Hot(lane, ready)
        # What is not held whole makes room for others on the shelf, and must not live on here.
        if lane.kind in self._shelf.whole:
            if len(self._by_path) >= _MOST_HOT:
                self._by_path.popitem(last=False)
            self._by_path[path] = hot
        return hot

    def _ready(self, shelf: Shelf, kind: str, name: str) -> Ready | None:
        live = self._worker.live
        if kind == "recommendations" and name in live.customers:
            # None where the list has to be made first: the route does that.
            return live.lists.get(name)
        body = shelf.get(kind, name)
        return None if body is None else shelf.wrap(body)

    def _forget(self, customer: str) -> None:
        self._by_path.pop(b"/v1/customers/%s/recommendations" % customer.encode(), None)


def matches(if_none_match: bytes, etag: bytes) -> bool:
    """Whether an If-None-Match header names this ETag; the comparison is the weak one, as RFC 9110 says."""
    if if_none_match == etag:
        return True
    named = [each.strip().removeprefix(b"W/") for each in if_none_match.split(b",")]
    return etag in named or named == [b"*"]
