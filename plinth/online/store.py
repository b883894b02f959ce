"""The online store as the rest of the platform sees it: one object over one address.

What belongs here: the store's operations by name, each a call into the module that does it. What does not: any SQL.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType

from sqlalchemy import Connection

from plinth.errors import ConfigurationError
from plinth.online import events as log
from plinth.online.address import parse_address
from plinth.online.database import Database
from plinth.online.errors import VersionMissing
from plinth.online.model import AppendResult, Document, Event, OnlineVersion, StoredEvent, storable
from plinth.online.publish import point_to, publish
from plinth.online.reader import OnlineReader
from plinth.online.reading import Reading
from plinth.online.schema import EVENT_COUNTER, LOG_NAME, WITHHELD_COUNTER
from plinth.online.sweep import prune
from plinth.online.withhold import withhold
from plinth.platform import Platform


class OnlineStore(OnlineReader):
    """Documents in versions, and the log of events, in SQLite, PostgreSQL or CockroachDB.

    Opening does not connect: the store may come later than its users. Every method can raise `StoreUnavailable`; those that write also
    `StoreConflict`. Both are passing faults.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self.address = parse_address(url)
        self._reading = Reading(self.address)
        self._database = None if read_only else Database(self.address)
        super().__init__(self._reading)

    @classmethod
    def open(cls, url: str, *, read_only: bool = False) -> OnlineStore:
        """The store at `sqlite:///path`, `postgresql://…` or `cockroachdb://…`.

        Args:
            read_only: refuse whatever writes, and never make the tables; for those who have no right to write.

        Raises:
            ConfigurationError: the store cannot be kept at this address.
        """
        return cls(url, read_only=read_only)

    @classmethod
    def of(cls, platform: Platform, *, read_only: bool = False) -> OnlineStore:
        """The store that `stores.online` of a platform names.

        Raises:
            ConfigurationError: as `open`, or the environment variable that it names is not set.
        """
        return cls(platform.online_url(), read_only=read_only)

    def __enter__(self) -> OnlineStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes every connection, also those of other threads."""
        self._reading.close()
        if self._database is not None:
            self._database.close()

    def set_up(self) -> None:
        """Makes the tables where they are missing. The first write does it by itself."""
        self._writing().set_up()

    def publish(self, documents: Iterable[Document], *, inputs: Mapping[str, str], label: str = "") -> OnlineVersion:
        """Publishes all documents as one version, which readers see from one moment on, whole.

        The documents are all that the version holds: what was there before and does not come is gone. A document that did not change is
        not written. Where nothing at all changed, inputs and label neither, the version that is there is confirmed and given back.
        The stream is read once, and never held in memory.

        Raises:
            PublishSuperseded: another publisher began after this one.
            DocumentRefused: a document cannot be stored, or comes twice. In both cases readers go on to see what they saw.
        """
        number = publish(self._writing(), self, documents, inputs, label)
        return self._version(number)

    def rollback(self, to: int | None = None) -> OnlineVersion:
        """Makes an older version the current one, at once; by default the one before it. The next publish ends the rollback.

        Raises:
            VersionMissing: it is not kept, or there is none before.
        """
        database = self._writing()

        def work(connection: Connection) -> int:
            ids: list[int] = list(connection.execute(database.writes.published_ids).scalars())
            now = connection.execute(database.writes.pointed).scalar()
            chosen = to if to is not None else next((each for each in ids if now is not None and each < now), None)
            if chosen is None or connection.execute(database.writes.hold_version, {"version": chosen}).rowcount != 1:
                raise VersionMissing(
                    f"version {to} of the online store is not kept" if to else "no older version is kept",
                    expected=f"one of {', '.join(map(str, ids)) or 'none: nothing was published'}",
                    found=to,
                    remedy="`plinth online versions` lists them",
                )
            point_to(database, connection, chosen)
            return chosen

        return self._version(database.transact(work))

    def prune(self, keep: int) -> int:
        """Keeps the newest `keep` versions, the current one and what lies between; gives how many were taken away."""
        return prune(self._writing(), keep)

    def withhold(self, kind: str, keys: Collection[str]) -> bool:
        """Shows these documents of a kind to nobody from now on, in whichever version, and all others of the kind again.

        Neither a publish nor a rollback changes that. Returns whether anything changed.
        """
        return withhold(self._writing(), kind, keys)

    def withheld_change(self) -> int:
        """Grows with each `withhold`: whoever keeps a copy of `withheld` asks this first, and only then for all of it."""
        return self._counter(WITHHELD_COUNTER)

    def append_events(self, events: Sequence[Event]) -> AppendResult:
        """Stores a batch of events in one transaction, and returns when it is on the disk.

        An event whose id is in the log already is reported as repeated, and the one that came first stays.

        Raises:
            EventRefused: an event cannot be stored as it is; nothing of the batch was.
        """
        return log.append(self._writing(), events)

    def events(self, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        """The next events of the log after a number, in its order. An event is never added before one that was seen."""
        return log.after(self._reading, after, limit)

    def events_of(
        self,
        *,
        customer: str | None = None,
        session: str | None = None,
        since: datetime | None = None,
        limit: int = 200,
    ) -> list[StoredEvent]:
        """The newest `limit` events of a customer, or of a session where no customer is given, oldest first."""
        return log.of(self._reading, customer, session, since, limit)

    def last_event(self) -> int:
        """The highest number that the log has given out."""
        return self._counter(EVENT_COUNTER)

    def log_name(self) -> str:
        """Tells this log from any other, also from one that takes its place at the same address."""
        return f"{self._counter(LOG_NAME):016x}"

    def forget_events(self, *, up_to: int, before: datetime) -> int:
        """Removes events numbered up to `up_to` and stored before a time; gives how many. Their ids would be taken as new again."""
        return log.forget(self._writing(), up_to, before)

    def erase_events(self, customer: str) -> int:
        """Removes every event of a customer from the log, with those of his sessions in which he was not known yet; gives how many."""
        return log.erase(self._writing(), customer) if storable(customer) else 0

    def _counter(self, name: str) -> int:
        rows = self._reading.rows("counter", {"counter": name})
        return int(rows[0][0]) if rows else 0

    def _writing(self) -> Database:
        if self._database is None:
            raise ConfigurationError(
                "the online store was opened for reading only", where=self.address.text, remedy="open it for writing"
            )
        return self._database

    def _version(self, number: int) -> OnlineVersion:
        found = next((each for each in self.versions() if each.id == number), None)
        if found is None:
            raise VersionMissing(f"version {number} was taken away again by another", where=self.address.text)
        return found
