"""The API over a real store: in this process for what a route says, in a process of its own for what a server does."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import Application
from api.keys.key import SCOPES, NewKey, new_key
from api.keys.table import KeyTable
from plinth.api_settings import Api
from tests.api.published import publish

with warnings.catch_warnings():
    # Starlette would rather have a client library that is not among the locked ones.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


@dataclass
class Served:
    """The API in this process.

    Attributes:
        client: sends a key with every scope, unless told otherwise.
        log: what was written about requests.
    """

    application: Application
    client: TestClient
    keys: KeyTable
    url: str
    key: NewKey
    log: io.StringIO = field(default_factory=io.StringIO)

    def made(self, *scopes: str, **limits: Any) -> NewKey:
        """A new key, known to the worker at once."""
        return make_key(self.keys, *scopes, application=self.application, **limits)

    def lines(self) -> str:
        """The log so far."""
        self.application.worker.log.flush()
        return self.log.getvalue()


def make_key(keys: KeyTable, *scopes: str, application: Application | None = None, **limits: Any) -> NewKey:
    """A key in the table, and in the ring of a worker of this process."""
    made = new_key("test", scopes or SCOPES, **{"rate": 1e6, "burst": 1e6, "lasts": None, **limits})
    keys.add(made.key)
    if application is not None:
        application.worker.ring.renew(keys.all())
    return made


def bearer(text: str) -> dict[str, str]:
    """The header that sends a key."""
    return {"Authorization": f"Bearer {text}"}


def serve_here(url: str, folder: Path, **settings: Any) -> Iterator[Served]:
    """The API over a store, in this process, until the test ends."""
    keys = KeyTable(url)
    keys.set_up()
    key = make_key(keys)
    log = io.StringIO()
    chosen = Api.model_validate({"poll_seconds": 0.05, "drain_seconds": 0, **settings})
    application = Application(url, chosen, counters=folder / "counters", log=log, workers=chosen.workers)
    with TestClient(application, headers=bearer(key.text), raise_server_exceptions=False) as client:
        yield Served(application, client, keys, url, key, log)
    keys.close()


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """An SQLite store with one version."""
    url = f"sqlite:///{tmp_path / 'online.db'}"
    publish(url)
    return url


@pytest.fixture
def served(store_url: str, tmp_path: Path) -> Iterator[Served]:
    """The API over a store with one version."""
    yield from serve_here(store_url, tmp_path)


def problem(response: httpx.Response, status: int, name: str) -> dict[str, Any]:
    """The problem that a response is, held to RFC 9457's form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = response.json()
    assert said["type"] == f"urn:plinth:problem:{name}"
    assert said["status"] == status
    assert said["title"] and said["detail"]
    assert said["instance"] == f"urn:plinth:request:{response.headers['x-request-id']}"
    return said
