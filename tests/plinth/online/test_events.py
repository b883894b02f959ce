"""The log of events: durable before it answers, each event once, in an order that can be followed."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from plinth.online import Event, EventRefused, OnlineStore
from tests.plinth.online.appending import BATCH, append, event
from tests.plinth.online.processes import kill_after, start


def test_an_event_is_stored_once_however_often_it_comes(store: OnlineStore) -> None:
    first = store.append_events([event("a"), event("b"), event("a")])
    assert (first.accepted, first.repeated) == (["a", "b"], ["a"])
    again = store.append_events([event("b"), event("c")])
    assert (again.accepted, again.repeated) == (["c"], ["b"])
    assert [each.event_id for each in store.events()] == ["a", "b", "c"]
    assert store.append_events([]).accepted == []


def test_of_a_repeated_event_the_first_stays(store: OnlineStore) -> None:
    store.append_events([event("a", customer="1")])
    store.append_events([event("a", customer="2")])
    assert [each.customer for each in store.events()] == ["1"]


def test_what_comes_back_is_what_was_sent(store: OnlineStore) -> None:
    sent = Event("ü-1", None, "séance", "85123A", "cart", datetime(1969, 7, 20, 20, 17, 1, 7, tzinfo=UTC), b"\x00\xff")
    before = datetime.now(UTC)
    store.append_events([sent])
    (found,) = store.events()
    assert (found.event_id, found.customer, found.session, found.item, found.kind, found.at, found.body) == (
        *(sent.event_id, sent.customer, sent.session, sent.item, sent.kind, sent.at, sent.body),
    )
    assert before <= found.appended_at <= datetime.now(UTC)


def test_the_log_is_followed_by_its_numbers(store: OnlineStore) -> None:
    store.append_events([event(f"{number}") for number in range(25)])
    found, after = [], 0
    while page := store.events(after, 10):
        found += [each.event_id for each in page]
        after = page[-1].sequence
    assert found == [f"{number}" for number in range(25)]
    assert store.last_event() == after


def test_events_of_a_customer_or_a_session_are_the_newest_oldest_first(store: OnlineStore) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    store.append_events(
        [
            event(f"{number}", f"c{number % 2}", f"s{number % 3}", start + timedelta(minutes=number))
            for number in range(12)
        ]
    )
    assert [each.event_id for each in store.events_of(customer="c1")] == ["1", "3", "5", "7", "9", "11"]
    assert [each.event_id for each in store.events_of(session="s2", limit=2)] == ["8", "11"]
    assert [each.event_id for each in store.events_of(customer="c0", since=start + timedelta(minutes=7))] == ["8", "10"]
    assert store.events_of(customer="\x00") == []
    assert store.events_of() == []


@pytest.mark.parametrize(
    "wrong",
    [
        event(""),
        event("\x00"),
        event("x" * 600),
        event("x", customer="\ud800"),
        event("x", session="\x00"),
        event("x", at=datetime(2026, 3, 1)),
    ],
    ids=["none", "nul", "long", "surrogate", "session", "no zone"],
)
def test_an_event_that_cannot_be_stored_refuses_its_batch(store: OnlineStore, wrong: Event) -> None:
    store.set_up()
    with pytest.raises(EventRefused):
        store.append_events([event("good"), wrong])
    assert store.events() == []


def test_old_events_are_forgotten_and_no_others(store: OnlineStore) -> None:
    store.append_events([event(f"{number}") for number in range(1300)])
    middle = store.events(0, 1000)[-1].sequence
    assert store.forget_events(up_to=middle, before=datetime.now(UTC) - timedelta(days=1)) == 0
    assert store.forget_events(up_to=middle, before=datetime.now(UTC) + timedelta(seconds=1)) == 1000
    assert [each.event_id for each in store.events(0, 2000)] == [f"{number}" for number in range(1000, 1300)]


def test_an_sqlite_store_syncs_each_commit_to_the_disk(sqlite_url: str) -> None:
    from plinth.online.address import parse_address

    with OnlineStore.open(sqlite_url) as store:
        store.set_up()
    engine = parse_address(sqlite_url).engine()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        # 2 is FULL: the log is synced at each commit, not at checkpoints only.
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    engine.dispose()


@pytest.mark.slow
def test_what_was_accepted_outlives_a_killed_process(url: str, tmp_path: Path) -> None:
    for round_ in range(4):
        told = tmp_path / f"{round_}"
        lines = kill_after(start(append, url, f"r{round_}", 100_000, told), told, 0.1)
        with OnlineStore.open(url) as store:
            found = {each.event_id for each in store.events(0, 1_000_000)}
        assert {name for line in lines for name in line.split()} <= found
        # A batch is there whole or not at all.
        assert len(found) % BATCH == 0
        assert lines


@pytest.mark.slow
def test_writers_at_once_lose_nothing_and_a_follower_misses_nothing(url: str, tmp_path: Path) -> None:
    with OnlineStore.open(url) as store:
        store.set_up()
        followed: list[str] = []
        stop = threading.Event()

        def follow() -> None:
            after = 0
            while True:
                ended = stop.is_set()
                page = store.events(after, 7)
                followed.extend(each.event_id for each in page)
                after = page[-1].sequence if page else after
                if ended and not page:
                    return

        follower = threading.Thread(target=follow)
        follower.start()
        writers = [start(append, url, f"w{number}", 30, tmp_path / f"{number}") for number in range(3)]
        for writer in writers:
            writer.join()
        stop.set()
        follower.join()
    told = [name for number in range(3) for name in (tmp_path / f"{number}").read_text(encoding="utf-8").split()]
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(told) == len(set(told)) == 3 * 30 * BATCH
    # Each exactly once, although numbers were given out by three processes while the log was read.
    assert sorted(followed) == sorted(told)
