"""The store is away, comes back, or is another one: readers are told so, and find it again."""

from __future__ import annotations

import subprocess
from pathlib import Path
from threading import Thread

import pytest

from plinth.online import Document, OnlineStore, StoreUnavailable
from tests.plinth.online.appending import event
from tests.servers import PostgresServer


def filled(url: str, body: bytes = b"x") -> None:
    """Publishes one document."""
    with OnlineStore.open(url) as store:
        store.publish([Document("list", "1", body)], inputs={"body": body.hex()})


def test_opening_needs_no_store_and_the_first_read_says_that_there_is_none(sqlite_url: str) -> None:
    with OnlineStore.open(sqlite_url, read_only=True) as store:
        with pytest.raises(StoreUnavailable, match="no online store yet") as raised:
            store.current()
        assert raised.value.transient
        filled(sqlite_url)
        assert store.read("list", "1") == b"x"


def test_a_file_that_is_taken_away_is_not_read_on_and_found_when_it_is_back(sqlite_url: str, tmp_path: Path) -> None:
    filled(sqlite_url)
    file = tmp_path / "online" / "online.db"
    with OnlineStore.open(sqlite_url) as store:
        assert store.read("list", "1") == b"x"
        file.rename(tmp_path / "away.db")
        with pytest.raises(StoreUnavailable):
            store.read("list", "1")
        (tmp_path / "away.db").rename(file)
        assert store.read("list", "1") == b"x"


def test_another_file_in_its_place_is_read_from_then_on(sqlite_url: str, tmp_path: Path) -> None:
    filled(sqlite_url)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    filled(other, b"other")
    with OnlineStore.open(sqlite_url) as store:
        assert store.read("list", "1") == b"x"
        for end in ("-wal", "-shm"):
            (tmp_path / "online" / f"online.db{end}").unlink(missing_ok=True)
        (tmp_path / "other.db").rename(tmp_path / "online" / "online.db")
        assert store.read("list", "1") == b"other"


def test_what_is_written_never_goes_into_a_file_that_was_taken_away(sqlite_url: str, tmp_path: Path) -> None:
    file, away = tmp_path / "online" / "online.db", tmp_path / "away"
    with OnlineStore.open(sqlite_url) as store:
        store.append_events([event("a")])
        away.mkdir()
        for each in file.parent.iterdir():
            each.rename(away / each.name)
        with pytest.raises(StoreUnavailable):
            store.append_events([event("b")])
        # No new store was made in the place of the old one either: it would be lost when that comes back.
        assert list(file.parent.iterdir()) == []
        filled(sqlite_url)
        assert store.append_events([event("c")]).accepted == ["c"]
        assert [each.event_id for each in store.events()] == ["c"]
        file.unlink()
        (away / "online.db").rename(file)
        for end in ("-wal", "-shm"):
            (file.parent / f"online.db{end}").unlink(missing_ok=True)
            if (away / f"online.db{end}").exists():
                (away / f"online.db{end}").rename(file.parent / f"online.db{end}")
        assert store.append_events([event("d")]).accepted == ["d"]
        assert [each.event_id for each in store.events()] == ["a", "d"]


def test_a_file_that_is_no_database_is_told_of(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "online").mkdir()
    (tmp_path / "online" / "online.db").write_bytes(b"this is no database at all" * 100)
    with OnlineStore.open(sqlite_url) as store:
        with pytest.raises(StoreUnavailable):
            store.current()
        with pytest.raises(StoreUnavailable):
            store.append_events([event("a")])


def test_every_thread_reads_by_a_connection_of_its_own(store: OnlineStore) -> None:
    store.publish([Document("list", str(number), b"%d" % number) for number in range(50)], inputs={})
    wrong: list[int] = []

    def read() -> None:
        wrong.extend(each for each in range(200) if store.read("list", str(each % 50)) != b"%d" % (each % 50))

    threads = [Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.slow
def test_a_server_that_goes_and_comes_back(postgres_server: PostgresServer, postgres_db: str) -> None:
    filled(postgres_db)
    with OnlineStore.open(postgres_db) as store:
        assert store.read("list", "1") == b"x"
        store.append_events([event("a")])
        postgres_server.kill()
        try:
            with pytest.raises(StoreUnavailable) as raised:
                store.read("list", "1")
            assert "s3cr3t" not in str(raised.value)
            with pytest.raises(StoreUnavailable):
                store.append_events([event("b")])
        finally:
            postgres_server.start()
        assert store.read("list", "1") == b"x"
        assert store.append_events([event("a"), event("b")]).repeated == ["a"]


def test_a_full_disk_fails_the_publish_and_readers_see_what_they_saw(small_disk: Path) -> None:
    with OnlineStore.open(f"sqlite:///{small_disk / 'online.db'}") as store:
        first = store.publish([Document("list", "1", b"x")], inputs={"a": "1"})
        with pytest.raises(StoreUnavailable, match="full"):
            store.publish((Document("list", str(each), bytes(100_000)) for each in range(200)), inputs={"a": "2"})
        assert [version.id for version in store.versions()] == [first.id]
        assert store.read("list", "1") == b"x"
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        third = store.publish([Document("list", "1", b"y")], inputs={"a": "3"})
        assert store.read("list", "1") == b"y"
        assert [version.id for version in store.versions()] == [third.id, first.id]
