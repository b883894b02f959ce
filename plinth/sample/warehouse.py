"""The legacy database that the sample lives in: opening it, making its tables, filling them in bulk, changing rows.

What belongs here: everything that differs from database to database. What does not: what the rows are. Rows arrive as a DuckDB query and
leave by the quickest way that each database has and that stays inside our transaction:
- PostgreSQL: COPY FROM STDIN of CSV that DuckDB wrote.
- MySQL and MariaDB: LOAD DATA LOCAL INFILE of the same CSV; where the server forbids it, multi-row INSERTs.
- SQLite: in bulk DuckDB's scanner, which has a connection of its own (2.4 us a row); inside our transaction executemany (7.8 us a row).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Table, bindparam, create_engine, delete, event, func, inspect, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import BigInteger, Date, DateTime, Integer, Numeric

from plinth.engine import literal, load_extension, quote
from plinth.errors import DriverMissing, SourceUnavailable, StorageFailure
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
_FETCH = 20_000


class Warehouse:
    """One open legacy database.

    Args:
        url: `sqlite:///path`, `postgresql://…` or `mysql://…`; `mariadb://` and `postgres://` are understood too.

    Raises:
        SampleError: the URL is none of these.
        DriverMissing: the Python driver is not installed.
        SourceUnavailable: the database does not answer.
    """

    def __init__(self, url: str) -> None:
        self._url = _driver_url(url)
        self.address = self._url.render_as_string(hide_password=True)
        self.dialect = self._url.get_backend_name()
        self._engine = self._open()

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def _open(self) -> Engine:
        arguments: dict[str, Any] = {}
        if self.dialect == "sqlite":
            Path(self._url.database or "").expanduser().parent.mkdir(parents=True, exist_ok=True)
        if self.dialect == "mysql":
            arguments = {"local_infile": True, "charset": "utf8mb4"}
        try:
            engine = create_engine(self._url, connect_args=arguments)
            if self.dialect == "sqlite":
                event.listen(engine, "connect", _tune_sqlite)
            with engine.connect():
                return engine
        except ModuleNotFoundError as error:
            raise DriverMissing(
                f"the driver for {self.dialect} is not installed",
                expected=f"the Python package {error.name}",
                where=self.address,
                remedy="install requirements.lock into this environment",
            ) from None
        except OperationalError as error:
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
        if self.dialect != "sqlite":
            with self.transaction() as connection:
                self.insert(connection, table, con, query)
            return
        import duckdb

        columns = ", ".join(_expression(column.name, column.type, self.dialect) for column in table.c)
        load_extension(con, "sqlite_scanner")
        try:
            con.execute(f"ATTACH IF NOT EXISTS {literal(self._url.database or '')} AS legacy (TYPE sqlite)")
            con.execute(f"INSERT INTO legacy.{quote(table.name)} SELECT {columns} FROM ({query})")
        except duckdb.Error as error:
            raise self._refusal(error) from error
        finally:
            con.execute("DETACH DATABASE IF EXISTS legacy")

    def insert(self, connection: Connection, table: Table, con: duckdb.DuckDBPyConnection, query: str) -> int:
        """Inserts the rows of a DuckDB query, which has the table's columns by name; gives their number.

        Raises:
            StorageFailure: the database refused them.
        """
        columns = ", ".join(_expression(column.name, column.type, self.dialect) for column in table.c)
        rows = f"SELECT {columns} FROM ({query})"
        if self.dialect == "sqlite":
            return _insert_many(connection, table, con, rows, "?")
        if self.dialect == "mysql" and not _local_infile(connection):
            return _insert_many(connection, table, con, rows, "%s")
        with tempfile.TemporaryDirectory(prefix="plinth-sample-") as folder:
            file = Path(folder) / "rows.csv"
            written = con.execute(
                f"COPY ({rows}) TO {literal(str(file))} (FORMAT csv, HEADER false, NULLSTR 'NULL', DELIMITER ',')"
            ).fetchone()
            self._load(connection, table, file)
        return int(written[0]) if written else 0

    def _load(self, connection: Connection, table: Table, file: Path) -> None:
        raw = connection.connection.driver_connection
        if raw is None:
            raise SourceUnavailable("the connection is closed", where=self.address)
        try:
            if self.dialect == "mysql":
                with raw.cursor() as cursor:
                    cursor.execute(_load_data(table, file))
                return
            names = ", ".join(quote(column.name) for column in table.c)
            statement = f"COPY {quote(table.name)} ({names}) FROM STDIN (FORMAT csv, NULL 'NULL')"
            with raw.cursor() as cursor, file.open("rb") as stream, cursor.copy(statement) as copy:
                while chunk := stream.read(1 << 20):
                    copy.write(chunk)
        except self._driver_errors() as error:
            raise self._refusal(error) from error

    def _driver_errors(self) -> tuple[type[Exception], ...]:
        return (self._engine.dialect.loaded_dbapi.Error,)

    def update(self, connection: Connection, table: Table, con: duckdb.DuckDBPyConnection, query: str) -> int:
        """Updates by key from a DuckDB query with the key's columns and those to be set; gives the number of rows."""
        names, rows = _fetch(con, query)
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
        names, rows = _fetch(con, query)
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


