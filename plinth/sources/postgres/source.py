"""A PostgreSQL database as a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from plinth.engine import quote
from plinth.errors import PlinthError, SourceUnreadable
from plinth.sources import faults
from plinth.sources.address import Address
from plinth.sources.catalogue import SourceTable
from plinth.sources.horizon import is_ahead, not_ahead
from plinth.sources.postgres import catalogue
from plinth.sources.postgres.counters import counters
from plinth.sources.source import Look, Probe, Source

if TYPE_CHECKING:
    import duckdb
    import psycopg

    from plinth.contracts.model import Table
    from plinth.sources.snapshot import Snapshot

_CONNECT_SECONDS = 10


class PostgresSource(Source):
    """A PostgreSQL database; each look opens a connection of its own."""

    dialect = "postgresql"

    def __init__(self, address: Address) -> None:
        self.address = address

    def tables(self, schema: str | None = None, name: str | None = None) -> Sequence[SourceTable]:
        with self.connection() as con:
            return catalogue.describe(lambda sql: con.execute(sql).fetchall(), schema, name)

    def names(self) -> Sequence[tuple[str | None, str]]:
        with self.connection() as con:
            return catalogue.names(lambda sql: con.execute(sql).fetchall())

    def asking(self, con: duckdb.DuckDBPyConnection) -> AbstractContextManager[Look]:
        from plinth.sources.postgres.attached import asking

        return asking(self, con)

    def probe(self, table: Table) -> Probe:
        """With a cursor: the count (an index-only scan where vacuum has been) and the highest value by its index. Without: the server's
        counters; of a view, a foreign table or a standby's table, which have none, a sum of row hashes, independent of their order."""
        found = self.describe_table(table)
        with self.connection() as con, self._readable(table):
            if table.cursor is None:
                return counters(con, found) or _hashed(con, found)
            return _highest(con, found, table.column(table.cursor).physical_name)

    def glance(self, table: Table) -> Probe | None:
        """As `probe`, but nothing is hashed."""
        if table.cursor is not None:
            return self.probe(table)
        found = self.describe_table(table)
        with self.connection() as con, self._readable(table):
            return counters(con, found)

    def probe_before(self, table: Table) -> Probe | None:
        return self.probe(table) if table.cursor is None else None

    def snapshot(
        self, con: duckdb.DuckDBPyConnection, tables: Iterable[Table] = ()
    ) -> AbstractContextManager[Snapshot]:
        from plinth.sources.postgres.snapshot import open_snapshot

        return open_snapshot(self, con)

    def explain(self, error: Exception, table: Table) -> PlinthError:
        return faults.explain(self.address, error, table)

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A read-only connection in autocommit.

        Raises:
            SourceUnavailable: the server did not answer, or the connection was cut.
            SourceUnreadable: it refused the user, or the database is not there.
        """
        import psycopg

        try:
            with psycopg.connect(**self.parameters(), autocommit=True) as con:
                con.read_only = True
                con.execute("SET timezone = 'UTC'; SET datestyle = 'ISO'; SET statement_timeout = 0")
                yield con
        except psycopg.OperationalError as error:
            raise self._fault(error) from error

    def parameters(self) -> dict[str, Any]:
        """libpq's parameters, the password among them."""
        address = self.address
        given = {
            "host": address.host,
            "port": address.port,
            "user": address.user,
            "password": address.password,
            "dbname": address.database or None,
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": "plinth",
            **address.options,
            # The scanner takes every byte for UTF-8 and does not ask the server to convert.
            "client_encoding": "UTF8",
        }
        return {name: value for name, value in given.items() if value is not None}

    def _fault(self, error: psycopg.OperationalError) -> PlinthError:
        text = str(error)
        if "does not exist" in text or faults.is_refused(text):
            return faults.refused(self.address, text)
        return faults.unavailable(self.address, text)

    @contextmanager
    def _readable(self, table: Table) -> Iterator[None]:
        import psycopg

        try:
            yield
        except psycopg.errors.InsufficientPrivilege as error:
            raise faults.refused(self.address, str(error)) from error
        except psycopg.ProgrammingError as error:
            raise SourceUnreadable(
                f"the table {table.physical_name} could not be looked at",
                found=self.address.redact(str(error)),
                where=self.address,
                remedy="compare contract and database: plinth contract check",
            ) from error


def _highest(con: psycopg.Connection[Any], table: SourceTable, cursor: str) -> Probe:
    target = table_name(table)
    highest = f"SELECT max({quote(cursor)})::text FROM {target}"
    row = con.execute(f"SELECT count(*), ({highest}) FROM {target}").fetchone()
    rows, last = row or (None, None)
    if last is None or not is_ahead(last):
        return Probe(rows=rows, watermark=last)
    behind = con.execute(f"{highest} WHERE {not_ahead(quote(cursor), last)}").fetchone()
    return Probe(rows=rows, watermark=last, token=behind[0] if behind else None)


def _hashed(con: psycopg.Connection[Any], table: SourceTable) -> Probe:
    statement = f"SELECT count(*), sum(hashtextextended(t::text, 0))::text FROM {table_name(table)} t"
    row = con.execute(statement).fetchone()
    return Probe(rows=row[0], token=row[1]) if row else Probe()


def table_name(table: SourceTable) -> str:
    """The table's quoted name, with its schema."""
    return f"{quote(table.schema)}.{quote(table.name)}" if table.schema else quote(table.name)
