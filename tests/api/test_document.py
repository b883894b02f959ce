"""The OpenAPI document is whole, and the API does what it says: schemathesis tries every operation."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import Application
from api.keys.table import KeyTable
from api.telemetry.counters import ROUTES
from plinth.api_settings import Api
from tests.api.attempts import attempts
from tests.api.conftest import Served, bearer, make_key
from tests.api.published import publish


@pytest.fixture
def document(served: Served) -> dict[str, Any]:
    """The OpenAPI document as it is served."""
    said: dict[str, Any] = served.client.get("/openapi.json").json()
    return said


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_operation_is_described_with_its_scope_and_its_errors(document: dict[str, Any]) -> None:
    found = list(operations(document))
    assert {path for path, _, _ in found} == set(ROUTES) - {"/openapi.json", "/docs", "/", "other"}
    for path, _, operation in found:
        assert operation["summary"]
        assert operation["tags"]
        assert {"405", "431", "500"} <= operation["responses"].keys(), "any request may be answered so"
        for parameter in operation.get("parameters", []):
            assert parameter.get("example") or parameter["schema"].get("examples") or parameter.get("examples"), (
                parameter
            )
        if not path.startswith("/v1/"):
            assert "security" not in operation
            continue
        ((scope,),) = (each["key"] for each in operation["security"])
        assert scope.endswith((":read", ":write"))
        assert {"200", "401", "403", "422", "429", "503"} <= operation["responses"].keys()
        for status, response in operation["responses"].items():
            if int(status) >= 400 and "content" in response:
                ((media, said),) = response["content"].items()
                assert media == "application/problem+json"
                for example in said["examples"].values():
                    assert example["value"]["status"] == int(status)


def test_every_body_has_an_example_that_is_valid(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    asked = [
        content["schema"]["$ref"].rpartition("/")[2]
        for _, _, operation in operations(document)
        for each in [operation.get("requestBody"), operation["responses"]["200"]]
        if each is not None
        for media, content in each["content"].items()
        if media == "application/json"
    ]
    assert len(set(asked)) >= 14
    for name in asked:
        examples = schemas[name].get("examples")
        assert examples, name
        for example in examples:
            whole = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
            jsonschema.Draft202012Validator(whole).validate(example)


@pytest.fixture
def tried(tmp_path: Path) -> Application:
    """An application without limits of requests."""
    url = f"sqlite:///{tmp_path / 'online.db'}"
    publish(url)
    return Application(url, Api(), counters=tmp_path / "counters", log=io.StringIO())


@pytest.mark.slow
def test_schemathesis_finds_no_fault_of_the_server_and_nothing_that_the_document_does_not_say(
    tried: Application,
) -> None:
    table = KeyTable(tried.worker.store.address.url.render_as_string(hide_password=False))
    table.set_up()
    head = bearer(make_key(table).text)
    schema = schemathesis.openapi.from_asgi("/openapi.json", tried)
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    answered: dict[str, set[int]] = {}
    for result in schema.get_all_operations():
        operation = result.ok()

        answered[operation.label] = attempts(
            operation, 40, lambda case: case.call_and_validate(checks=checks, headers=head).status_code
        )
    assert len(answered) == 14
    for label, statuses in answered.items():
        assert 200 in statuses, f"{label} was never answered: {statuses}"
