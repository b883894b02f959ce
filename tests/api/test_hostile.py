"""Hostile input: whatever is sent, the answer is one of ours, says nothing of the inside, and the next request is served."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.http.body import _deeper_than
from tests.api.conftest import Served, bearer, problem

pytestmark = pytest.mark.slow

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
        f"/v1/customers/{coded}/recommendations", f"/v1/customers/{coded}/promotions", f"/v1/customers/{coded}/features", f"/v1/items/{coded}/similar",
        f"/v1/customers/{coded}/items", f"/v1/items/{coded}/features",
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
    for items in (["?"], ["10001", "?"], "?"):
        sent = json.dumps({"items": items}).replace('"?"', coded)
        check(
            served,
            served.client.post("/v1/recommendations", content=sent, headers={"Content-Type": "application/json"}),
        )
    for pair in ({"customer": "?", "item": "1"}, {"customer": "1", "item": "?"}, {"?": "1"}):
        sent = json.dumps({"pairs": [pair]}).replace('"?"', coded)
        check(served, served.client.post("/v1/features", content=sent, headers={"Content-Type": "application/json"}))
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
    for sent in (value, {"pairs": value}, {"pairs": [value]}, {"pairs": [{"customer": value, "item": value}]}):
        check(served, served.client.post("/v1/features", json=sent))


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
        "application/json; charset=utf-16",
        'application/json;Charset="latin-1"',
    ],
)
def test_only_json_is_taken(served: Served, type_: str) -> None:
    body = json.dumps({"events": [EVENT]})
    problem(
        served.client.post("/v1/events", content=body, headers={"Content-Type": type_}), 415, "unsupported-media-type"
    )


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "x"])
def test_no_compressed_body_is_taken_for_what_it_says_when_it_is_not(served: Served, encoding: str) -> None:
    body = json.dumps({"events": [EVENT]})
    head = {"Content-Type": "application/json", "Content-Encoding": encoding}
    response = served.client.post("/v1/events", content=body, headers=head)
    problem(response, 415, "unsupported-media-type")
    assert response.headers["accept-encoding"] == "identity"


def test_utf_8_is_taken_and_nothing_else_that_a_parser_would_guess(served: Served) -> None:
    body = json.dumps({"events": [EVENT]})
    for said in ("application/json", "Application/JSON; Charset=UTF-8", 'application/json;charset="utf-8"'):
        head = {"Content-Type": said, "Content-Encoding": "identity"}
        assert served.client.post("/v1/events", content=body.encode(), headers=head).status_code == 200
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        response = served.client.post("/v1/events", content=body.encode(encoding), headers={"Content-Type": said})
        problem(response, 400, "malformed")


@pytest.mark.parametrize("path", ["/v1/events", "/v1/recommendations", "/v1/features"])
def test_who_has_no_key_hears_of_that_first_and_no_byte_of_the_body_is_read(served: Served, path: str) -> None:
    wrong = {"Content-Type": "text/plain", "Content-Length": "999999999"}
    reading = served.made("catalogue:read")
    for head, status, name in (
        (bearer("plinth_no"), 401, "not-authenticated"),
        (bearer(reading.text), 403, "scope-missing"),
    ):
        problem(served.client.post(path, content=b"{", headers={**head, **wrong}), status, name)

    async def unread() -> Any:
        raise AssertionError("the body was read")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "http_version": "1.1",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"5")], "scheme": "http", "server": ("x", 1),
    }  # fmt: skip
    asyncio.run(served.application.asgi(scope, unread, send))
    assert sent[0]["status"] == 401
    metrics = served.client.get("/metrics").text
    assert f'plinth_api_requests_total{{route="{path}",status="401"}} 2.0' in metrics
    assert f'plinth_api_requests_total{{route="{path}",status="403"}} 1.0' in metrics


def test_a_refusal_is_counted_under_its_route_and_takes_one_request_of_the_key(served: Served) -> None:
    made = served.made("events:write", rate=0.001, burst=3)
    head = {**bearer(made.text), "Content-Type": "application/json"}
    statuses = [served.client.post("/v1/events", content=b"{", headers=head).status_code for _ in range(4)]
    assert statuses == [400, 400, 400, 429], "malformed bodies are not for nothing"
    served.client.post("/v1/events", content=b"x", headers={"Content-Type": "text/plain"})
    served.client.put("/v1/customers/1/recommendations")
    metrics = served.client.get("/metrics").text
    for route, status in (
        ("/v1/events", 400),
        ("/v1/events", 429),
        ("/v1/events", 415),
        ("/v1/customers/{id}/recommendations", 405),
    ):
        assert f'route="{route}",status="{status}"' in metrics
    assert 'route="other"' not in metrics


@pytest.mark.parametrize(
    "path",
    [
        "/v1/customers/1/recommendations",
        "/v1/customers/1/recommendations?limit=2",
        "/v1/tables",
        "/health/ready",
        "/openapi.json",
        "/docs",
    ],
)
def test_head_says_what_get_would_without_the_body(served: Served, path: str) -> None:
    get, head = served.client.get(path), served.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    own = ("date", "x-request-id")
    told = [{name: value for name, value in each.headers.items() if name not in own} for each in (get, head)]
    if path == "/health/ready":
        for each in told:
            del each["content-length"]
    assert told[0] == told[1]
    problem_status = served.client.head("/v1/customers/9/promotions")
    assert (problem_status.status_code, problem_status.content) == (404, b"")
    assert served.client.head("/v1/events").status_code == 405


def test_a_body_is_refused_by_its_length_before_it_is_read(served: Served) -> None:
    for length in (str(10**12), "9" * 40, "-1", "1e3", "0x10"):
        head = {"Content-Type": "application/json", "Content-Length": length}
        problem(served.client.post("/v1/events", content=b"{}", headers=head), 413, "body-too-large")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_told_which_are_taken(served: Served, method: str) -> None:
    response = served.client.request(method, "/v1/customers/1/recommendations", json={})
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path",
    ["//v1/tables", "/v1//tables", "/v1/tables/", "/V1/tables", "/v1/customers//recommendations", "/v1/customers/1/recommendations/",
     "/v1/customers/1/../2/recommendations/x", "/docs/", "/redoc", "/v1/customers/1%2Frecommendations", "/.env", "/v2/tables"],
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
