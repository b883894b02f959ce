"""The page for people says what the OpenAPI document says, and needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from tests.api.conftest import Served


class Read(HTMLParser):
    """The page as a browser takes it apart: its texts, what it links to, and the elements in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag != "meta":
            self.open.append(tag)
        for name, value in attributes:
            assert name in ("lang", "charset", "name", "content", "href", "id", "class"), name
            if name == "href":
                self.targets.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_page_has_every_operation_with_its_scope_errors_and_examples(served: Served, path: str) -> None:
    response = served.client.get(path, headers={"Authorization": ""})
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    page = Read(response.text)
    assert page.open == []
    document = served.client.get("/openapi.json").json()
    for where, methods in document["paths"].items():
        for said in methods.values():
            assert where in page.text
            assert said["summary"] in page.text
    assert page.elements.count("details") == sum(len(each) for each in document["paths"].values())
    for words in (
        "events:write",
        "/v1/customers/{id}/promotions",
        '"accepted"',
        "Too many requests with this key",
        "If-None-Match",
    ):
        assert words in page.text


def test_the_page_loads_nothing_and_its_policy_lets_nothing_in(served: Served) -> None:
    response = served.client.get("/docs")
    page = Read(response.text)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.elements)
    assert set(page.targets) == {"/openapi.json", "/health/ready", *(f"#{name}" for name in page.ids)}
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    (style,) = re.findall("<style>(.*?)</style>", response.text, re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
    assert "url(" not in style and "@import" not in style
