"""The legacy database that the sample lives in: opening it, making its tables, filling them in bulk, changing rows.

What belongs here: connections, transactions, tables and indexes, changes by key, and turning a database's refusal into our errors. What does not:
what the rows are, and how many of them get in or out at once (`plinth.sample.moving`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Table, bindparam, create_engine, delete, event, func, inspect, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from plinth.errors import DriverMissing, SourceUnavailable, StorageFailure
from plinth.sample import moving
from plinth.sample.schema import LATE_INDEXES, SYSINFO, TABLES, metadata
from plinth.sample.spec import SampleError

if TYPE_CHECKING:
    import duckdb

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}


class Warehouse:
    """One open legacy database.

    Args:
        url: `sqlite:///path`, `postgresql://…` or `mysql://…`; `mariadb://` and `postgres://` are understood too.
        must_exist: do not make the file of an SQLite database that is not there.

    Raises:
        SampleError: the URL is none of these, or there is no such file.
        DriverMissing: the Python driver is not installed.
        SourceUnavailable: the database does not answer.
    """

    def __init__(self, url: str, *, must_exist: bool = False) -> None:
        self._url = _driver_url(url)
        self.address = self._url.render_as_string(hide_password=True)
        self.dialect = self._url.get_backend_name()
        if self.dialect == "sqlite":
            self._find_file(must_exist)
        self._engine = self._open()

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def _find_file(self, must_exist: bool) -> None:
        file = Path(self._url.database or "")
        if must_exist and not file.is_file():
            raise SampleError(
                "there is no sample warehouse at this place",
                expected="a file that `plinth sample` has written",
                where=self.address,
                remedy="write one by: plinth sample --to URL",
            )
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailure("the folder of the database cannot be made", found=error, where=file.parent) from None

    def _open(self) -> Engine:
        arguments: dict[str, Any] = {}
        if self.dialect == "mysql":
            arguments = {"local_infile": True, "charset": "utf8mb4"}
        try:
            engine = create_engine(self._url, connect_args=arguments)
            if self.dialect == "sqlite":
                event.listen(engine, "connect", _tune_sqlite)
            with engine.connect() as connection:
                # Opening an SQLite file reads nothing of it; this does, so that what is no database is found here.
                inspect(connection).has_table(SYSINFO.name)
            return engine
        except ModuleNotFoundError as error:
            raise DriverMissing(
                f"the driver for {self.dialect} is not installed",
                expected=f"the Python package {error.name}",
                where=self.address,
                remedy="install requirements.lock into this environment",
            ) from None
        except DBAPIError as error:
            raise SourceUnavailable(
                "the database does not answer",
                found=str(error.orig).strip(),
                where=self.address,
                remedy="start it, or mend host, port, user, password and database name in the URL",
            ) from None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection whose work is committed at the end, or undone by an error.

        Raises:
            StorageFailure: the database refused the work; the message is its own.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> StorageFailure:
        return StorageFailure(
            "the database refused the work",
            found=str(getattr(error, "orig", None) or error).strip()[:500],
            where=self.address,
            remedy="look at rights and disk space of the database; the transaction was undone",
        )

    def make_tables(self, *, replace: bool) -> None:
        """Makes the empty tables; with `replace` the old sample is dropped first.

        Raises:
            SampleError: tables of these names are there and `replace` is not given, or one of them is not the sample's.
        """
        found = inspect(self._engine)
        present = [name for name in TABLES if found.has_table(name)]
        if present and not replace:
            raise SampleError(
                "the database already has tables of these names",
                expected="none of them",
                found=", ".join(present),
                where=self.address,
                remedy="choose another database, or drop the old sample by --replace",
            )
        for name in present:
            columns = [column["name"] for column in found.get_columns(name)]
            if columns != list(metadata.tables[name].c.keys()):
                raise SampleError(
                    f"the table {name} is there, but it is not the sample's, so it is not replaced",
                    expected=", ".join(metadata.tables[name].c.keys()),
                    found=", ".join(columns),
                    where=self.address,
                    remedy="choose another database",
                )
        with self.transaction() as connection:
            metadata.drop_all(connection, [metadata.tables[name] for name in present])
            for name in TABLES:
                connection.execute(CreateTable(metadata.tables[name]))

    def bulk(self, con: duckdb.DuckDBPyConnection, table: Table, query: str) -> None:
        """Inserts the rows of a DuckDB query, which has the table's columns by name, in a transaction of its own.

        Raises:
            StorageFailure: the database refused them.
        """
        if self.dialect == "sqlite":
            with self._refusals():
                moving.by_scanner(self._url.database or "", con, table, query)
            return
        with self.transaction() as connection:
            self.insert(connection, table, con, query)

    def insert(self, connection: Connection, table: Table, con: duckdb.DuckDBPyConnection, query: str) -> int:
        """Inserts the rows of a DuckDB query, which has the table's columns by name; gives their number.

        Raises:
            StorageFailure: the database refused them.
        """
        with self._refusals():
            return moving.insert(connection, table, con, query)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except (self._engine.dialect.loaded_dbapi.Error, duckdb.IOException, moving.RowsLostError) as error:
            raise self._refusal(error) from error

    def update(self, connection: Connection, table: Table, con: duckdb.DuckDBPyConnection, query: str) -> int:
        """Updates by key from a DuckDB query with the key's columns and those to be set; gives the number of rows."""
        names, rows = moving.fetch(con, query)
        key = [column.name for column in table.primary_key]
        if not rows:
            return 0
        statement = update(table).values({name: bindparam(f"new_{name}") for name in names if name not in key})
        for name in key:
            statement = statement.where(table.c[name] == bindparam(f"key_{name}"))
        labels = [f"key_{name}" if name in key else f"new_{name}" for name in names]
        connection.execute(statement, [dict(zip(labels, row, strict=True)) for row in rows])
        return len(rows)

    def delete(self, connection: Connection, table: Table, con: duckdb.DuckDBPyConnection, query: str) -> int:
        """Deletes the rows whose key columns a DuckDB query gives; gives the number of keys."""
        names, rows = moving.fetch(con, query)
        if not rows:
            return 0
        statement = delete(table)
        for name in names:
            statement = statement.where(table.c[name] == bindparam(f"key_{name}"))
        connection.execute(
            statement, [{f"key_{name}": value for name, value in zip(names, row, strict=True)} for row in rows]
        )
        return len(rows)

    def make_indexes(self, connection: Connection) -> None:
        """Makes the indexes on the update time stamps, and lets the database look at its new tables."""
        for index in LATE_INDEXES:
            index.create(connection)
        names = [metadata.tables[name] for name in TABLES]
        quoted = [connection.dialect.identifier_preparer.format_table(table) for table in names]
        for name in quoted:
            connection.exec_driver_sql(f"ANALYZE {'TABLE ' if self.dialect == 'mysql' else ''}{name}")

    def facts(self) -> dict[str, str]:
        """The keys and values of SYSINFO.

        Raises:
            SampleError: there is no sample in this database.
        """
        if not inspect(self._engine).has_table(SYSINFO.name):
            raise SampleError(
                "there is no sample warehouse in this database",
                expected="the table SYSINFO",
                where=self.address,
                remedy="write one by: plinth sample --to URL",
            )
        with self.transaction() as connection:
            return {str(key): str(value) for key, value in connection.execute(select(SYSINFO)).all()}

    def count(self, connection: Connection, table: Table) -> int:
        """How many rows a table holds."""
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def record(connection: Connection, facts: dict[str, str]) -> None:
    """Puts keys and values into SYSINFO, over those that are there."""
    connection.execute(delete(SYSINFO).where(SYSINFO.c.KEYNM.in_(list(facts))))
    connection.execute(SYSINFO.insert(), [{"KEYNM": key, "KEYVAL": value} for key, value in facts.items()])


def _driver_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise _bad_url("something that is no URL") from None
    driver = _DRIVERS.get(parsed.drivername.split("+")[0])
    if driver is None:
        raise _bad_url(f"{parsed.drivername}://")
    if not parsed.database or parsed.database == ":memory:":
        raise _bad_url(parsed.render_as_string(hide_password=True) + ", which names no database")
    return parsed.set(drivername=driver)


def _bad_url(found: str) -> SampleError:
    return SampleError(
        "the sample cannot be written there",
        expected="sqlite:///path, postgresql://user@host/database or mysql://user@host/database",
        found=found,
        where="--to",
        remedy="give the URL of a database of one of these kinds",
    )


def _tune_sqlite(raw: Any, _: object) -> None:
    # Without fsync a power cut can cost the sample, a killed process can not: the journal is still there.
    raw.execute("PRAGMA synchronous = OFF")
    raw.execute("PRAGMA cache_size = -65536")
