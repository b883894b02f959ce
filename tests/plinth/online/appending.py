"""Appends events until it is killed, and prints each batch once it is durable: `python -m tests.plinth.online.appending URL NAME BATCHES`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from plinth.online import Event, OnlineStore

BATCH = 5


def event(name: str, customer: str | None = "12", session: str | None = "s", at: datetime | None = None) -> Event:
    """An event with a name."""
    return Event(name, customer, session, "85123A", "view", at or datetime(2026, 3, 1, tzinfo=UTC), b'{"q":1}')


def main(url: str, name: str, batches: int) -> None:
    store = OnlineStore.open(url)
    for batch in range(batches):
        done = store.append_events([event(f"{name}-{batch}-{place}") for place in range(BATCH)])
        print(" ".join(done.accepted), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
