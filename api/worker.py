"""What one worker process holds, and the task that keeps it up to date with the store.

What belongs here: the parts and how they change each other: a new version, keys, events of others, the store going away. What does not:
HTTP (`api.http`, `api.routes`). Everything here runs on the event loop; what blocks runs on the pool's threads.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TextIO, TypeVar

from api.events.writer import EventWriter
from api.keys.ring import Ring
from api.keys.table import KeyTable
from api.served.live import Live
from api.served.look import PAGE, Look, last_before, look, set_up
from api.served.once import Once
from api.served.shelf import Shelf, load_shelf
from api.telemetry.counters import Counters
from api.telemetry.log import RequestLog, logger
from plinth.api_settings import Api
from plinth.errors import PlinthError
from plinth.online import AppendResult, Event, OnlineStore, OnlineVersion, StoreUnavailable, VersionMissing
from plinth.serving.lengths import LIST_KIND, REST_KIND

T = TypeVar("T")

_LOOK_SECONDS = 3.0
_FIRST_SECONDS = 30.0


class Worker:
    """The parts of one worker.

    Attributes:
        shelf: the copy of the served version; None until the first is loaded.
        stale_since: when the store answered last, by the monotonic clock; None while it does.
        trailing: headers that every answer carries now, besides its own.
    """

    def __init__(self, url: str, settings: Api, *, counters: Path, log: TextIO | None = None) -> None:
        self.settings = settings
        self.store = OnlineStore.open(url)
        self.keys = KeyTable(url)
        self.ring = Ring()
        self.live = Live(settings.sessions)
        self.counters = Counters(counters)
        self.log = RequestLog(log or sys.stdout, self.counters)
        self.shelf: Shelf | None = None
        self.stale_since: float | None = None
        self.draining = False
        self.trailing: list[tuple[bytes, bytes]] = []
        self._pool = ThreadPoolExecutor(4, "plinth-store")
        self._writer = EventWriter(self.store)
        self._once = Once()
        self._set_up = False
        self._seen_at = time.monotonic()
        self._cursor: int | None = None
        self._looking: asyncio.Future[Look] | None = None
        self._loading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Loads what is served, and begins to look out for what changes. Without a store it starts too, and is not ready."""
        try:
            async with asyncio.timeout(_FIRST_SECONDS):
                await self._look_once()
                if self._loading is not None:
                    await self._loading
                    # What visitors did before this worker started counts from its first answer on.
                    while await self._look_once():
                        pass
        except TimeoutError:
            self._went_away()
        self._watching = asyncio.create_task(self._watch())
        self._watching.add_done_callback(_end_without)

    async def stop(self) -> None:
        """Ends the look-out, writes the events that wait, and closes the store."""
        for task in (self._watching, self._loading):
            if task is not None:
                task.cancel()
        await asyncio.to_thread(self._writer.close)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.store.close()
        self.keys.close()
        self.log.flush()

    def drain(self) -> None:
        """From here on every answer asks its client to leave."""
        self.draining = True
        self._set_trailing()
        logger().info("draining", extra={"facts": {"seconds": self.settings.drain_seconds}})

    async def fetch(self, kind: str, key: str) -> bytes | None:
        """A document of the served version: from the copy, or from the store where that kind is not held whole.

        Raises:
            StoreUnavailable: it is not in the copy, and the store does not answer.
        """
        shelf = self.shelf
        if shelf is None:
            raise StoreUnavailable("nothing is loaded")
        body = shelf.get(kind, key)
        if body is not None or kind in shelf.whole:
            return body
        self.counters.add("store_reads")
        body = await self._read(shelf, kind, key)
        if body is not None:
            shelf.remember(kind, key, body)
        return body

    async def fetch_list(self, customer: str) -> list[bytes]:
        """The documents of a customer's stored list, in its order; none for a customer of whom nothing is stored.

        Raises:
            StoreUnavailable: its first rows are not in the copy, and the store does not answer.
        """
        first = await self.fetch(LIST_KIND, customer)
        if first is None:
            return []
        try:
            rest = await self.fetch(REST_KIND, customer)
        except StoreUnavailable:
            # The rows that everybody is sent are here: better a list from those than none.
            rest = None
        return [first] if rest is None else [first, rest]

    async def append(self, events: list[Event]) -> AppendResult:
        """Makes events durable, and then lets them change their visitors' lists.

        Raises:
            PlinthError: they were not made durable, or it is not known.
        """
        ids = [event.event_id for event in events]
        self._once.begin(ids)
        accepted: list[str] = []
        try:
            async with asyncio.timeout(self.settings.request_seconds):
                result = await self._writer.append(events)
            accepted = result.accepted
            self._count(events, set(accepted))
        except TimeoutError:
            raise StoreUnavailable("the events were not durable in time") from None
        finally:
            # What failed may have landed all the same: then the log brings it, like what another process took.
            for event in self._once.end(ids):
                self.live.apply(event, event.appended_at)
            self.counters.add("events_accepted", len(accepted))
        self.counters.add("events_repeated", len(result.repeated))
        return result

    def _count(self, events: list[Event], fresh: set[str]) -> None:
        counted = []
        for event in events:
            if event.event_id in fresh:
                # The same id twice in a request: the first one is the event.
                fresh.discard(event.event_id)
                counted.append(event)
                self._once.accepted(event.event_id)
                self.live.apply(event)
        if self.shelf is not None and counted:
            self.live.renew(counted, self.shelf)

    async def on_pool(self, work: Callable[[], T]) -> T:
        """Runs what blocks on one of the store's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _read(self, shelf: Shelf, kind: str, key: str) -> bytes | None:
        try:
            async with asyncio.timeout(self.settings.request_seconds / 2):
                return await self.on_pool(partial(self.store.read, kind, key, version=shelf.version.id))
        except TimeoutError:
            raise StoreUnavailable("the store did not answer in time") from None
        except VersionMissing:
            # Pruned under a worker that is still copying its successor: the newest one is the better answer than none.
            return await self.on_pool(partial(self.store.read, kind, key))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.settings.poll_seconds)
            if not self._writer.alive:
                raise RuntimeError("the thread that writes events has ended")
            while await self._look_once():
                pass

    async def _look_once(self) -> bool:
        """Looks, and acts on it; True where more events wait. Only one look is under way: a store that hangs holds one thread."""
        if self._looking is None:
            self._looking = asyncio.ensure_future(self.on_pool(self._look))
        try:
            seen = await asyncio.wait_for(asyncio.shield(self._looking), _LOOK_SECONDS)
        except TimeoutError:
            self._went_away()
            return False
        except PlinthError:
            self._looking = None
            self._went_away()
            return False
        self._looking = None
        self._came_back()
        self.ring.renew(seen.keys)
        for event in seen.events:
            if self._once.seen(event):
                self.live.apply(event, event.appended_at)
            self._cursor = event.sequence
        self._follow(seen.version)
        return len(seen.events) == PAGE

    def _look(self) -> Look:
        # Once in a worker's life: a store that was there before has its tables.
        if not self._set_up and set_up(self.store, self.keys):
            self._set_up = True
        return look(self.store, self.keys, self._cursor)

    def _follow(self, version: OnlineVersion | None) -> None:
        serves = self.shelf is not None and version is not None and self.shelf.version.id == version.id
        if version is None or serves or (self._loading is not None and not self._loading.done()):
            return
        self._loading = asyncio.create_task(self._load(version))

    async def _load(self, version: OnlineVersion) -> None:
        started = time.monotonic()
        try:
            shelf = await self.on_pool(partial(load_shelf, self.store, version, int(self.settings.memory)))
            if self._cursor is None:
                self._cursor = await self.on_pool(partial(last_before, self.store, version.published_at))
        except PlinthError as error:
            # The next look finds out whether the store is away or a newer version there.
            logger().warning("a version could not be loaded", extra={"facts": {"error": type(error).__name__}})
            return
        if shelf.model_refused:
            logger().error("the item model of the version cannot be used: events change no list")
        self.shelf = shelf
        self.live.start_over(version.published_at)
        # What was just loaded stays for hours: no collection of garbage has to look through it again.
        gc.collect()
        gc.freeze()
        self.counters.add("versions_loaded")
        facts = {"version": version.id, "bytes": shelf.size, "seconds": round(time.monotonic() - started, 3)}
        logger().info("version loaded", extra={"facts": {**facts, "documents": dict(shelf.counts())}})

    def _went_away(self) -> None:
        if self.stale_since is None:
            self.stale_since = self._seen_at
            logger().warning("the store does not answer")
        self._set_trailing()

    def _came_back(self) -> None:
        self._seen_at = time.monotonic()
        if self.stale_since is not None:
            self.stale_since = None
            logger().info("the store answers again")
            self._set_trailing()

    def _set_trailing(self) -> None:
        closing = [(b"connection", b"close")] if self.draining else []
        stale = []
        if self.stale_since is not None:
            seconds = b"%d" % (time.monotonic() - self.stale_since)
            stale = [(b"plinth-stale", seconds), (b"warning", b'110 - "the store does not answer"')]
        self.trailing = closing + stale


def _end_without(task: asyncio.Task[None]) -> None:
    # A worker that no longer looks out would serve an old version and revoked keys for ever: it ends, and is started anew.
    if not task.cancelled() and task.exception() is not None:
        logger().critical("a task of the worker failed", exc_info=task.exception())
        os.kill(os.getpid(), signal.SIGTERM)
