"""An SQLite file as a source.

Everything goes through the SQLite inside DuckDB's extension, looks at the catalogue too: two SQLite libraries in one process undo each
other's file locks (POSIX locks belong to the process; one library that closes the file drops the other's), and then a commit slips into
what should be one snapshot.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from plinth.engine import connect, literal, load_extension, quote
from plinth.errors import PlinthError, SourceUnavailable
from plinth.profile import Profile
from plinth.sources import faults
from plinth.sources.address import Address
from plinth.sources.catalogue import SourceTable
from plinth.sources.horizon import is_ahead, not_ahead
from plinth.sources.source import Probe, Source

if TYPE_CHECKING:
    import duckdb

    from plinth.contracts.model import Table
    from plinth.sources.snapshot import Snapshot

ATTACHED = "plinth_sqlite"
_LOOK, _LOOK_MEMORY = Profile(cpu=1, memory=128 * 2**20), 96 * 2**20
_HEADER = 100


class SQLiteSource(Source):
    """An SQLite file; each look opens it anew."""

    dialect = "sqlite"

    def __init__(self, address: Address) -> None:
        self.address = address
        self._looks: duckdb.DuckDBPyConnection | None = None
        self._one_look = threading.Lock()

    def tables(self, schema: str | None = None, name: str | None = None) -> Sequence[SourceTable]:
        from plinth.sources.sqlite import catalogue

        with self._look() as con:
            return catalogue.describe(lambda sql: query(con, sql), name)

    def names(self) -> Sequence[tuple[str | None, str]]:
        from plinth.sources.sqlite import catalogue

        with self._look() as con:
            return catalogue.names(lambda sql: query(con, sql))

    def probe(self, table: Table) -> Probe:
        """With a cursor: the count and the highest value. Without: the file's change counter and the state of its write-ahead log, which
        any change to any of its tables moves."""
        self.describe_table(table)
        if table.cursor is None:
            return Probe(token=self._token())
        name, cursor = quote(table.physical_name), quote(table.column(table.cursor).physical_name)
        highest = f"SELECT max({cursor}) AS w FROM {name}"
        with self._look() as con:
            rows, last = query(con, f"SELECT count(*) AS n, ({highest}) AS w FROM {name}")[0]
            behind = query(con, f"{highest} WHERE {not_ahead(cursor, last)}")[0][0] if is_ahead(last) else None
        return Probe(rows=int(rows), watermark=last, token=behind)

    def snapshot(
        self, con: duckdb.DuckDBPyConnection, tables: Iterable[Table] = ()
    ) -> AbstractContextManager[Snapshot]:
        from plinth.sources.sqlite.snapshot import open_snapshot

        return open_snapshot(self, con)

    def explain(self, error: Exception, table: Table) -> PlinthError:
        return faults.explain(self.address, error, table)

    def attach(self, con: duckdb.DuckDBPyConnection) -> None:
        """Attaches the file to a DuckDB connection, read-only.

        Raises:
            SourceUnavailable: there is no such file, or it cannot be opened.
        """
        import duckdb

        if not os.path.isfile(self.address.database):
            raise SourceUnavailable(
                "the SQLite file is not there",
                expected="a file",
                found="nothing",
                where=self.address.database,
                remedy="mend the url in platform.yaml, mount the folder, or make the sample: plinth sample",
            )
        load_extension(con, "sqlite_scanner")
        try:
            con.execute(f"ATTACH {literal(self.address.database)} AS {ATTACHED} (TYPE sqlite, READ_ONLY)")
            query(con, "SELECT count(*) AS n FROM sqlite_master")
        except duckdb.Error as error:
            con.execute(f"DETACH DATABASE IF EXISTS {ATTACHED}")
            raise faults.explain(self.address, error, None) from error

    def close(self) -> None:
        with self._one_look:
            if self._looks is not None:
                self._looks.close()
                self._looks = None

    @contextmanager
    def _look(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A DuckDB with the file attached; it is kept, since loading the extension takes 0.2 s, but the file is let go."""
        with self._one_look:
            if self._looks is None:
                self._looks = connect(_LOOK, memory=_LOOK_MEMORY)
            self.attach(self._looks)
            try:
                with faults.translated(self.address):
                    yield self._looks
            finally:
                self._looks.execute(f"DETACH DATABASE {ATTACHED}")

    def _token(self) -> str:
        """The file's header with its change counter, its size, and the same of the log. A checkpoint moves it too, without a change."""
        parts = []
        for path in (self.address.database, self.address.database + "-wal"):
            try:
                with open(path, "rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    head = file.read(_HEADER)
            except FileNotFoundError:
                parts.append("-")
                continue
            parts.append(
                f"{size}:{head[24:28].hex()}:{head[92:96].hex()}"
                if path == self.address.database
                else f"{size}:{head[:32].hex()}"
            )
        return " ".join(parts)


def query(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query that SQLite runs; every value comes as text."""
    return con.execute(f"SELECT * FROM sqlite_query({literal(ATTACHED)}, {literal(sql)})").fetchall()
