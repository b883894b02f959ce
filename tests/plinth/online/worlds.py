"""Versions that can be told apart from within: every document names the world that it belongs to."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from plinth.online import Document, OnlineStore

KEYS = 400
INPUT = "world"


def world(number: int) -> Iterator[Document]:
    """The documents of a world: all change from one to the next, and other keys are missing in each."""
    chance = random.Random(number)
    for key in range(KEYS):
        if chance.random() < 0.9:
            yield Document("answer", f"{key:05}", b"%d:%d" % (number, key) + b"x" * 300)
    yield Document("answer", "", b"%d:all" % number)


def expected(number: int) -> dict[str, bytes]:
    """What readers must see of it."""
    return {document.key: document.body for document in world(number)}


def seen(store: OnlineStore, version: int | None = None) -> dict[str, bytes]:
    """All documents in one statement."""
    return dict(store.scan("answer", None, KEYS + 2, version))


def number_of(body: bytes) -> int:
    """The world that a document belongs to."""
    return int(body.partition(b":")[0])


def publish(store: OnlineStore, number: int) -> None:
    """Publishes a world."""
    store.publish(world(number), inputs={INPUT: str(number)})


def publish_for_ever(url: str, first: int, told: Path) -> None:
    """Publishes one world after the other, prunes now and then, and tells of each in a file."""
    store = OnlineStore.open(url)
    with told.open("a", buffering=1, encoding="utf-8") as lines:
        for number in count(first):
            publish(store, number)
            if number % 3 == 0:
                store.prune(3)
            lines.write(f"{number}\n")
