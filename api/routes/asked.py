"""What every route needs: the worker, the key that was sent, and the form of its answers in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Path, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from api.events.batch import ID_PATTERN
from api.http.admit import admit
from api.http.hot import matches
from api.http.problems import (
    HEADERS_TOO_LARGE,
    INTERNAL,
    INVALID,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NOT_AUTHENTICATED,
    NOTHING_PUBLISHED,
    RATE_LIMITED,
    SCOPE_MISSING,
    STORE_UNAVAILABLE,
    Kind,
    Problem,
)
from api.keys.ring import Held
from api.served.shelf import Ready, Shelf
from api.worker import Worker

bearer = HTTPBearer(
    scheme_name="key",
    bearerFormat="plinth_<id>_<secret>",
    description="A key made by `plinth key create`. Each operation names the scope that the key needs.",
    auto_error=False,
)

CustomerId = Annotated[str, Path(pattern=ID_PATTERN, description="Customer.", examples=["12347"])]
ItemId = Annotated[str, Path(pattern=ID_PATTERN, description="Item.", examples=["85123A"])]


def worker_of(request: Request) -> Worker:
    """The worker that answers."""
    worker: Worker = request.app.state.worker
    return worker


Asked = Annotated[Worker, Depends(worker_of)]


async def reach(
    request: Request,
    needed: SecurityScopes,
    worker: Asked,
    _: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)] = None,
) -> Held:
    """The key of the request, if it is valid, has the scope, and has a request left."""
    return admit(request.scope, worker, needed.scopes)


def served(worker: Worker) -> Shelf:
    """The version that is served, or the problem that there is none."""
    if worker.shelf is None:
        away = worker.stale_since is not None
        raise Problem(STORE_UNAVAILABLE if away else NOTHING_PUBLISHED, headers={"Retry-After": "5"})
    return worker.shelf


def respond(request: Request, worker: Worker, ready: Ready) -> Response:
    """The answer, or 304 where the client has it."""
    if worker.stale_since is not None:
        worker.counters.add("stale_answers")
    sent = request.headers.get("if-none-match", "").encode("latin-1")
    same = bool(sent) and matches(sent, ready.etag)
    response = Response(b"" if same else ready.body, 304 if same else 200)
    skipped = (b"content-length", b"content-type") if same else ()
    response.raw_headers = [each for each in ready.headers if each[0] not in skipped]
    return response


def problems(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """The errors of a route for the OpenAPI document, by status, each with an example of each kind."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        example = {
            "type": kind.type, "title": kind.title, "status": kind.status, "detail": kind.example,
            "instance": "urn:plinth:request:5f1c09d2aa-1b",
        }  # fmt: skip
        entry = found.setdefault(
            kind.status,
            {
                "description": kind.title,
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}, "examples": {}}},
            },
        )
        entry["content"][MEDIA_TYPE]["examples"][kind.name] = {"summary": kind.title, "value": example}
        if kind.status in (429, 503):
            entry["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
        if kind is METHOD_NOT_ALLOWED:
            entry["headers"] = {"Allow": {"description": "The methods that are taken.", "schema": {"type": "string"}}}
        if kind is NOT_AUTHENTICATED:
            entry["headers"] = {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}}
    return found


ANYWHERE = problems(METHOD_NOT_ALLOWED, HEADERS_TOO_LARGE, INTERNAL)
"""What any route may answer."""

WITH_KEY = {
    **ANYWHERE,
    **problems(NOT_AUTHENTICATED, SCOPE_MISSING, INVALID, RATE_LIMITED, NOTHING_PUBLISHED, STORE_UNAVAILABLE),
}
"""What any route with a key may answer."""

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "The client has this answer: its ETag was sent."}}


def body(model: type, description: str) -> dict[int | str, dict[str, Any]]:
    """The answer of a route for the OpenAPI document, with the headers that every stored answer has."""
    headers = {
        "ETag": ("Changes when the body does.", "string"),
        "Plinth-Version": ("The published version that answered.", "integer"),
        "Plinth-Stale": ("Only while the store is away: for how many seconds.", "integer"),
        "X-Request-Id": ("Finds the request in the log.", "string"),
    }
    described = {name: {"description": text, "schema": {"type": kind}} for name, (text, kind) in headers.items()}
    return {200: {"model": model, "description": description, "headers": described}}
