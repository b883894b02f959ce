"""The store goes away under the API: it answers from its copy and says so, takes no event that it cannot keep, and comes back by itself."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from api.app import Application
from api.keys.table import KeyTable
from plinth.api_settings import Api
from plinth.online import OnlineStore
from tests.api.conftest import Served, TestClient, problem, serve_here
from tests.api.published import publish
from tests.servers import PostgresServer

EVENT = {"events": [{"id": "a1", "customer": "1", "item": "10003", "kind": "view"}]}
BY_KEY = (
    "/v1/customers/1/recommendations", "/v1/customers/1/recommendations?limit=1", "/v1/customers/1/promotions",
    "/v1/customers/1/features", "/v1/customers/1/items", "/v1/items/10001/similar", "/v1/items/10001/features", "/v1/tables",
    "/v1/tables/gold/interactions",
)  # fmt: skip


def wait(condition: Callable[[], bool]) -> None:
    """Returns once a condition holds; fails after a minute."""
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, "it did not happen within a minute"
        time.sleep(0.02)


def state(served: Served) -> str:
    said: str = served.client.get("/health/ready").json()["status"]
    return said


def check_away(served: Served) -> None:
    """All that is published still answers, and says that the store is away; an event is refused so that it can be sent again."""
    wait(lambda: state(served) == "stale")
    ready = served.client.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json()["version"] == 1
    assert ready.json()["stale_seconds"] >= 0
    for path in BY_KEY:
        response = served.client.get(path)
        assert response.status_code == 200
        assert int(response.headers["plinth-stale"]) >= 0
        assert response.headers["warning"].startswith("110 ")
    session = served.client.post("/v1/recommendations", json={"items": ["10001"]}).json()
    assert session["stale"] is True
    response = served.client.post("/v1/events", json=EVENT)
    problem(response, 503, "store-unavailable")
    assert int(response.headers["retry-after"]) >= 1
    assert "session_events" not in served.client.get("/v1/customers/1/recommendations").json()
    assert f"plinth_api_stale_answers_total {len(BY_KEY) + 1}.0" in served.client.get("/metrics").text
    assert "plinth_api_store_answers 0.0" in served.client.get("/metrics").text


def check_back(served: Served) -> None:
    """It is as if nothing had been; what was refused can be sent again."""
    wait(lambda: state(served) == "ready")
    assert "plinth-stale" not in served.client.get(BY_KEY[0]).headers
    assert served.client.post("/v1/events", json=EVENT).json() == {"accepted": ["a1"], "repeated": []}
    assert served.client.get(BY_KEY[0]).json()["session_events"] == 1


def test_a_file_that_was_taken_away_and_put_back(served: Served, store_url: str) -> None:
    file = Path(store_url.removeprefix("sqlite:///"))
    moved = [(each, each.with_name(each.name + ".away")) for each in file.parent.glob(file.name + "*")]
    for here, away in moved:
        here.rename(away)
    check_away(served)
    for here, away in moved:
        away.rename(here)
    check_back(served)


def test_a_file_that_was_replaced_is_read_and_written_in_its_new_form(
    served: Served, store_url: str, tmp_path: Path
) -> None:
    served.client.post("/v1/events", json={"events": [{**EVENT["events"][0], "id": "before"}]})
    other = f"sqlite:///{tmp_path / 'other.db'}"
    publish(other, "first")
    publish(other, "other")
    table = KeyTable(other)
    table.set_up()
    for key in served.keys.all():
        table.add(key)
    table.close()
    with sqlite3.connect(tmp_path / "other.db") as con:
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file = Path(store_url.removeprefix("sqlite:///"))
    for beside in (file.with_name(file.name + "-wal"), file.with_name(file.name + "-shm")):
        beside.unlink(missing_ok=True)
    (tmp_path / "other.db").replace(file)
    wait(lambda: served.client.get("/health/ready").json()["version"] == 2)
    assert "bought before (other)" in served.client.get(BY_KEY[0]).text
    response = served.client.post("/v1/events", json=EVENT)
    with OnlineStore.open(store_url) as store:
        kept = [each.event_id for each in store.events()]
    assert (response.status_code == 200) == (kept == ["a1"]), "an event that was accepted is in the store that is there"


def _truncate(file: Path) -> None:
    os.truncate(file, 5000)


def _scribble(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(os.urandom(file.stat().st_size))


@pytest.mark.parametrize("harm", [_truncate, _scribble])
def test_an_event_is_refused_at_once_by_a_file_that_was_harmed_in_place(
    store_url: str, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    # As seldom as it may look: what is sent at once comes before the look has seen the harm.
    for served in serve_here(store_url, tmp_path, poll_seconds=1):
        first = {"events": [{**EVENT["events"][0], "id": "before"}]}
        assert served.client.post("/v1/events", json=first).status_code == 200
        file = Path(store_url.removeprefix("sqlite:///"))
        with sqlite3.connect(file) as con:
            con.execute("PRAGMA wal_checkpoint(FULL)")
        harm(file)
        list_before = served.client.get(BY_KEY[0]).content
        for _ in range(2):
            response = served.client.post("/v1/events", json=EVENT)
            problem(response, 503, "store-unavailable")
            assert int(response.headers["retry-after"]) >= 1
            assert served.client.get(BY_KEY[0]).content == list_before, "what was not kept changes no list"
            wait(lambda served=served: state(served) == "stale")
        assert served.client.get(BY_KEY[1]).status_code == 200


def test_no_event_is_even_written_while_the_store_counts_as_away(served: Served) -> None:
    worker = served.application.worker
    worker.settings = worker.settings.model_copy(update={"poll_seconds": 60})
    wait(lambda: worker._looking is None)
    worker.stale_since = time.monotonic()
    problem(served.client.post("/v1/events", json=EVENT), 503, "store-unavailable")
    with OnlineStore.open(served.url) as store:
        assert store.events() == []


def test_a_worker_that_ends_closes_no_connection_under_a_thread_that_reads(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    reading = threading.Event()
    for served in serve_here(store_url, tmp_path):
        store = served.application.worker.store
        current, close = store.current, store.close

        def slow(current: Callable[[], object] = current) -> object:
            seen.append("begun")
            reading.set()
            time.sleep(0.3)
            seen.append("read")
            return current()

        monkeypatch.setattr(store, "close", lambda close=close: (seen.append("closed"), close()))
        monkeypatch.setattr(store, "current", slow)
        assert reading.wait(30)
    before = seen[: seen.index("closed")]
    assert before.count("begun") == before.count("read") > 0


def test_a_file_that_is_locked_refuses_events_and_still_answers(store_url: str, tmp_path: Path) -> None:
    for served in serve_here(store_url, tmp_path, request_seconds=0.5):
        with sqlite3.connect(store_url.removeprefix("sqlite:///"), isolation_level=None) as con:
            con.execute("BEGIN EXCLUSIVE")
            response = served.client.post("/v1/events", json=EVENT)
            problem(response, 503, "store-unavailable")
            assert served.client.get(BY_KEY[0]).status_code == 200
            con.execute("ROLLBACK")
        again = served.client.post("/v1/events", json=EVENT).json()
        # The first attempt may have landed once the lock went: then it is known, and counts once.
        assert again["accepted"] + again["repeated"] == ["a1"]
        wait(lambda served=served: served.client.get(BY_KEY[0]).json().get("session_events") == 1)


@pytest.mark.slow
def test_a_server_that_was_killed_and_started_again(
    postgres_server: PostgresServer, postgres_db: str, tmp_path: Path
) -> None:
    publish(postgres_db)
    for served in serve_here(postgres_db, tmp_path):
        assert state(served) == "ready"
        assert "plinth-stale" not in served.client.get(BY_KEY[0]).headers
        postgres_server.kill()
        try:
            check_away(served)
        finally:
            postgres_server.restart()
        check_back(served)


def test_a_worker_that_starts_without_a_store_waits_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    # A file in the place of the folder: the store can neither be read nor made.
    folder.write_text("not a folder")
    settings = Api.model_validate({"poll_seconds": 0.05})
    application = Application(f"sqlite:///{folder / 'online.db'}", settings, counters=tmp_path / "counters")
    with TestClient(application) as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").json()["status"] == "store away"
        assert client.get("/health/ready").status_code == 503
        problem(client.get("/v1/customers/1/recommendations"), 503, "store-unavailable")
        folder.unlink()
        publish(f"sqlite:///{folder / 'online.db'}")
        wait(lambda: client.get("/health/ready").status_code == 200)
