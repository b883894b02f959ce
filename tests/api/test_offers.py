"""Offers are shown to those who consent today, until their last day has passed; also where the answer lay ready."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.served.offers import current_offers
from plinth.online import Document, OnlineStore
from tests.api.conftest import Served, problem, serve_here

TODAY = datetime.now(UTC).date()


def offers(customer: str, planned_on: date | None, *ends: date | None) -> Document:
    rows = [{"promotion": f"P-{place}", "ends_on": end and end.isoformat()} for place, end in enumerate(ends)]
    body: dict[str, Any] = {"customer": customer, "offers": rows, "planned_on": planned_on and planned_on.isoformat()}
    return Document("promotions", customer, json.dumps(body).encode())


def days(number: int) -> timedelta:
    return timedelta(days=number)


def version() -> Iterator[Document]:
    yield offers("1", TODAY, TODAY, TODAY + days(9))
    yield offers("2", TODAY, TODAY - days(1), TODAY)
    yield offers("3", TODAY, TODAY - days(1))
    # More than the smaller copy has room for.
    yield Document("promotions", "4", b" " * 2**20)


@pytest.fixture(params=["64MiB", "1MiB"])
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    """The API over offers: all in the copy, and with next to no room for one."""
    url = f"sqlite:///{tmp_path / 'online.db'}"
    with OnlineStore.open(url) as store:
        store.publish(version(), inputs={"plan": "1"})
    yield from serve_here(url, tmp_path, memory=request.param)


def shown(shop: Served, customer: str) -> list[str] | None:
    response = shop.client.get(f"/v1/customers/{customer}/promotions")
    if response.status_code == 404:
        problem(response, 404, "not-found")
        return None
    return [each["promotion"] for each in response.json()["offers"]]


def wait(shop: Served, customer: str, expected: list[str] | None) -> None:
    limit = time.monotonic() + 30
    while shown(shop, customer) != expected:
        assert time.monotonic() < limit, shown(shop, customer)
        time.sleep(0.02)


def test_an_offer_is_shown_on_its_last_day_and_no_longer(shop: Served) -> None:
    assert [shown(shop, each) for each in "123"] == [["P-0", "P-1"], ["P-1"], None]


def test_who_withdraws_consent_is_shown_none_from_the_next_look_on_also_after_a_rollback(shop: Served) -> None:
    assert shown(shop, "1") == shown(shop, "1") == ["P-0", "P-1"], "it lies ready now"
    with OnlineStore.open(shop.url) as store:
        store.withhold("promotions", ["1"])
        wait(shop, "1", None)
        store.publish([offers("1", TODAY, TODAY), offers("2", TODAY, TODAY)], inputs={"plan": "2"})
        wait(shop, "2", ["P-0"])
        assert shown(shop, "1") is None
        store.rollback()
        wait(shop, "2", ["P-1"])
        assert shown(shop, "1") is None
        store.withhold("promotions", [])
        wait(shop, "1", ["P-0", "P-1"])


def test_days_pass_for_answers_that_lie_ready(shop: Served) -> None:
    assert shown(shop, "1") == ["P-0", "P-1"]
    worker = shop.application.worker
    assert worker.shelf is not None
    tomorrow = worker.shelf.on(frozenset(), TODAY + days(1))
    assert tomorrow is not worker.shelf, "another copy, so what lies ready goes"
    assert tomorrow.on(frozenset(), TODAY + days(1)) is tomorrow
    for customer, document in zip("123", version(), strict=False):
        left = tomorrow.shown("promotions", customer, document.body)
        assert (left is not None) == (customer == "1")


def test_offers_of_data_that_end_long_ago_end_as_many_days_after_they_were_published() -> None:
    published = datetime(2026, 3, 1, 12, tzinfo=UTC)
    planned = date(2011, 12, 10)
    body = offers("1", planned, planned + days(3), planned + days(10)).body
    assert current_offers(body, published, date(2026, 3, 4)) == body
    left = current_offers(body, published, date(2026, 3, 5))
    assert left is not None
    assert [each["promotion"] for each in json.loads(left)["offers"]] == ["P-1"]
    assert current_offers(body, published, date(2026, 3, 12)) is None
    # A living shop's data are some days old at the most, and the calendar decides.
    body = offers("1", published.date() - days(3), date(2026, 3, 2)).body
    assert current_offers(body, published, date(2026, 3, 2)) == body
    assert current_offers(body, published, date(2026, 3, 3)) is None
    assert current_offers(offers("1", None, None).body, published, date(2030, 1, 1)) is not None
