"""A MySQL or MariaDB database as a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from plinth.errors import PlinthError, SourceUnreadable
from plinth.sources import faults
from plinth.sources.address import Address
from plinth.sources.catalogue import SourceTable
from plinth.sources.horizon import is_ahead, not_ahead
from plinth.sources.mysql import catalogue
from plinth.sources.mysql.counters import signs
from plinth.sources.source import Probe, Source

if TYPE_CHECKING:
    import duckdb
    import pymysql

    from plinth.contracts.model import Table
    from plinth.sources.snapshot import Snapshot

LIFT_LIMITS = (
    "SET SESSION /*M!100100 max_statement_time = 0, */ /*!50708 max_execution_time = 0, */ net_write_timeout = 3600"
)
"""Takes away limits that the server may set for statements, by MariaDB's and by MySQL's name; each ignores the other's comment."""
_CONNECT_SECONDS = 10
_NO_SUCH_TABLE, _NO_SUCH_COLUMN = 1146, 1054
_REFUSED = (1044, 1045, 1049, 1142, 1143, 1698)
"""MySQL's numbers for: no access to the database, wrong password, no such database, no grant on the table or the column, no password."""


class MySQLSource(Source):
    """A MySQL or MariaDB database; each look opens a connection of its own."""

    dialect = "mysql"

    def __init__(self, address: Address) -> None:
        self.address = address

    @property
    def home_schema(self) -> str | None:
        return self.address.database or None

    def tables(self, schema: str | None = None, name: str | None = None) -> Sequence[SourceTable]:
        with self._queries() as query:
            return catalogue.describe(query, schema or self.address.database, name)

    def names(self) -> Sequence[tuple[str | None, str]]:
        with self._queries() as query:
            return catalogue.names(query, self.address.database)

    def probe(self, table: Table) -> Probe:
        """With a cursor: the count (InnoDB counts along an index) and the highest value by its index. Without: what the server tells of the
        table's last change; where it tells nothing, CHECKSUM TABLE, which reads the table once."""
        return self._look(table, to_keep=False)

    def glance(self, table: Table) -> Probe | None:
        """As `probe`, but no checksum is made."""
        if table.cursor is not None:
            return self.probe(table)
        found = self.describe_table(table)
        with self._queries() as query:
            return signs(query, found, table_name(found), to_keep=False)

    def probe_before(self, table: Table) -> Probe | None:
        return self._look(table, to_keep=True)

    def _look(self, table: Table, *, to_keep: bool) -> Probe:
        found = self.describe_table(table)
        target = table_name(found)
        with self._queries() as query:
            if table.cursor is None:
                return signs(query, found, target, to_keep=to_keep) or _checksum(query, target)
            cursor = quote(table.column(table.cursor).physical_name)
            highest = f"SELECT CAST(max({cursor}) AS CHAR) FROM {target}"
            rows, last = query(f"SELECT count(*), ({highest}) FROM {target}", ())[0]
            behind = (
                query(f"{highest} WHERE {not_ahead(cursor, last, quoted=False)}", ())[0][0] if is_ahead(last) else None
            )
            return Probe(rows=int(rows), watermark=last, token=behind)

    def snapshot(
        self, con: duckdb.DuckDBPyConnection, tables: Iterable[Table] = ()
    ) -> AbstractContextManager[Snapshot]:
        from plinth.sources.mysql.snapshot import open_snapshot

        return open_snapshot(self, con, tuple(tables))

    def explain(self, error: Exception, table: Table) -> PlinthError:
        return faults.explain(self.address, error, table)

    @contextmanager
    def _queries(self) -> Iterator[catalogue.Query]:
        """A way to run queries on a connection of their own.

        Raises:
            SourceUnavailable: the server did not answer, or the connection was cut.
            SourceUnreadable: it refused the user, or the database or the table is not there.
        """
        import pymysql

        try:
            connection = self._connect()
            try:
                with connection.cursor() as cursor:

                    def query(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
                        cursor.execute(sql, parameters or None)
                        return list(cursor.fetchall())

                    query("SET time_zone = '+00:00'", ())
                    yield query
            finally:
                connection.close()
        except pymysql.err.MySQLError as error:
            raise self._fault(error) from error

    def _connect(self) -> pymysql.connections.Connection[Any]:
        import pymysql

        address = self.address
        options = {name: value for name, value in address.options.items() if name in ("ssl_ca", "ssl_cert", "ssl_key")}
        return pymysql.connect(
            host=None if address.socket else address.host,
            unix_socket=address.host if address.socket else None,
            port=address.port or 3306,
            user=address.user,
            # As bytes: PyMySQL would send a text as Latin-1, and the server takes passwords as UTF-8.
            password=(address.password or "").encode(),
            database=address.database or None,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            **options,
        )

    def _fault(self, error: Exception) -> PlinthError:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        if number in _REFUSED:
            return faults.refused(self.address, str(error))
        if number in (_NO_SUCH_TABLE, _NO_SUCH_COLUMN) or (
            number in range(1047, 1300) and not faults.is_cut(str(error))
        ):
            return SourceUnreadable(
                "the table could not be looked at",
                found=self.address.redact(str(error)),
                where=self.address,
                remedy="compare contract and database: plinth contract check",
            )
        return faults.unavailable(self.address, str(error))


def _checksum(query: catalogue.Query, target: str) -> Probe:
    checksum = query(f"CHECKSUM TABLE {target}", ())[0][1]
    if checksum is not None:
        return Probe(token=str(checksum))
    # A view has none.
    return Probe(rows=int(query(f"SELECT count(*) FROM {target}", ())[0][0]), sure=False)


def quote(name: str) -> str:
    """A name as MySQL quotes it."""
    return "`" + name.replace("`", "``") + "`"


def table_name(table: SourceTable) -> str:
    """The table's quoted name, with its database."""
    return f"{quote(table.schema or '')}.{quote(table.name)}" if table.schema else quote(table.name)
