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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TextIO, TypeVar

from api.events.writer import EventWriter
from api.keys.ring import Ring
from api.keys.table import KeyTable
from api.served.heard import Heard
from api.served.live import Live
from api.served.look import PAGE, Look, Withheld, look, set_up
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
        verified_at: when a publish last found that the served version is still what its inputs say, UTC.
        stale_since: when the store answered last, by the monotonic clock; None while it does.
        trailing: headers that every answer carries now, besides its own.
    """

    def __init__(self, url: str, settings: Api, *, counters: Path, log: TextIO | None = None, workers: int = 1) -> None:
        self.settings = settings
        self.store = OnlineStore.open(url)
        self.keys = KeyTable(url)
        self.ring = Ring(workers)
        self.live = Live(settings.sessions)
        self.counters = Counters(counters)
        self.log = RequestLog(log or sys.stdout, self.counters)
        self.shelf: Shelf | None = None
        self.verified_at: datetime | None = None
        self.stale_since: float | None = None
        self.draining = False
        self.trailing: list[tuple[bytes, bytes]] = []
        self._pool = ThreadPoolExecutor(4, "plinth-store")
        self._writer = EventWriter(self.store)
        self._heard = Heard(self.live, settings.session_hours)
        self._set_up = False
        self._seen_at = time.monotonic()
        self._withheld = Withheld()
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
        # A connection that is closed while a thread reads from it ends the process. A read that hangs ends after the store's seconds.
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
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
        if body is None:
            return None
        shelf.remember(kind, key, body)
        # What was withheld while the store was asked counts as well.
        return self._shown_now(shelf).shown(kind, key, body)

    async def fetch_many(self, shelf: Shelf, kind: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The documents of some keys of the version that a shelf holds, by key: from the copy, and what is not in it from the store at once.

        Of a kind with documents that are not shown to everybody this asks nothing: it is for features.

        Raises:
            StoreUnavailable: one is not in the copy, and the store does not answer, or has pruned the version meanwhile.
        """
        held = {key: body for key in keys if (body := shelf.get(kind, key)) is not None}
        missing = [key for key in keys if key not in held]
        if not missing or kind in shelf.whole:
            return held
        self.counters.add("store_reads")
        try:
            async with asyncio.timeout(self.settings.request_seconds / 2):
                read = partial(self.store.read_many, kind, missing, version=shelf.version.id)
                found = await self.on_pool(read)
        except TimeoutError:
            raise StoreUnavailable("the store did not answer in time") from None
        except VersionMissing:
            # Values of two versions must not stand beside each other: asked again, the newer one answers.
            raise StoreUnavailable("the version was replaced while it was read") from None
        for key, body in found.items():
            shelf.remember(kind, key, body)
        return {**held, **found}

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
        if self.stale_since is not None:
            # What the look finds away or broken is no place for an event, whatever a write into it would say.
            raise StoreUnavailable("the store does not answer")
        ids = [event.event_id for event in events]
        self._heard.begin(ids)
        accepted: list[str] = []
        try:
            async with asyncio.timeout(self.settings.request_seconds):
                result = await self._writer.append(events)
            accepted = result.accepted
            counted = self._heard.count(events, accepted)
            if self.shelf is not None and counted:
                self.live.renew(counted, self.shelf)
        except TimeoutError:
            raise StoreUnavailable("the events were not durable in time") from None
        finally:
            self._heard.end(ids)
            self.counters.add("events_accepted", len(accepted))
        self.counters.add("events_repeated", len(result.repeated))
        return result

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
            self._show_today()

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
        self._withheld = seen.withheld
        self._show_today()
        self._heard.take(seen)
        self._follow(seen.version)
        return len(seen.events) == PAGE

    def _look(self) -> Look:
        # Once in a worker's life: a store that was there before has its tables.
        if not self._set_up and set_up(self.store, self.keys):
            self._set_up = True
        return look(self.store, self.keys, self._heard.place, self._withheld, self._heard.since())

    def _follow(self, version: OnlineVersion | None) -> None:
        serves = self.shelf is not None and version is not None and self.shelf.version.id == version.id
        if serves and version is not None:
            # A publish that changes nothing confirms the version that is there.
            self.verified_at = version.verified_at
        if version is None or serves or (self._loading is not None and not self._loading.done()):
            return
        self._loading = asyncio.create_task(self._load(version))

    async def _load(self, version: OnlineVersion) -> None:
        started = time.monotonic()
        try:
            shelf = await self.on_pool(partial(load_shelf, self.store, version, int(self.settings.memory)))
        except PlinthError as error:
            # The next look finds out whether the store is away or a newer version there.
            logger().warning("a version could not be loaded", extra={"facts": {"error": type(error).__name__}})
            return
        if shelf.model_refused:
            logger().error("the item model of the version cannot be used: events change no list")
        self.shelf, self.verified_at = shelf, version.verified_at
        self._show_today()
        self.live.new_version()
        # What was just loaded stays for hours: no collection of garbage has to look through it again.
        gc.collect()
        gc.freeze()
        self.counters.add("versions_loaded")
        facts = {"version": version.id, "bytes": shelf.size, "seconds": round(time.monotonic() - started, 3)}
        logger().info("version loaded", extra={"facts": {**facts, "documents": dict(shelf.counts())}})

    def _show_today(self) -> None:
        """Lays today and today's consents over the copy; also while the store is away, since days pass."""
        if self.shelf is not None:
            self.shelf = self._shown_now(self.shelf)

    def _shown_now(self, shelf: Shelf) -> Shelf:
        return shelf.on(self._withheld.customers, datetime.now(UTC).date())

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
