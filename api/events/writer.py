"""Group commit: the events of all requests that wait are made durable in one transaction.

One thread writes. While a transaction is under way the next requests gather, and go together in the next one; so a commit's cost is
shared by as many requests as come in its time, and a lone request waits for nobody. An answer is given only after its commit.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from plinth.errors import PlinthError
from plinth.online import AppendResult, Event, OnlineStore, StoreUnavailable

_LARGEST_GROUP = 2_000
_MOST_WAITING = 20_000


class WriterBusy(PlinthError):
    """More events wait to be made durable than may wait; none of this request was taken."""

    transient = True


@dataclass
class _Waiting:
    events: Sequence[Event]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[AppendResult]


class EventWriter:
    """Appends events to the store, on a thread of its own."""

    def __init__(self, store: OnlineStore) -> None:
        self._store = store
        self._waiting: list[_Waiting] = []
        self._count = 0
        self._wake = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._work, name="plinth-events", daemon=True)
        self._thread.start()

    async def append(self, events: Sequence[Event]) -> AppendResult:
        """Returns once the events are durable.

        Raises:
            WriterBusy: too many events wait.
            PlinthError: the store failed; whether the events landed is not known where it could not be reached. Sending them again is safe.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(events, loop, loop.create_future())
        with self._wake:
            if self._ending or self._count + len(events) > _MOST_WAITING:
                raise WriterBusy("too many events wait to be written", remedy="send them again in a second")
            self._waiting.append(waiting)
            self._count += len(events)
            self._wake.notify()
        return await waiting.future

    @property
    def alive(self) -> bool:
        """Whether its thread still works; one that met a fault of ours does not."""
        return self._thread.is_alive()

    def close(self, seconds: float = 5) -> None:
        """Writes what waits, and ends."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        self._thread.join(seconds)

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._ending:
                    self._wake.wait()
                if not self._waiting:
                    return
                group = self._next_group()
            self._write(group)

    def _next_group(self) -> list[_Waiting]:
        taken, size = 0, 0
        for each in self._waiting:
            if taken and size + len(each.events) > _LARGEST_GROUP:
                break
            taken, size = taken + 1, size + len(each.events)
        group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        self._count -= size
        return group

    def _write(self, group: list[_Waiting]) -> None:
        try:
            result = self._store.append_events(_once([each.events for each in group]))
        except StoreUnavailable as error:
            for each in group:
                _settle(each, error)
        except PlinthError as error:
            # One request's events may be what the store refuses: the others must not fail with it.
            if len(group) == 1:
                _settle(group[0], error)
            else:
                for each in group:
                    self._write([each])
        else:
            fresh = set(result.accepted)
            for each in group:
                _settle(each, _share(each.events, fresh))


def _once(requests: Sequence[Sequence[Event]]) -> list[Event]:
    return list({event.event_id: event for events in reversed(requests) for event in reversed(events)}.values())[::-1]


def _share(events: Sequence[Event], fresh: set[str]) -> AppendResult:
    """What of the group's result belongs to one request: an id that two requests sent is accepted in the first."""
    accepted, repeated = [], []
    for event in events:
        if event.event_id in fresh:
            fresh.discard(event.event_id)
            accepted.append(event.event_id)
        else:
            repeated.append(event.event_id)
    return AppendResult(accepted, repeated)


def _settle(waiting: _Waiting, result: AppendResult | PlinthError) -> None:
    def settle() -> None:
        if waiting.future.done():
            return
        if isinstance(result, AppendResult):
            waiting.future.set_result(result)
        else:
            waiting.future.set_exception(result)

    if not waiting.loop.is_closed():
        waiting.loop.call_soon_threadsafe(settle)
