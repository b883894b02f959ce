"""The API does over a socket what its document says, also while its store is away: schemathesis on `plinth serve`, whose plain GETs no application answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.keys.table import KeyTable
from tests.api.attempts import attempts
from tests.api.conftest import bearer, make_key
from tests.api.process import ApiProcess
from tests.api.published import publish

pytestmark = pytest.mark.slow

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
DIRECT = ("/v1/customers/1/recommendations", "/v1/customers/1/features", "/v1/items/10001/similar", "/v1/tables/gold/interactions")  # fmt: skip
"""What is answered straight from bytes, where nothing but a key is sent."""
EXAMPLES = 25


class Tried:
    """A server of its own process, with a key that no rate holds back."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "online.db"
        publish(f"sqlite:///{self.store}")
        keys = KeyTable(f"sqlite:///{self.store}")
        keys.set_up()
        self.head = bearer(make_key(keys).text)
        keys.close()
        (folder / "api").mkdir()
        self.server = ApiProcess(folder / "api", f"sqlite:///{self.store}", poll_seconds=0.05)
        self.server.start()

    def send(self, case: Any) -> int:
        """Holds one answer to the document, and gives its status."""
        response = case.call(headers=self.head)
        case.validate_response(response, checks=CHECKS)
        status: int = response.status_code
        return status

    def take_store_away(self) -> None:
        """From then on it answers from its copy."""
        for file in self.store.parent.glob("online.db*"):
            file.rename(file.with_name(f"away-{file.name}"))
        limit = time.monotonic() + 30
        while httpx.get(f"{self.server.base}/health/ready").json()["status"] != "stale":
            assert time.monotonic() < limit, "the server did not see that its store is away"
            time.sleep(0.05)


@pytest.fixture
def tried(tmp_path: Path) -> Iterator[Tried]:
    made = Tried(tmp_path)
    yield made
    made.server.kill()


@pytest.mark.parametrize("away", [False, True], ids=["the store answers", "the store is away"])
def test_every_answer_over_a_socket_is_one_that_the_document_has(tried: Tried, away: bool) -> None:
    schema = schemathesis.openapi.from_url(f"{tried.server.base}/openapi.json")
    if away:
        tried.take_store_away()
    answered = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        answered[operation.label] = attempts(operation, EXAMPLES, tried.send)
    assert len(answered) == 14
    writes = {"POST /v1/events"}
    for label, statuses in answered.items():
        assert 500 not in statuses, label
        # Nothing but what has to be kept is refused for want of the store.
        assert (503 in statuses) == (away and label in writes), f"{label}: {statuses}"
        assert 200 in statuses or (away and label in writes), f"{label} was never answered: {statuses}"
    for path in DIRECT:
        response = httpx.get(tried.server.base + path, headers=tried.head)
        assert response.status_code == 200
        assert ("plinth-stale" in response.headers) is away
    assert "Traceback" not in tried.server.printed()
