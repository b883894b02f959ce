"""Events for the tests, and a process's work that appends them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from plinth.online import Event, OnlineStore

BATCH = 5


def event(name: str, customer: str | None = "12", session: str | None = "s", at: datetime | None = None) -> Event:
    """An event with a name."""
    return Event(name, customer, session, "85123A", "view", at or datetime(2026, 3, 1, tzinfo=UTC), b'{"q":1}')


def append(url: str, name: str, batches: int, told: Path) -> None:
    """Appends events, and tells the ids of each batch in a file once it is durable."""
    store = OnlineStore.open(url)
    with told.open("a", buffering=1, encoding="utf-8") as lines:
        for batch in range(batches):
            done = store.append_events([event(f"{name}-{batch}-{place}") for place in range(BATCH)])
            lines.write(" ".join(done.accepted) + "\n")
