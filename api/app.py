"""The application, assembled: FastAPI with its routes, the guard around it, the fast lane before both.

What belongs here: putting together, and the OpenAPI document as a whole. What does not: what any part does.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TextIO

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.http.drain import drain_on_terminate
from api.http.fast import App, FastLane
from api.http.guard import Guard
from api.http.handlers import add_handlers
from api.http.hot import RequestNumbers
from api.routes import customers, events, health, items, page, pairs, sessions, tables
from api.routes.models import ProblemDetails
from api.telemetry.log import configure_logging
from api.telemetry.tracing import Traced, provider_of
from api.worker import Worker
from plinth.api_settings import Api
from plinth.project import open_project

COUNTERS_VARIABLE = "PLINTH_API_COUNTERS"
"""The folder in which the workers of one server keep their counters; `plinth serve` makes it."""

WORKERS_VARIABLE = "PLINTH_API_WORKERS"
"""How many workers one server has; `plinth serve` says it, whose option may be another than the setting."""

_DESCRIPTION = """What the platform has published, by key: recommendations, offers and features of customers, similar items and features of
items, and the catalogue of tables; and the events by which lists change at once.

Every request but those of `operation` needs a key (`Authorization: Bearer plinth_…`), whose scopes say what it opens. Errors are problem
details (RFC 9457). Answers have ETags: send one back in `If-None-Match`, and what has not changed costs 304 and no body. Every GET takes HEAD as well."""

_TAGS = [
    {"name": "customers", "description": "What is published about a customer."},
    {"name": "sessions", "description": "Visitors without a customer."},
    {"name": "events", "description": "What customers and visitors do."},
    {"name": "items", "description": "What is published about an item."},
    {"name": "catalogue", "description": "The tables of the lakehouse."},
    {"name": "operation", "description": "Of the API itself; no key is asked for."},
]


class Application:
    """The API as one ASGI application.

    Args:
        url: the online store.
        counters: folder of the counters, shared by the workers of one server.
        log: where the lines of requests go; the standard output by default.
        drain: whether SIGTERM drains first; only a process of its own may ask for that.
        workers: how many share the rates of keys, this one among them.
    """

    def __init__(
        self,
        url: str,
        settings: Api,
        *,
        counters: Path,
        log: TextIO | None = None,
        drain: bool = False,
        workers: int = 1,
    ) -> None:
        self.worker = Worker(url, settings, counters=counters, log=log, workers=workers)
        self.fastapi = _fastapi(self.worker, drain)
        numbers = RequestNumbers()
        bodies = {each.PATH: each.SCOPE for each in (events, sessions, pairs)}
        app: App = FastLane(Guard(self.fastapi, self.worker, numbers, bodies), self.worker, numbers)
        self.asgi: App = app if settings.tracing is None else Traced(app, provider_of(settings.tracing))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.asgi(scope, receive, send)


def build() -> App:
    """The application of the current project: what uvicorn asks each worker process for."""
    configure_logging()
    # A thread that loads a version gives the interpreter back to the requests after a millisecond, not after five.
    sys.setswitchinterval(0.001)
    platform = open_project().platform
    named = os.environ.get(COUNTERS_VARIABLE)
    counters = Path(named) if named else Path(tempfile.mkdtemp(prefix="plinth-api-"))
    workers = int(os.environ.get(WORKERS_VARIABLE, "1"))
    return Application(platform.online_url(), platform.api, counters=counters, drain=True, workers=workers).asgi


def _fastapi(worker: Worker, drain: bool) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if drain:
            drain_on_terminate(worker.drain, worker.settings.drain_seconds)
        await worker.start()
        yield
        await worker.stop()

    # The pages that FastAPI would serve for people load their scripts from elsewhere; `api.routes.page` has one of our own.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/openapi.json", redirect_slashes=False)
    app.state.worker = worker
    add_handlers(app)
    for room in (customers, pairs, sessions, events, items, tables, health, page):
        app.include_router(room.router)
    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not document:
            document.update(_document(app))
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    said = get_openapi(
        title="Plinth", version="1", description=_DESCRIPTION, routes=app.routes, tags=_TAGS, openapi_version="3.1.0"
    )
    schema = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = said["components"]["schemas"]
    schemas.update(schema.pop("$defs"))
    schemas["ProblemDetails"] = schema
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return said