def fetch_into(
    connection: Connection,
    statement: Any,
    con: duckdb.DuckDBPyConnection,
    name: str,
    columns: Sequence[tuple[str, str]],
) -> None:
    """Copies the rows of a statement into a DuckDB table of the given columns and types."""
    shape = ", ".join(f"{quote(column)} {kind}" for column, kind in columns)
    con.execute(f"CREATE OR REPLACE TABLE {quote(name)} ({shape})")
    import pyarrow as pa

    result = connection.execution_options(yield_per=_FETCH).execute(statement)
    for part in result.partitions(_FETCH):
        batch = pa.table(
            [pa.array(values) for values in zip(*part, strict=True)], names=[column for column, _ in columns]
        )
        con.register("arrived", batch)
        con.execute(f"INSERT INTO {quote(name)} SELECT * FROM arrived")
        con.unregister("arrived")


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


def _expression(name: str, kind: object, dialect: str) -> str:
    column = quote(name)
    if dialect != "sqlite":
        return f"{column}::DECIMAL({kind.precision}, {kind.scale}) AS {column}" if isinstance(kind, Numeric) else column
    if isinstance(kind, Numeric):
        return f"{column}::DOUBLE AS {column}"
    if isinstance(kind, (Integer, BigInteger)):
        return f"{column}::BIGINT AS {column}"
    return f"{column}::VARCHAR AS {column}" if isinstance(kind, (Date, DateTime)) else column


def _insert_many(connection: Connection, table: Table, con: duckdb.DuckDBPyConnection, rows: str, mark: str) -> int:
    names = ", ".join(connection.dialect.identifier_preparer.quote(column.name) for column in table.c)
    target = connection.dialect.identifier_preparer.format_table(table)
    statement = f"INSERT INTO {target} ({names}) VALUES ({', '.join([mark] * len(table.c))})"
    raw = connection.connection.driver_connection
    if raw is None:
        raise SourceUnavailable("the connection is closed")
    written = 0
    cursor = raw.cursor()
    result = con.execute(rows)
    while part := result.fetchmany(_FETCH):
        cursor.executemany(statement, part)
        written += len(part)
    cursor.close()
    return written


def _local_infile(connection: Connection) -> bool:
    return bool(connection.exec_driver_sql("SELECT @@local_infile").scalar())


def _load_data(table: Table, file: Path) -> str:
    names = ", ".join(f"`{column.name}`" for column in table.c)
    return (
        f"LOAD DATA LOCAL INFILE '{file.as_posix()}' INTO TABLE `{table.name}` CHARACTER SET utf8mb4 "
        f"FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n' ({names})"
    )


def _fetch(con: duckdb.DuckDBPyConnection, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    result = con.execute(query)
    names = [column[0] for column in result.description or []]
    return names, result.fetchall()
