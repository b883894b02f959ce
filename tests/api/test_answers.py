"""What is answered: the bytes that were published, ETags, first rows, pages, cold starts, and the same from both lanes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plinth.online import Document, OnlineStore
from plinth.recommend.session import SessionState, blend
from plinth.serving.lengths import ANSWER_LENGTH, REST_KIND
from tests.api.conftest import Served, problem, serve_here
from tests.api.published import CUSTOMERS, ITEMS, document, documents, item_model, publish, row

BY_KEY = {
    "/v1/customers/1/recommendations": ("recommendations", "1"),
    "/v1/customers/1/promotions": ("promotions", "1"),
    "/v1/customers/1/features": ("features", "1"),
    "/v1/customers/1/items": ("customer_items", "1"),
    "/v1/items/10001/similar": ("similar", "10001"),
    "/v1/items/10001/features": ("item_features", "10001"),
    "/v1/tables/gold/interactions": ("table", "gold/interactions"),
}


@pytest.mark.parametrize("path", BY_KEY)
def test_a_stored_body_goes_out_byte_for_byte(served: Served, path: str) -> None:
    wanted = next(each.body for each in documents() if (each.kind, each.key) == BY_KEY[path])
    response = served.client.get(path)
    assert (response.status_code, response.content) == (200, wanted)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["plinth-version"] == "1"
    assert "plinth-stale" not in response.headers


@pytest.mark.parametrize("path", BY_KEY)
def test_the_fast_lane_and_the_routes_answer_the_same(served: Served, path: str) -> None:
    # A query takes a request past the fast lane, and means nothing to these routes.
    fast, slow = served.client.get(path), served.client.get(path, params={"unknown": "1"})
    assert (fast.status_code, fast.content) == (slow.status_code, slow.content)
    differing = {"x-request-id"}
    assert {k: v for k, v in fast.headers.items() if k not in differing} == {
        k: v for k, v in slow.headers.items() if k not in differing
    }


@pytest.mark.parametrize("query", [{}, {"unknown": "1"}])
@pytest.mark.parametrize("path", BY_KEY)
def test_an_etag_that_is_sent_back_costs_no_body(served: Served, path: str, query: dict[str, str]) -> None:
    etag = served.client.get(path).headers["etag"]
    for sent in (etag, f'W/{etag}, "other"', "*"):
        response = served.client.get(path, params=query, headers={"If-None-Match": sent})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag
    assert served.client.get(path, params=query, headers={"If-None-Match": '"other"'}).status_code == 200


def test_an_etag_outlives_a_version_that_does_not_change_the_body(served: Served, store_url: str) -> None:
    before = served.client.get("/v1/customers/1/features").headers["etag"]
    list_before = served.client.get("/v1/customers/1/recommendations").headers["etag"]
    publish(store_url, "second")
    wait_for_version(served, 2)
    assert served.client.get("/v1/customers/1/features").headers["etag"] == before
    assert served.client.get("/v1/customers/1/recommendations").headers["etag"] != list_before


def test_a_new_version_is_served_soon_and_a_rollback_too(served: Served, store_url: str) -> None:
    publish(store_url, "second")
    wait_for_version(served, 2)
    assert "bought before (second)" in served.client.get("/v1/customers/1/recommendations").text
    with OnlineStore.open(store_url) as store:
        store.rollback()
    wait_for_version(served, 1)
    assert "bought before (first)" in served.client.get("/v1/customers/1/recommendations").text


def test_a_limit_gives_the_first_rows(served: Served) -> None:
    for path in ("/v1/customers/1/recommendations", "/v1/items/10001/similar"):
        whole = served.client.get(path).json()["items"]
        assert served.client.get(path, params={"limit": 2}).json()["items"] == whole[:2]
        assert served.client.get(path, params={"limit": 1000}).json()["items"] == whole
        for wrong in ("0", "1001", "x", "1e3", ""):
            problem(served.client.get(path, params={"limit": wrong}), 422, "invalid")


@pytest.fixture
def long(tmp_path: Path) -> Iterator[Served]:
    """A version whose customers have rows beyond those that are sent, as runs publish them."""
    url = f"sqlite:///{tmp_path / 'long.db'}"
    publish_long(url)
    yield from serve_here(url, tmp_path)


def publish_long(url: str) -> None:
    """Of each customer the rows after those of `documents`: the items that nothing else speaks for."""
    rest = [row(item, 0.3 - place / 10, f"kept {place}") for place, item in enumerate(ITEMS[3:])]
    with OnlineStore.open(url) as store:
        kept = [document(REST_KIND, customer, {"customer": customer, "items": rest}) for customer in CUSTOMERS]
        store.publish([*documents(), *kept], inputs={})


def test_a_limit_goes_on_into_the_rows_that_are_not_sent_by_themselves(long: Served) -> None:
    path = "/v1/customers/1/recommendations"
    sent = long.client.get(path).json()["items"]
    assert [each["item"] for each in sent] == list(ITEMS[:3])
    for limit in (2, 4, 6, 1000):
        found = long.client.get(path, params={"limit": limit}).json()
        assert [each["item"] for each in found["items"]] == list(ITEMS[:limit])
        assert found["customer"] == "1"
    assert long.client.get(path, params={"limit": 6}).json()["items"][5]["reason"] == "kept 2"


def test_events_are_blended_with_the_whole_stored_list_as_the_benchmark_does(long: Served) -> None:
    path, event = "/v1/customers/1/recommendations", {"id": "e1", "customer": "1", "item": "10003", "kind": "purchase"}
    stored = [(each["item"], each["score"]) for each in long.client.get(path, params={"limit": 100}).json()["items"]]
    assert len(stored) == len(ITEMS)
    assert long.client.post("/v1/events", json={"events": [event]}).status_code == 200
    state = SessionState(item_model())
    state.add("10003", 3.0)
    found = long.client.get(path).json()["items"]
    assert [each["item"] for each in found] == [item for item, _ in blend(stored, state, ANSWER_LENGTH)]
    # What the event speaks for stood among the rows that are kept, and so has a reason and a share of its own there.
    assert "kept 0" in [each["reason"] for each in found]
    assert long.client.get(path, params={"limit": 2}).json()["items"] == found[:2]


def test_rows_that_do_not_fit_into_the_copy_come_from_the_store_and_while_it_is_away_the_list_is_shorter(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'long.db'}"
    publish_long(url)
    path, event = "/v1/customers/{}/recommendations", {"item": "10003", "kind": "view"}
    for served in serve_here(url, tmp_path):
        shelf = served.application.worker.shelf
        assert shelf is not None
        # As a copy is whose bound was reached before the last kind.
        shelf.whole.discard(REST_KIND)
        shelf.documents[REST_KIND].clear()
        served.client.post("/v1/events", json={"events": [{"id": "e1", "customer": "1", **event}]})
        reasons = [each["reason"] for each in served.client.get(path.format(1)).json()["items"]]
        assert "kept 0" in reasons
        served.client.post("/v1/events", json={"events": [{"id": "e2", "customer": "2", **event}]})
        Path(tmp_path / "long.db").rename(tmp_path / "away.db")
        response = served.client.get(path.format(2))
        assert response.status_code == 200
        assert "kept 0" not in [each["reason"] for each in response.json()["items"]]


def test_a_customer_of_whom_nothing_is_known_gets_what_is_popular_where_they_are(served: Served) -> None:
    answer = served.client.get("/v1/customers/new/recommendations").json()
    assert answer["customer"] == "new"
    assert answer["cold_start"] is True
    assert answer["items"][0]["reason"] == "popular in all countries"
    there = served.client.get("/v1/customers/new/recommendations", params={"country": "France"}).json()
    assert there["items"][0]["reason"] == "popular in France"
    for name in ("Bolivia, Plurinational State of", "Bosnia & Herzegovina", "Co\u0302te d\u2019Ivoire", "USA/Canada"):
        asked = {"country": name, "limit": 2}
        assert served.client.get("/v1/customers/new/recommendations", params=asked).status_code == 200, name
        assert served.client.post("/v1/recommendations", json=asked).status_code == 200, name
    nowhere = served.client.get("/v1/customers/new/recommendations", params={"country": "Atlantis"}).json()
    assert nowhere["items"] == answer["items"]


def test_what_is_not_published_is_not_found(served: Served) -> None:
    for path in (
        "/v1/customers/9/promotions",
        "/v1/customers/9/features",
        "/v1/customers/9/items",
        "/v1/items/none/similar",
        "/v1/items/none/features",
        "/v1/tables/gold/none",
    ):
        problem(served.client.get(path), 404, "not-found")


def test_the_catalogue_comes_in_pages_that_follow_each_other(served: Served) -> None:
    names, path = [], "/v1/tables?limit=1"
    while path is not None:
        response = served.client.get(path)
        page = response.json()
        names += [each["table"] for each in page["tables"]]
        path = page["next"]
        assert (path is None) == ("link" not in response.headers)
    assert names == ["gold/customer_360", "gold/interactions", "gold/item_catalog"]
    assert served.client.get("/v1/tables", params={"after": "gold/interactions"}).json()["tables"][0]["version"] == 3
    assert served.client.get("/v1/tables", params={"after": "zzz"}).json() == {"tables": [], "next": None}


def pairs(*named: str) -> dict[str, Any]:
    return {"pairs": [dict(zip(("customer", "item"), each.split("/"), strict=True)) for each in named]}


def test_features_of_many_pairs_are_what_their_own_paths_say_in_the_order_of_the_question(served: Served) -> None:
    asked = pairs("1/10002", "2/10001", "1/10002", "1/10005", "9/10001", "2/none")
    response = served.client.post("/v1/features", json=asked)
    said = response.json()
    assert response.status_code == 200 and response.headers["cache-control"] == "no-store"
    assert (said["version"], said["stale"], said["as_of"]) == (1, False, "2026-07-27")
    for kind, path in (("customers", "/v1/customers/{}/features"), ("items", "/v1/items/{}/features")):
        for key, values in said[kind].items():
            alone = served.client.get(path.format(key))
            assert values == (alone.json()["features"] if alone.status_code == 200 else None)
    assert list(said["customers"]) == ["1", "2", "9"] and list(said["items"]) == ["10002", "10001", "10005", "none"]
    assert [f"{each['customer']}/{each['item']}" for each in said["pairs"]] == [
        f"{each['customer']}/{each['item']}" for each in asked["pairs"]
    ]
    bought = {"customer_item": {"orders": 2, "last": None}, "other": None}
    outside = {"customer_item": None, "other": None}
    assert [each["features"] for each in said["pairs"]] == [bought, bought, bought, outside, {}, outside]


def test_of_nobody_known_there_is_an_answer_too_and_too_many_pairs_are_refused(served: Served) -> None:
    said = served.client.post("/v1/features", json=pairs("9/none")).json()
    assert (said["as_of"], said["customers"], said["items"]) == (None, {"9": None}, {"none": None})
    many = pairs(*["1/10001"] * (served.application.worker.settings.batch + 1))
    problem(served.client.post("/v1/features", json=many), 422, "invalid")
    problem(served.client.post("/v1/features", json={"pairs": []}), 422, "invalid")
    many["pairs"].pop()
    assert len(served.client.post("/v1/features", json=many).json()["pairs"]) == len(many["pairs"])


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Served]:
    """A worker whose copy cannot hold the version: 300 documents of 8 KB, and a bound of 1 MB."""
    url = f"sqlite:///{tmp_path / 'large.db'}"
    large = [
        Document(
            "features",
            f"{number:04}",
            json.dumps({"customer": f"{number:04}", "as_of": "x", "features": {"f": "v" * 8000}}).encode(),
        )
        for number in range(300)
    ]
    with OnlineStore.open(url) as store:
        store.publish([*documents(), *(each for each in large)], inputs={})
    yield from serve_here(url, tmp_path, memory="1MiB")


def test_what_does_not_fit_into_the_copy_is_read_from_the_store_and_the_copy_stays_bounded(small: Served) -> None:
    shelf = small.application.worker.shelf
    assert shelf is not None
    assert "features" not in shelf.whole
    assert "recommendations" in shelf.whole
    for number in range(300):
        assert small.client.get(f"/v1/customers/{number:04}/features").json()["customer"] == f"{number:04}"
    assert shelf.size <= shelf.limit
    problem(small.client.get("/v1/customers/9999/features"), 404, "not-found")
    customers = [f"{number:04}" for number in range(0, 300, 7)]
    said = small.client.post("/v1/features", json=pairs(*(f"{each}/10001" for each in [*customers, "9999"]))).json()
    assert [len(said["customers"][each]["f"]) for each in customers] == [8000] * len(customers)
    assert said["customers"]["9999"] is None
    assert shelf.size <= shelf.limit


def test_nothing_published_is_said_with_503_and_served_once_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    for served in serve_here(url, tmp_path):
        assert served.client.get("/health/ready").json()["status"] == "nothing published"
        assert served.client.get("/health/ready").status_code == 503
        assert served.client.get("/health/live").status_code == 200
        response = served.client.get("/v1/customers/1/recommendations")
        problem(response, 503, "nothing-published")
        assert int(response.headers["retry-after"]) >= 1
        publish(url)
        wait_for_version(served, 1)
        assert served.client.get("/v1/customers/1/recommendations").status_code == 200


def wait_for_version(served: Served, version: int) -> None:
    """Returns once the worker serves a version."""
    for _ in range(2000):
        if served.client.get("/health/ready").json()["version"] == version:
            return
    raise AssertionError(f"version {version} was not served")


def test_readiness_says_how_old_the_version_is_and_when_it_was_last_confirmed(served: Served, store_url: str) -> None:
    first = served.client.get("/health/ready").json()
    assert first["version"] == 1 and first["verified_at"] == first["published_at"]
    assert 0 <= first["verified_seconds"] <= first["age_seconds"] + 0.1
    publish(store_url)  # the same documents: the version that is there is confirmed
    limit = time.monotonic() + 30
    while (said := served.client.get("/health/ready").json())["verified_at"] == first["verified_at"]:
        assert time.monotonic() < limit, "the worker did not see that its version was confirmed"
        time.sleep(0.02)
    assert (said["version"], said["published_at"]) == (1, first["published_at"])
    assert said["verified_at"] > said["published_at"]
    assert "plinth_api_served_verified_seconds" in served.client.get("/metrics").text
