"""Errors as RFC 9457 problem details: every kind of error that the API answers, with its type, title and status.

What belongs here: the catalogue of problems and their form. What does not: when one is answered. A detail never repeats what a client
sent, nor says what the server is made of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:plinth:problem:"

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Kind:
    """A kind of problem. `example` is the detail that the OpenAPI document shows."""

    name: str
    status: int
    title: str
    example: str

    @property
    def type(self) -> str:
        """The URI that names this kind."""
        return _TYPE + self.name


MALFORMED = Kind("malformed", 400, "The request cannot be read", "The body is no JSON.")
NOT_AUTHENTICATED = Kind(
    "not-authenticated", 401, "A valid key is needed", "Send a key: Authorization: Bearer plinth_…"
)
SCOPE_MISSING = Kind("scope-missing", 403, "The key does not reach this far", "The scope features:read is needed.")
NOT_FOUND = Kind("not-found", 404, "There is nothing here", "Nothing is published under this id.")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "The path does not take this method", "Allowed: GET, HEAD.")
TIMED_OUT = Kind("request-timeout", 408, "The request took too long to arrive", "The body did not arrive within 10 s.")
TOO_LARGE = Kind("body-too-large", 413, "The body is too large", "At most 262144 bytes are taken.")
MEDIA_TYPE_REFUSED = Kind("unsupported-media-type", 415, "The body has the wrong type", "Send application/json.")
INVALID = Kind("invalid", 422, "The request says something that is not allowed", "See errors.")
RATE_LIMITED = Kind(
    "rate-limited", 429, "Too many requests with this key", "Try again after the seconds in Retry-After."
)
HEADERS_TOO_LARGE = Kind(
    "headers-too-large", 431, "The head of the request is too large", "At most 32768 bytes are taken."
)
INTERNAL = Kind("internal", 500, "Something went wrong here", "The request's id finds it in the log.")
NOTHING_PUBLISHED = Kind("nothing-published", 503, "Nothing is published yet", "A run publishes the first version.")
STORE_UNAVAILABLE = Kind(
    "store-unavailable", 503, "The store does not answer", "Nothing of this request is lost if it is sent again."
)
BUSY = Kind("busy", 503, "Too much is being done", "Try again after the seconds in Retry-After.")


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a request: where (a JSON pointer into the body, or a parameter's name), and what was expected."""

    where: str
    detail: str


class Problem(Exception):
    """Raised by a route to answer with a problem."""

    def __init__(
        self,
        kind: Kind,
        detail: str | None = None,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(kind.name)
        self.kind = kind
        self.detail = detail or kind.example
        self.faults = tuple(faults)
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Answer:
    """A problem as it goes out."""

    status: int
    body: bytes
    headers: Headers = field(default_factory=list)


def answer(problem: Problem, request_id: str) -> Answer:
    """The problem's status, headers and body; `instance` names the request, so that the log can be searched for it."""
    said: dict[str, object] = {
        "type": problem.kind.type,
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail,
        "instance": f"urn:plinth:request:{request_id}",
    }
    if problem.faults:
        said["errors"] = [{"where": each.where, "detail": each.detail} for each in problem.faults]
    body = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in problem.headers.items()),
    ]
    return Answer(problem.kind.status, body, headers)
