"""Where keys are kept: a table of its own in the online database, so that all workers and machines see the same ones.

What belongs here: the table, and its statements. What does not: what a key is (`api.keys.key`), and checking a request (`api.keys.ring`).
The table keeps to what SQLite, PostgreSQL and CockroachDB share, like the store's own tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
    select,
    update,
)
from sqlalchemy.schema import CreateTable

from api.keys.key import Key, KeyRefused, NewKey, new_key
from plinth.online.address import Address, parse_address
from plinth.online.database import Database
from plinth.online.model import from_microseconds, to_microseconds
from plinth.online.reading import Reading

_Number = BigInteger().with_variant(Integer(), "sqlite")

api_keys = Table(
    "api_keys",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("rate", Float, nullable=False),
    Column("burst", Float, nullable=False),
    Column("created_at", _Number, nullable=False),
    Column("expires_at", _Number),
    Column("revoked_at", _Number),
    comment="Keys of the API. Of a secret only its SHA-256 is here.",
)

_ALL = "all"


class KeyTable:
    """The keys of one online store.

    Every method can raise `StoreUnavailable`.
    """

    def __init__(self, url: str) -> None:
        self.address: Address = parse_address(url)
        self._database = Database(self.address)
        # In the way that the store's reads go: one kept connection a thread, a replaced file noticed.
        self._reading = Reading(self.address, {_ALL: select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)})
        self._seen: tuple[list[tuple[Any, ...]], Sequence[Key]] = ([], ())

    def set_up(self) -> None:
        """Makes the table where it is missing."""
        self._database.transact(lambda connection: connection.execute(CreateTable(api_keys, if_not_exists=True)).closed)

    def close(self) -> None:
        """Closes its connections."""
        self._reading.close()
        self._database.close()

    def all(self) -> Sequence[Key]:
        """Every key, also those that have ended, oldest first; the same sequence again while nothing changed."""
        rows, (before, keys) = self._reading.rows(_ALL, {}), self._seen
        if rows != before:
            keys = tuple(_key(row) for row in rows)
            self._seen = (rows, keys)
        return keys

    def add(self, key: Key) -> None:
        """Keeps a new key."""
        self._database.transact(lambda connection: connection.execute(insert(api_keys).values(_row(key))).rowcount)

    def revoke(self, identity: str) -> Key:
        """Ends a key now. Workers notice within their `poll_seconds`.

        Raises:
            KeyRefused: there is no such key.
        """

        def work(connection: Connection) -> Key:
            key = _find(connection, identity)
            if key.revoked_at is not None:
                return key
            ended = replace(key, revoked_at=datetime.now(UTC))
            _change(connection, ended)
            return ended

        return self._database.transact(work)

    def rotate(self, identity: str, overlap: timedelta, lasts: timedelta | None) -> tuple[NewKey, Key]:
        """Makes a key like another one, which ends after `overlap`; gives both. Both open the same in between.

        Args:
            lasts: how long the new one is valid; None: as long as the old one was made for, so that rotating takes no end away.

        Raises:
            KeyRefused: there is no such key, or it has ended.
        """

        def work(connection: Connection) -> tuple[NewKey, Key]:
            old = _find(connection, identity)
            now = datetime.now(UTC)
            if old.state(now) != "valid":
                raise KeyRefused(
                    f"the key {identity} has ended and cannot be rotated",
                    found=old.state(now),
                    remedy="plinth key create",
                )
            same = None if old.expires_at is None else old.expires_at - old.created_at
            fresh = new_key(
                old.name, old.scopes, rate=old.rate, burst=old.burst, lasts=same if lasts is None else lasts
            )
            end = now + overlap
            ending = replace(old, expires_at=end if old.expires_at is None else min(end, old.expires_at))
            connection.execute(insert(api_keys).values(_row(fresh.key)))
            _change(connection, ending)
            return fresh, ending

        return self._database.transact(work)


def _find(connection: Connection, identity: str) -> Key:
    row = connection.execute(select(api_keys).where(api_keys.c.id == identity)).first()
    if row is None:
        raise KeyRefused(f"there is no key {identity}", remedy="plinth key list")
    return _key(tuple(row))


def _change(connection: Connection, key: Key) -> None:
    row = _row(key)
    connection.execute(
        update(api_keys)
        .where(api_keys.c.id == key.id)
        .values(expires_at=row["expires_at"], revoked_at=row["revoked_at"])
    )


def _row(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "digest": key.digest,
        "scopes": " ".join(sorted(key.scopes)),
        "rate": key.rate,
        "burst": key.burst,
        "created_at": to_microseconds(key.created_at),
        "expires_at": None if key.expires_at is None else to_microseconds(key.expires_at),
        "revoked_at": None if key.revoked_at is None else to_microseconds(key.revoked_at),
    }


def _key(row: tuple[Any, ...]) -> Key:
    identity, name, digest, scopes, rate, burst, created, expires, revoked = row
    return Key(
        id=identity,
        name=name,
        digest=bytes(digest),
        scopes=frozenset(scopes.split()),
        rate=rate,
        burst=burst,
        created_at=from_microseconds(created),
        expires_at=None if expires is None else from_microseconds(expires),
        revoked_at=None if revoked is None else from_microseconds(revoked),
    )
