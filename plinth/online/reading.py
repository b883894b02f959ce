"""Reads outside of transactions, each one statement over a kept connection: what the API's hot path goes through.

What belongs here: one connection a thread, prepared statements, and finding out that the store is away or was replaced. What does not:
which statements there are (`statements`).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Mapping
from typing import Any

import psycopg
from sqlalchemy import Select

from plinth.online.address import BUSY_SECONDS, Address, connect_options, prepare_reader
from plinth.online.database import unavailable
from plinth.online.statements import READS, Prepared, prepare

Row = tuple[Any, ...]

_STATEMENT_MILLISECONDS = 5000


class Reading:
    """The reading side of one store, for any number of threads.

    A connection is opened by the first read of a thread, so that the store need not be there before; a broken one is replaced.

    Args:
        reads: the statements by name; those of the store's own tables by default. Who keeps a table of his own in the store's database
            gives his, and reads it in the same way.
    """

    def __init__(self, address: Address, reads: Mapping[str, Select[Any]] = READS) -> None:
        self.address = address
        self._reads = reads
        # The dialect alone: this engine is never connected.
        self._dialect = address.engine().dialect
        self._prepared: dict[str, Prepared] = {}
        self._mine = threading.local()
        self._all: list[sqlite3.Connection | psycopg.Connection[Row]] = []
        self._registering = threading.Lock()
        self.rows = self._sqlite_rows if address.file is not None else self._server_rows

    def close(self) -> None:
        """Closes the connections of all threads."""
        with self._registering:
            for connection in self._all:
                connection.close()
            self._all.clear()
        self._mine = threading.local()

    def _statement(self, name: str) -> Prepared:
        found = self._prepared.get(name)
        if found is None:
            found = self._prepared[name] = prepare(self._reads[name], self._dialect)
        return found

    def _sqlite_rows(self, name: str, values: dict[str, Any]) -> list[Row]:
        statement = self._prepared.get(name) or self._statement(name)
        try:
            place = os.stat(str(self.address.file))
            mine = getattr(self._mine, "sqlite", None)
            # An open file stays readable after it was removed or replaced: without this look, old answers would go on for ever.
            if mine is None or mine[1] != place.st_ino or mine[2] != place.st_dev:
                mine = self._connect_sqlite(place)
            found: list[Row] = (
                mine[0].execute(statement.text, [values[key] for key in statement.order or ()]).fetchall()
            )
        except (sqlite3.Error, OSError) as error:
            self._forget()
            raise unavailable(self.address, error) from error
        return found

    def _connect_sqlite(self, place: os.stat_result) -> tuple[sqlite3.Connection, int, int]:
        self._forget()
        connection = sqlite3.connect(
            str(self.address.file), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        prepare_reader(connection)
        self._keep(connection)
        mine = self._mine.sqlite = (connection, place.st_ino, place.st_dev)
        return mine

    def _server_rows(self, name: str, values: dict[str, Any]) -> list[Row]:
        statement = self._prepared.get(name) or self._statement(name)
        kept: psycopg.Connection[Row] | None = getattr(self._mine, "server", None)
        try:
            if kept is not None:
                try:
                    return self._server_fetch(kept, statement, values)
                except psycopg.OperationalError:
                    # The server may have been restarted since; a read can be asked once more.
                    self._forget()
            return self._server_fetch(self._connect_server(), statement, values)
        except psycopg.Error as error:
            self._forget()
            raise unavailable(self.address, error) from error

    @staticmethod
    def _server_fetch(connection: psycopg.Connection[Row], statement: Prepared, values: dict[str, Any]) -> list[Row]:
        # Binary results: a body comes as its bytes, not as hexadecimal text.
        cursor = connection.cursor(binary=True)
        return cursor.execute(statement.text, values, prepare=True).fetchall()

    def _connect_server(self) -> psycopg.Connection[Row]:
        arguments, options = self._dialect.create_connect_args(self.address.url)
        connection: psycopg.Connection[Row] = psycopg.connect(
            *arguments, **{**connect_options(), **options}, autocommit=True
        )
        connection.execute("SET default_transaction_read_only = on")
        connection.execute(f"SET statement_timeout = {_STATEMENT_MILLISECONDS}")
        self._keep(connection)
        self._mine.server = connection
        return connection

    def _keep(self, connection: sqlite3.Connection | psycopg.Connection[Row]) -> None:
        with self._registering:
            self._all.append(connection)

    def _forget(self) -> None:
        mine = getattr(self._mine, "sqlite", None)
        connection = mine[0] if mine is not None else getattr(self._mine, "server", None)
        self._mine.sqlite = self._mine.server = None
        if connection is not None:
            connection.close()
            with self._registering:
                if connection in self._all:
                    self._all.remove(connection)
