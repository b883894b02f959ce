"""A publisher is killed at random points while readers read: they see one version or another, whole, and nothing is left behind."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from plinth.online import OnlineStore, PublishSuperseded
from plinth.online.address import parse_address
from plinth.online.schema import documents, versions
from tests.plinth.online.processes import kill_after, start
from tests.plinth.online.worlds import INPUT, expected, number_of, publish, publish_for_ever, seen, world

KILLS = {"sqlite": 20, "postgresql": 6}


@pytest.mark.slow
def test_readers_see_whole_versions_however_often_the_publisher_is_killed(url: str, tmp_path: Path) -> None:
    chance = random.Random(7)
    with OnlineStore.open(url) as store, _reading(url) as findings:
        publish(store, 0)
        reached = 0
        for kill in range(KILLS[store.address.url.get_backend_name()]):
            reached = _publish_until_killed(url, reached + 1, chance.uniform(0.0, 0.15), tmp_path / f"{kill}")
            current = store.current()
            assert current is not None
            number = int(current.inputs[INPUT])
            assert number >= reached - 1
            assert seen(store) == expected(number)
            assert current.documents == {"answer": len(expected(number))}
            reached = max(reached, number)
        publish(store, 10_000)
        assert seen(store) == expected(10_000)
        for version in store.versions():
            assert seen(store, version.id) == expected(int(version.inputs[INPUT]))
        store.prune(1)
        _nothing_is_left_behind(url)
        assert seen(store) == expected(10_000)
        assert _count(url) == len(expected(10_000))
    assert findings["mixtures"] == 0
    assert findings["reads"] > 50


def _publish_until_killed(url: str, first: int, seconds: float, told: Path) -> int:
    """Kills a publisher some time after its first version; gives the world that it was at."""
    lines = kill_after(start(publish_for_ever, url, first, told), told, seconds)
    return int(lines[-1]) + 1


@contextmanager
def _reading(url: str) -> Iterator[dict[str, int]]:
    findings = {"reads": 0, "mixtures": 0}
    stop = threading.Event()

    def read() -> None:
        with OnlineStore.open(url, read_only=True) as store:
            while not stop.is_set():
                if store.address.file is not None and not store.address.file.exists():
                    continue
                try:
                    bodies = seen(store)
                    many = store.read_many("answer", [f"{key:05}" for key in range(0, 400, 7)])
                except Exception:
                    if findings["reads"]:
                        raise
                    continue
                findings["reads"] += bool(bodies)
                findings["mixtures"] += len({number_of(body) for body in bodies.values()}) > 1
                findings["mixtures"] += len({number_of(body) for body in many.values()}) > 1

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield findings
    finally:
        stop.set()
        reader.join()


def _nothing_is_left_behind(url: str) -> None:
    engine = parse_address(url).engine()
    with engine.begin() as connection:
        numbers = set(connection.execute(select(documents.c.from_version).distinct()).scalars())
        kept = [(row.id, row.state) for row in connection.execute(select(versions))]
    engine.dispose()
    assert len(kept) == 1
    assert kept[0][1] == "published"
    assert max(numbers) == kept[0][0]


def _count(url: str) -> int:
    engine = parse_address(url).engine()
    with engine.begin() as connection:
        found = len(connection.execute(select(documents.c.key)).all())
    engine.dispose()
    return found


def test_a_publisher_that_another_one_overtook_publishes_nothing(store: OnlineStore) -> None:
    publish(store, 1)

    def slow() -> Iterator[object]:
        for place, document in enumerate(world(2)):
            if place == 300:
                publish(store, 3)
            yield document

    with pytest.raises(PublishSuperseded):
        store.publish(slow(), inputs={INPUT: "2"})  # type: ignore[arg-type]
    assert seen(store) == expected(3)
    publish(store, 4)
    assert seen(store) == expected(4)


def test_a_stream_that_breaks_off_publishes_nothing(store: OnlineStore) -> None:
    publish(store, 1)

    def broken() -> Iterator[object]:
        for place, document in enumerate(world(2)):
            if place == 100:
                raise RuntimeError("the model is gone")
            yield document

    with pytest.raises(RuntimeError, match="the model is gone"):
        store.publish(broken(), inputs={INPUT: "2"})  # type: ignore[arg-type]
    assert seen(store) == expected(1)
