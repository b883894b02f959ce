"""What visitors did, as a worker hears of it: by its own answers, and by the log, which brings what others took and what was before it started.

What belongs here: which event is counted when, and from where in which log. What does not: what an event changes (`api.served.live`), and
reading the log (`api.served.look`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from api.served.live import Live
from api.served.look import Look, Place
from api.served.once import Once
from plinth.online import Event, StoredEvent


class Heard:
    """The events of a worker.

    Attributes:
        place: up to where the log is known; None before the first look.
    """

    def __init__(self, live: Live, hours: float) -> None:
        self.place: Place | None = None
        self._live = live
        self._once = Once()
        self._lasting = timedelta(hours=hours)

    def since(self) -> datetime:
        """Before that nothing counts any more."""
        return datetime.now(UTC) - self._lasting

    def begin(self, ids: Sequence[str]) -> None:
        """These events are about to be made durable here."""
        self._once.begin(ids)

    def count(self, events: Sequence[Event], accepted: Sequence[str]) -> list[Event]:
        """Counts those that were accepted; gives those that change a list."""
        fresh = set(accepted)
        counted = []
        for event in events:
            if event.event_id in fresh:
                # The same id twice in a request: the first one is the event.
                fresh.discard(event.event_id)
                self._once.accepted(event.event_id)
                if self._apply(event, datetime.now(UTC)):
                    counted.append(event)
        return counted

    def end(self, ids: Sequence[str]) -> None:
        """These are answered, or failed. What failed may have landed all the same: then the log brings it, like what another process took."""
        for event in self._once.end(ids):
            self._apply(event, event.appended_at)

    def take(self, seen: Look) -> None:
        """Counts what a look at the log brought, and forgets who did nothing for long."""
        if seen.anew:
            # Another log than before, or an older copy of it: what counts is what it says, and it is read again.
            self._live.clear()
            self._once.start_over()
        for event in seen.events:
            if self._once.seen(event):
                self._apply(event, event.appended_at)
        self.place = seen.place
        self._live.expire(self.since())

    def _apply(self, event: Event | StoredEvent, arrived: datetime) -> bool:
        """Lets an event change lists, unless it is history: what a shop sends of last year, or a telephone that was off for days, is no visit.

        By the sender's clock, which may be wrong: one that is ahead counts as now.
        """
        if event.at <= arrived - self._lasting:
            return False
        self._live.apply(event, arrived)
        return True
