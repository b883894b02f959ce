"""Events: durable before the answer, each once, all of a batch or none, and the list of whoever did something changes at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.events.batch import VisitorEvent
from api.events.writer import EventWriter, _once, _share
from api.served.once import Once
from plinth.online import AppendResult, Event, EventRefused, OnlineStore, StoredEvent, StoreUnavailable
from tests.api.conftest import Served, problem


def event(name: str, **values: Any) -> dict[str, Any]:
    return {"id": name, "customer": "1", "item": "10003", "kind": "view", **values}


def items(served: Served, customer: str = "1") -> list[str]:
    return [each["item"] for each in served.client.get(f"/v1/customers/{customer}/recommendations").json()["items"]]


def test_an_event_changes_the_list_at_once_and_stands_in_the_log(served: Served, store_url: str) -> None:
    before = items(served)
    etag = served.client.get("/v1/customers/1/recommendations").headers["etag"]
    at = datetime.now(timezone(timedelta(hours=2))) - timedelta(minutes=5)
    answer = served.client.post("/v1/events", json={"events": [event("e1", at=at.isoformat())]})
    assert answer.json() == {"accepted": ["e1"], "repeated": []}
    after = served.client.get("/v1/customers/1/recommendations")
    assert after.headers["etag"] != etag
    assert after.json()["session_events"] == 1
    assert items(served) != before
    assert "10004" in items(served), "what goes with the item that was looked at"
    assert "10003" in items(served), "what was looked at is not bought yet"
    assert items(served, "2") == before, "nobody else's list"
    with OnlineStore.open(store_url) as store:
        (kept,) = store.events()
    assert (kept.event_id, kept.customer, kept.item, kept.kind) == ("e1", "1", "10003", "view")
    assert kept.at == at and kept.at.utcoffset() == timedelta(0)


def test_an_event_that_comes_again_counts_once(served: Served, store_url: str) -> None:
    served.client.post("/v1/events", json={"events": [event("e1")]})
    before = served.client.get("/v1/customers/1/recommendations").content
    again = served.client.post("/v1/events", json={"events": [event("e1"), event("e1", item="10001")]})
    assert again.json() == {"accepted": [], "repeated": ["e1", "e1"]}
    assert served.client.get("/v1/customers/1/recommendations").content == before
    for _ in range(20):
        # Also once the look at the log has brought it.
        time.sleep(0.01)
        assert served.client.get("/v1/customers/1/recommendations").content == before
    twice = served.client.post("/v1/events", json={"events": [event("e2"), event("e2")]})
    assert twice.json() == {"accepted": ["e2"], "repeated": ["e2"]}
    with OnlineStore.open(store_url) as store:
        assert [each.event_id for each in store.events()] == ["e1", "e2"]


def test_one_wrong_event_refuses_the_batch_and_is_named(served: Served, store_url: str) -> None:
    batch = {"events": [event("good"), event("bad", kind="stare"), event("worse", customer=None)]}
    said = problem(served.client.post("/v1/events", json=batch), 422, "invalid")
    assert [each["where"] for each in said["errors"]] == ["/events/1/kind", "/events/2"]
    with OnlineStore.open(store_url) as store:
        assert store.events() == []


def test_a_batch_has_a_limit(served: Served) -> None:
    batch = {"events": [event(f"e{number}") for number in range(501)]}
    said = problem(served.client.post("/v1/events", json=batch), 422, "invalid")
    assert said["errors"] == [{"where": "/events", "detail": "At most 500 events are taken at once."}]
    assert len(served.client.post("/v1/events", json={"events": batch["events"][:500]}).json()["accepted"]) == 500


def test_events_of_a_session_change_what_the_session_is_offered(served: Served) -> None:
    asked = {"session": "s1", "limit": 2}
    cold = served.client.post("/v1/recommendations", json=asked).json()
    assert cold["items"][0]["reason"] == "popular in all countries"
    visited = {"id": "s-1", "session": "s1", "item": "10002", "kind": "cart"}
    assert served.client.post("/v1/events", json={"events": [visited]}).status_code == 200
    warm = served.client.post("/v1/recommendations", json=asked).json()
    assert warm["items"][0]["item"] == "10003"
    assert len(warm["items"]) == 2
    # The same by telling what was seen, without any event.
    told = served.client.post("/v1/recommendations", json={"items": ["10002"], "limit": 2}).json()
    assert [each["item"] for each in told["items"]] == [each["item"] for each in warm["items"]]
    assert warm["version"] == 1 and warm["stale"] is False


def test_a_visitor_of_a_country_gets_what_is_popular_there(served: Served) -> None:
    said = served.client.post("/v1/recommendations", json={"country": "France"}).json()
    assert said["items"][0]["reason"] == "popular in France"
    unknown = served.client.post("/v1/recommendations", json={"items": ["10006", "no-such-item"]}).json()
    assert "10006" not in [each["item"] for each in unknown["items"]]


def test_an_event_of_a_customer_of_whom_nothing_is_known_makes_a_list(served: Served) -> None:
    served.client.post("/v1/events", json={"events": [event("n1", customer="new")]})
    body = served.client.get("/v1/customers/new/recommendations").json()
    assert body["session_events"] == 1
    assert body["items"][0]["item"] in ("10004", "10006")


class SlowStore:
    """A store whose transactions can be held up; it notes how many events each one had."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.groups: list[list[str]] = []
        self.refused: str | None = None
        self.away = False

    def append_events(self, events: Sequence[Event]) -> AppendResult:
        self.go.wait(10)
        if self.away:
            raise StoreUnavailable("away")
        ids = [each.event_id for each in events]
        if self.refused in ids:
            raise EventRefused("not this one")
        self.groups.append(ids)
        return AppendResult(ids, [])


