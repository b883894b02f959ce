"""Transactions of the store: begun serialisable, tried again as a whole when they lose against others, never in part.

What belongs here: connections that write, retries, the set-up of the tables, and what an error of a driver means. What does not: the
statements (`statements`) and the reads (`reading`).
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from plinth.online.address import Address
from plinth.online.errors import StoreConflict, StoreUnavailable
from plinth.online.schema import (
    CHANGE_COUNTER,
    EVENT_COUNTER,
    LOG_NAME,
    VERSION_COUNTER,
    WITHHELD_COUNTER,
    counters,
    metadata,
)
from plinth.online.statements import Writes, writes

T = TypeVar("T")

ATTEMPTS = 14
"""With waits of 5 ms that double up to half a second, some 3 s on average, as long as a burst of writers lasts."""

_FIRST_WAIT, _LONGEST_WAIT = 0.005, 0.5
_LOST = {"40001", "40P01"}
_MADE_MEANWHILE = {"23505", "42P07", "42710", "XX000"}
"""What PostgreSQL says when two set up the same table at the same time, IF NOT EXISTS or not."""

_COUNTERS = (VERSION_COUNTER, CHANGE_COUNTER, EVENT_COUNTER, WITHHELD_COUNTER)
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class Database:
    """The writing side of one store. Any thread may use it; each transaction has a connection of its own."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.engine = address.engine()
        self.writes: Writes = writes(self.engine.dialect.name)
        self._ready = False
        self._place: tuple[int, int] | None = None
        self._setting_up = threading.Lock()

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` in one transaction. It may be run several times, and so must depend on nothing but what it reads in there.

        Raises:
            StoreConflict: it lost against other transactions each time.
            StoreUnavailable: the store does not answer.
        """
        self.set_up()
        found = self._attempt(work, _LOST)
        if self.address.place() != self._place:
            raise unavailable(self.address, FileNotFoundError("the file was taken away or replaced meanwhile"))
        return found

    def set_up(self) -> None:
        """Makes the tables that are missing; once for each store, and safe beside others who do the same.

        Raises:
            StoreUnavailable: the store does not answer, or its file is gone: a new one in its place would hide that.
        """
        if self._ready and self.address.place() == self._place:
            return
        with self._setting_up:
            if self._ready:
                self._leave_old_file()
            if not self._ready:
                if self.address.file is not None:
                    _make_folder(self.address)
                if not self._has_tables():
                    self._make_tables()
                self._place, self._ready = self.address.place(), True

    def _leave_old_file(self) -> None:
        """An SQLite file that was removed or replaced stays writable for those who have it open, and what they write is gone with it."""
        here = self.address.place()
        if here is None and self.address.file is not None:
            raise unavailable(self.address, FileNotFoundError())
        if here != self._place:
            self.engine.dispose()
            self._ready = False

    def close(self) -> None:
        """Closes the connections."""
        self.engine.dispose()

    def _attempt(self, work: Callable[[Connection], T], again: set[str]) -> T:
        for attempt in range(ATTEMPTS):
            try:
                with self.engine.connect() as connection, connection.begin():
                    return work(connection)
            except DBAPIError as error:
                if not _passes(error, again):
                    raise unavailable(self.address, error.orig) from error
                last = error
            except (SQLAlchemyError, OSError) as error:
                raise unavailable(self.address, error) from error
            # Full jitter: those who met once would otherwise meet again.
            time.sleep(random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt)))
        raise StoreConflict(
            f"a transaction of the online store lost against others {ATTEMPTS} times",
            found=str(last.orig).splitlines()[0],
            where=self.address.text,
            remedy="nothing of it was written: try again, and look for a long transaction or for many writers",
        )

    def _make_tables(self) -> None:
        # Each in a transaction of its own: CockroachDB changes a schema in the background, and advises against several changes in one.
        for table in metadata.sorted_tables:
            self._make(CreateTable(table, if_not_exists=True))
            for index in sorted(table.indexes, key=lambda each: str(each.name)):
                self._make(CreateIndex(index, if_not_exists=True))
        rows = [{"name": name, "value": 0} for name in _COUNTERS]
        rows.append({"name": LOG_NAME, "value": random.SystemRandom().getrandbits(62)})
        self._attempt(lambda connection: connection.execute(self.writes.seed_counter, rows).rowcount, _LOST)

    def _make(self, statement: ExecutableDDLElement) -> None:
        self._attempt(lambda connection: connection.execute(statement).closed, _LOST | _MADE_MEANWHILE)

    def _has_tables(self) -> bool:
        """Whether a set-up was finished before, by today's tables; the counters' rows are its last step."""

        def work(connection: Connection) -> bool:
            if not inspect(connection).has_table(counters.name):
                return False
            return bool(connection.execute(self.writes.counted).scalar_one() > len(_COUNTERS))

        return self._attempt(work, _LOST)

    def take_numbers(self, connection: Connection, counter: str, many: int = 1) -> int:
        """The last of `many` new numbers. The counter's row is held until the commit, so numbers become visible in their order."""
        return int(connection.execute(self.writes.take_numbers, {"counter": counter, "many": many}).scalar_one())


def unavailable(address: Address, error: object) -> StoreUnavailable:
    """The error for a store that did not answer as a store does."""
    lines = str(error).strip().splitlines()
    if isinstance(error, FileNotFoundError):
        return StoreUnavailable(
            "there is no online store yet, or it was taken away",
            where=address.text,
            remedy="publish into it: materialise serving/online (plinth run)",
        )
    return StoreUnavailable(
        "the online store did not answer",
        found=f"{type(error).__name__}: {lines[0] if lines else ''}",
        where=address.text,
        remedy="see that the database runs, that its disk is not full, and that its address in stores.online is right; then try again",
    )


def _passes(error: DBAPIError, again: set[str]) -> bool:
    origin: Any = error.orig
    if isinstance(origin, sqlite3.Error):
        # Extended codes carry the primary one in their low byte.
        return (getattr(origin, "sqlite_errorcode", 0) or 0) & 0xFF in _BUSY
    return getattr(origin, "sqlstate", None) in again


def _make_folder(address: Address) -> None:
    assert address.file is not None
    try:
        address.file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unavailable(address, error) from error
