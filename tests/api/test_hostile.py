"""Hostile input: whatever is sent, the answer is one of ours, says nothing of the inside, and the next request is served."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.http.body import _deeper_than
from tests.api.conftest import Served, problem

TEXTS = [
    "' OR '1'='1", "1; DROP TABLE online_documents; --", "\" UNION SELECT digest FROM api_keys --", "\x00", "a\x00b", "\ud800",
    "\u202e\u0000", "😀" * 20, "ß", "../../etc/passwd", "..%2f..%2f", "%00", "%c0%af", "${jndi:ldap://x}", "{{7*7}}", "<script>", "\r\nSet-Cookie: a=b",
    "A" * 65, "A" * 5000, "", " ", "-1", "1e309", "NaN", "null", "true", "٣", "𝟙",
]  # fmt: skip
LEAKS = ("traceback", "sqlite", "psycopg", "sqlalchemy", "pydantic", "starlette", "/site-packages", "select ", ".py")
EVENT = {"id": "h1", "customer": "1", "session": "s", "item": "10001", "kind": "view", "at": "2026-01-01T00:00:00Z"}


def check(served: Served, response: Any) -> None:
    """A problem of ours or an answer, never a fault of the server, and nothing of the inside in it."""
    assert response.status_code < 500, response.text
    assert not [each for each in LEAKS if each in response.text.lower()], response.text
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_no_text_in_a_path_or_a_query_does_harm(served: Served, text: str) -> None:
    coded = quote(text.encode("utf-8", "surrogatepass"), safe="")
    for path in (
        f"/v1/customers/{coded}/recommendations", f"/v1/customers/{coded}/promotions", f"/v1/items/{coded}/similar",
        f"/v1/tables/{coded}/{coded}", f"/v1/tables?after={coded}", f"/v1/tables?limit={coded}",
        f"/v1/customers/new/recommendations?country={coded}", f"/{coded}", f"/v1/customers/1/{coded}",
    ):  # fmt: skip
        response = served.client.get(path)
        check(served, response)
    assert served.client.get("/v1/customers/1/recommendations").status_code == 200


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_no_text_in_a_body_does_harm(served: Served, text: str) -> None:
    coded = json.dumps(text)
    for field in EVENT:
        sent = json.dumps({"events": [{**EVENT, field: "?"}]}).replace('"?"', coded)
        response = served.client.post("/v1/events", content=sent.encode(), headers={"Content-Type": "application/json"})
        check(served, response)
    for field in ("session", "country"):
        sent = json.dumps({field: "?"}).replace('"?"', coded)
        check(
            served,
            served.client.post("/v1/recommendations", content=sent, headers={"Content-Type": "application/json"}),
        )
    named = json.dumps({"events": [{"?": 1}]}).replace('"?"', coded)
    response = served.client.post("/v1/events", content=named, headers={"Content-Type": "application/json"})
    problem(response, 422, "invalid")
    if len(text) > 3:
        assert text not in response.text


@pytest.mark.parametrize(
    "value", [None, 1, -1, 1.5, True, [], {}, [["x"]], {"a": {"b": 1}}, 10**400, "x" * 100_000], ids=str
)
def test_no_value_of_a_wrong_type_does_harm(served: Served, value: Any) -> None:
    for sent in (
        value,
        {"events": value},
        {"events": [value]},
        *({"events": [{**EVENT, field: value}]} for field in EVENT),
    ):
        check(served, served.client.post("/v1/events", json=sent))
    for sent in (value, *({field: value} for field in ("session", "items", "country", "limit"))):
        check(served, served.client.post("/v1/recommendations", json=sent))


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (b"", 422, "invalid"),
        (b"{", 400, "malformed"),
        (b"\xff\xfe", 400, "malformed"),
        (b'{"events": [' + b"[" * 100_000, 400, "malformed"),
        (b'{"events": ' + b'{"a":' * 50_000, 400, "malformed"),
        (b'{"events": "' + b"[" * 1000 + b'"}', 422, "invalid"),
        (b'{"events": [NaN]}', 422, "invalid"),
        (b'{"a":' + b"9" * 5000 + b"}", 400, "malformed"),
        (b"[" + b"1," * 140_000 + b"1]", 413, "body-too-large"),
        (b'{"events": [], "events": [1]}', 422, "invalid"),
    ],
    ids=range(10),
)
def test_a_body_that_is_none_is_told_so(served: Served, body: bytes, status: int, name: str) -> None:
    response = served.client.post("/v1/events", content=body, headers={"Content-Type": "application/json"})
    problem(response, status, name)


@pytest.mark.parametrize(
    "type_",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "application/jsonx",
        "application/xml",
    ],
)
def test_only_json_is_taken(served: Served, type_: str) -> None:
    body = json.dumps({"events": [EVENT]})
    problem(
        served.client.post("/v1/events", content=body, headers={"Content-Type": type_}), 415, "unsupported-media-type"
    )


def test_a_body_is_refused_by_its_length_before_it_is_read(served: Served) -> None:
    for length in (str(10**12), "9" * 40, "-1", "1e3", "0x10"):
        head = {"Content-Type": "application/json", "Content-Length": length}
        problem(served.client.post("/v1/events", content=b"{}", headers=head), 413, "body-too-large")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_told_which_are_taken(served: Served, method: str) -> None:
    response = served.client.request(method, "/v1/customers/1/recommendations", json={})
    problem(response, 405, "method-not-allowed")
    assert "GET" in response.headers["allow"]


@pytest.mark.parametrize(
    "path",
    ["//v1/tables", "/v1//tables", "/v1/tables/", "/V1/tables", "/v1/customers//recommendations", "/v1/customers/1/recommendations/",
     "/v1/customers/1/../2/recommendations/x", "/docs", "/redoc", "/v1/customers/1%2Frecommendations", "/.env", "/v2/tables"],
)  # fmt: skip
def test_a_path_that_is_not_exactly_one_of_ours_is_not_found(served: Served, path: str) -> None:
    assert served.client.get(path).status_code in (404, 422)


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "X-Request-Id", "X-Http-Method-Override", "Host", "Traceparent", "Accept", "If-None-Match", "Range", "Cookie"]
)  # fmt: skip
def test_no_header_does_harm(served: Served, name: str) -> None:
    for value in ("' OR 1=1 --", "\x7f", "a" * 20_000, "é", "*/*;q=0,", "DELETE", '"', 'W/"' * 100):
        response = served.client.get("/v1/customers/1/recommendations", headers={name: value.encode("latin-1")})
        check(served, response)
        assert value not in response.headers.get("x-request-id", "")


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=12,
    ),
    st.integers(0, 6),
)
def test_the_depth_of_a_body_is_that_of_its_brackets(value: Any, most: int) -> None:
    assert _deeper_than(json.dumps(value).encode(), most) == (_depth(value) > most)


def _depth(value: Any) -> int:
    inner = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else None
    return 0 if inner is None else 1 + max((_depth(each) for each in inner), default=0)