def stored(name: str) -> Event:
    return VisitorEvent.model_validate(event(name)).stored()


def test_requests_that_wait_share_a_transaction_and_one_refused_does_not_fail_the_others() -> None:
    store = SlowStore()
    store.refused = "r3"
    writer = EventWriter(store)  # type: ignore[arg-type]

    async def work() -> list[AppendResult | BaseException]:
        tasks = [asyncio.create_task(writer.append([stored(f"r{number}")])) for number in range(6)]
        await asyncio.sleep(0.05)
        store.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(work())
    writer.close()
    assert isinstance(results[3], EventRefused)
    assert [each.accepted for each in results if isinstance(each, AppendResult)] == [
        ["r0"],
        ["r1"],
        ["r2"],
        ["r4"],
        ["r5"],
    ]
    assert sorted(name for group in store.groups for name in group) == ["r0", "r1", "r2", "r4", "r5"]


def test_many_requests_cost_few_transactions() -> None:
    store = SlowStore()
    writer = EventWriter(store)  # type: ignore[arg-type]

    async def work() -> list[AppendResult]:
        tasks = [asyncio.create_task(writer.append([stored(f"r{number}")])) for number in range(200)]
        await asyncio.sleep(0.05)
        store.go.set()
        return await asyncio.gather(*tasks)

    assert all(each.accepted for each in asyncio.run(work()))
    writer.close()
    assert len(store.groups) <= 2


def test_a_store_that_is_away_fails_every_request_of_the_group() -> None:
    store = SlowStore()
    store.away = True
    store.go.set()
    writer = EventWriter(store)  # type: ignore[arg-type]

    async def work() -> list[Any]:
        return await asyncio.gather(*(writer.append([stored(f"r{n}")]) for n in range(5)), return_exceptions=True)

    assert all(isinstance(each, StoreUnavailable) for each in asyncio.run(work()))
    writer.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6), min_size=1, max_size=6),
    st.sets(st.sampled_from("abcdef")),
)
def test_each_id_is_accepted_by_one_request_at_most_and_every_request_hears_of_all_its_events(
    requests: list[list[str]], known: set[str]
) -> None:
    groups = [[stored(name) for name in names] for names in requests]
    written = [each.event_id for each in _once(groups)]
    assert sorted(written) == sorted({name for names in requests for name in names})
    fresh = set(written) - known
    shares = [_share(events, fresh) for events in groups]
    accepted = [name for share in shares for name in share.accepted]
    assert sorted(accepted) == sorted(set(written) - known)
    for names, share in zip(requests, shares, strict=True):
        assert sorted(share.accepted + share.repeated) == sorted(names)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_an_event_counts_once_in_whatever_order_answers_and_log_come(data: st.DataObject) -> None:
    # Events of two workers: each has one first sender; requests of this worker and looks at the log come in any order that can be.
    once, counted, log = Once(), Counter[str](), []
    durable: set[str] = set()
    under_way: list[str] = []
    for _ in range(data.draw(st.integers(1, 25))):
        step = data.draw(st.sampled_from(["send", "other", "answer", "look"]))
        name = data.draw(st.sampled_from("abc"))
        if step == "send":
            once.begin([name])
            under_way.append(name)
        elif step == "other" and name not in durable:
            durable.add(name)
            log.append(name)
        elif step == "answer" and under_way:
            counted += _answer(once, under_way.pop(0), durable, log)
        elif step == "look":
            counted += _read(once, log)
    while under_way:
        counted += _answer(once, under_way.pop(0), durable, log)
    counted += _read(once, log)
    assert counted == Counter(durable)


def _answer(once: Once, name: str, durable: set[str], log: list[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    if name not in durable:
        durable.add(name)
        log.append(name)
        once.accepted(name)
        found[name] += 1
    return found + Counter(event.event_id for event in once.end([name]))


def _read(once: Once, log: list[str]) -> Counter[str]:
    now = datetime.now(UTC)
    found = [name for name in log if once.seen(StoredEvent(1, name, "1", None, "10001", "view", now, b"", now))]
    log.clear()
    return Counter(found)


@pytest.mark.slow
def test_the_same_ids_sent_by_many_at_once_are_accepted_once(served: Served) -> None:
    batches = [{"events": [event(f"c{number % 7}"), event(f"c{(number + 1) % 7}")]} for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda batch: served.client.post("/v1/events", json=batch).json(), batches))
    accepted = [name for answer in answers for name in answer["accepted"]]
    assert sorted(accepted) == [f"c{number}" for number in range(7)]
