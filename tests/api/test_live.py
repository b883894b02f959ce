"""What visitors did counts in their lists: over publications and restarts, for so many hours, within bounds."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from api.events.batch import VisitorEvent
from api.keys.table import KeyTable
from plinth.online import Event, OnlineStore
from tests.api.conftest import Served, serve_here
from tests.api.published import ITEMS, publish
from tests.api.test_events import event, items


def test_what_visitors_did_outlives_a_publication_and_a_restart(served: Served, store_url: str, tmp_path: Path) -> None:
    before = items(served)
    served.client.post("/v1/events", json={"events": [event("e1", session="s1"), event("e2", kind="purchase")]})
    changed = items(served)
    assert changed != before
    offered = served.client.post("/v1/recommendations", json={"session": "s1"}).json()["items"]
    publish(store_url, "second")
    wait(lambda: served.client.get("/v1/customers/1/recommendations").headers["plinth-version"] == "2")
    assert items(served) == changed
    assert served.client.get("/v1/customers/1/recommendations").json()["session_events"] == 2
    for other in serve_here(store_url, tmp_path / "other"):
        wait(lambda other=other: items(other) == changed)
        again = other.client.post("/v1/recommendations", json={"session": "s1"}).json()["items"]
        assert [each["item"] for each in again] == [each["item"] for each in offered]


def test_what_visitors_did_counts_until_they_did_nothing_for_so_many_hours(served: Served) -> None:
    before = items(served)
    served.client.post("/v1/events", json={"events": [event("e1", session="s1")]})
    assert items(served) != before
    live = served.application.worker.live
    live.expire(datetime.now(UTC) - timedelta(hours=1))
    assert items(served) != before
    live.expire(datetime.now(UTC))
    assert items(served) == before, "also where the list lay ready"
    assert not live.customers and not live.sessions and not live.lists


def test_what_happened_long_before_it_came_is_kept_and_changes_no_list(
    served: Served, store_url: str, tmp_path: Path
) -> None:
    before = items(served)
    long_ago, lately = (datetime.now(UTC) - timedelta(hours=hours) for hours in (25, 23))
    old = [
        event("old1", kind="purchase", at=long_ago.isoformat()),
        event("old2", session="s1", at="2019-12-24T18:00:00Z"),
    ]
    assert served.client.post("/v1/events", json={"events": old}).json()["accepted"] == ["old1", "old2"]
    assert items(served) == before
    assert not served.application.worker.live.sessions
    for other in serve_here(store_url, tmp_path / "other"):
        assert items(other) == before, "nor where the log brings it"
        assert other.application.worker.store.last_event() == 2
    served.client.post("/v1/events", json={"events": [event("new", kind="purchase", at=lately.isoformat())]})
    assert "10003" not in items(served)
    ahead = datetime.now(UTC) + timedelta(days=400)
    served.client.post(
        "/v1/events", json={"events": [event("ahead", kind="purchase", item="10002", at=ahead.isoformat())]}
    )
    assert "10002" not in items(served), "a clock that is ahead counts as now"


def test_a_purchase_leaves_the_list_and_what_was_looked_at_or_lies_in_the_cart_does_not(served: Served) -> None:
    for place, (item, kind) in enumerate((("10001", "view"), ("10002", "cart"), ("10003", "purchase"))):
        served.client.post("/v1/events", json={"events": [event(f"e{place}", item=item, kind=kind)]})
    assert {"10001", "10002"} <= set(items(served))
    assert "10003" not in items(served)
    bought = [event(f"all{place}", item=item, kind="purchase") for place, item in enumerate(ITEMS)]
    served.client.post("/v1/events", json={"events": bought})
    assert items(served), "there is nothing else left to say"


def test_a_stranger_stays_in_the_country_that_the_caller_names_after_an_event(served: Served) -> None:
    asked = "/v1/customers/777001/recommendations"
    cold = served.client.get(asked, params={"country": "France"}).json()
    assert cold["cold_start"] is True
    served.client.post("/v1/events", json={"events": [event("e1", customer="777001", item="no-such-item")]})
    warm = served.client.get(asked, params={"country": "France"}).json()
    assert warm["items"] == cold["items"]
    assert warm["items"][0]["reason"] == "popular in France"
    assert (warm["cold_start"], warm["session_events"]) == (True, 1)
    few = served.client.get(asked, params={"country": "France", "limit": 1}).json()
    assert few["items"] == cold["items"][:1]
    # Without a country it is nobody's list, whatever another request named.
    assert served.client.get(asked).json()["items"][0]["reason"] == "popular in all countries"


def test_an_event_before_the_first_publication_is_kept_and_not_remembered_for_ever(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'online.db'}"
    for served in serve_here(url, tmp_path):
        served.client.post("/v1/events", json={"events": [event("early")]})
        heard = served.application.worker._heard
        wait(lambda heard=heard: not heard._once._counted)
        publish(url)
        wait(lambda served=served: served.client.get("/health/ready").status_code == 200)
        said = served.client.get("/v1/customers/1/recommendations").json()
        assert said["session_events"] == 1


def test_the_log_of_a_store_that_took_the_place_is_read_though_its_numbers_are_lower(
    served: Served, store_url: str, tmp_path: Path
) -> None:
    batch = [event(f"old{number}") for number in range(50)]
    served.client.post("/v1/events", json={"events": batch})
    other = f"sqlite:///{tmp_path / 'other.db'}"
    publish(other, "other")
    keys = KeyTable(other)
    keys.set_up()
    for key in served.keys.all():
        keys.add(key)
    keys.close()
    with OnlineStore.open(other) as store:
        store.append_events([VisitorEvent.model_validate(event("new", customer="2")).stored()])
    with sqlite3.connect(tmp_path / "other.db") as con:
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file = Path(store_url.removeprefix("sqlite:///"))
    for beside in (file.with_name(file.name + "-wal"), file.with_name(file.name + "-shm")):
        beside.unlink(missing_ok=True)
    (tmp_path / "other.db").replace(file)

    def events_of(customer: str) -> int | None:
        said = served.client.get(f"/v1/customers/{customer}/recommendations").json()
        return said.get("session_events")

    wait(lambda: events_of("2") == 1)
    assert events_of("1") is None, "what the log that is there does not know did not happen"


def wait(condition: Callable[[], bool]) -> None:
    """Returns once a condition holds; fails after a minute."""
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, "it did not happen within a minute"
        time.sleep(0.02)


def test_a_customer_of_a_hundred_thousand_events_takes_no_more_room_than_one_of_thirty(served: Served) -> None:
    worker = served.application.worker
    shelf = worker.shelf
    assert shelf is not None
    kinds = ("view", "cart", "purchase")

    def held(customer: str, number: int) -> tuple[int, bytes]:
        """What grows with a customer's events, after so many of them, and the list."""
        for place in range(number):
            kind, item = kinds[place % 3], ITEMS[place % len(ITEMS)]
            worker.live.apply(Event(f"{customer}-{place}", customer, customer, item, kind, datetime.now(UTC), b""))
        base = shelf.list_of(customer)
        assert base is not None
        ready = worker.live.list_of(customer, shelf, base)
        assert ready is not None
        visitor = worker.live.customers[customer]
        assert visitor.state is not None
        return len(visitor.events) + len(visitor.state.seen) + visitor.state.scores.nbytes, ready.body

    few, many = held("1", 30), held("2", 30 + 100_000 // 18 * 18)
    assert many[0] == few[0]
    rows = [[each["item"] for each in json.loads(body)["items"]] for _, body in (few, many)]
    assert rows[0] == rows[1], "the last events are the same"
    assert rows[0], "every item was seen and bought: the list is not empty all the same"


def test_customers_and_states_are_kept_in_bounds_and_those_who_were_active_last_stay(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.served.live._LIVELY", 5)
    for served in serve_here(store_url, tmp_path, sessions=20):
        live, shelf = served.application.worker.live, served.application.worker.shelf
        assert shelf is not None
        for number in range(50):
            live.apply(Event(str(number), f"c{number}", f"s{number}", "10003", "view", datetime.now(UTC), b""))
            (live.list_of if number % 2 else partial(live.rows_of, rows=3))(f"c{number}", shelf, [])
        last = [f"c{number}" for number in range(30, 50)]
        assert list(live.customers) == last
        assert list(live.sessions) == [name.replace("c", "s") for name in last]
        assert [name for name in last if live.customers[name].state is not None] == last[-5:]
        assert set(live.lists) <= set(last[-5:])
