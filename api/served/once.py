"""Each event counts once in a worker's lists, by whichever way it becomes known.

An event that this worker made durable is known by its answer; the look at the log brings it as well, before or after. One that another process
took comes by the look alone. What belongs here: telling which is which. What does not: what an event changes (`api.served.live`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from plinth.online import StoredEvent


class Once:
    """The events that are on their way: sent by this worker and not answered, or counted and not yet seen in the log."""

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()
        self._counted: set[str] = set()
        self._undecided: dict[str, StoredEvent] = {}

    def begin(self, ids: Sequence[str]) -> None:
        """These events are about to be made durable here."""
        self._under_way.update(ids)

    def accepted(self, event_id: str) -> None:
        """This one is new, and is counted by whoever calls; the log brings it once, if it has not already."""
        if self._undecided.pop(event_id, None) is None:
            self._counted.add(event_id)

    def end(self, ids: Sequence[str]) -> list[StoredEvent]:
        """These are answered, or failed. Gives those that the log brought meanwhile and that turned out to be another's: to be counted now."""
        self._under_way.subtract(ids)
        found = []
        for event_id in set(ids):
            if self._under_way[event_id] <= 0:
                del self._under_way[event_id]
                event = self._undecided.pop(event_id, None)
                if event is not None:
                    found.append(event)
        return found

    def start_over(self) -> None:
        """The log is read again: it brings what was counted as well."""
        self._counted.clear()

    def seen(self, event: StoredEvent) -> bool:
        """The log brings an event: whether it is to be counted now."""
        if event.event_id in self._counted:
            self._counted.discard(event.event_id)
            return False
        if event.event_id in self._under_way:
            self._undecided[event.event_id] = event
            return False
        return True
