"""Moving many rows between DuckDB and the legacy database, by the quickest way that each database has.

What belongs here: rows in bulk, in both directions. What does not: transactions and errors of the databases (`plinth.sample.warehouse`). Ways in,
measured with 300,000 invoice lines on 2 cores:
- PostgreSQL: COPY FROM STDIN of CSV that DuckDB wrote.
- MySQL and MariaDB: LOAD DATA LOCAL INFILE of the same CSV; where the server forbids it, multi-row INSERTs.
- SQLite: DuckDB's scanner, which has a connection of its own (2.4 us a row); inside a transaction of ours executemany (7.8 us a row).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table
from sqlalchemy.types import BigInteger, Date, DateTime, Integer, Numeric

from plinth.engine import literal, load_extension, quote

if TYPE_CHECKING:
    import duckdb

_AT_ONCE = 20_000


class RowsLostError(Exception):
    """The database took fewer rows than it was given, or changed some, and called it a warning."""


def insert(connection: Connection, table: Table, con: duckdb.DuckDBPyConnection, query: str) -> int:
    """Inserts the rows of a DuckDB query within the connection's transaction; gives their number.

    Raises:
        RowsLostError: the database took them with warnings.
        Error: the driver's own.
    """
    dialect = connection.dialect.name
    rows = _shaped(table, query, dialect)
    raw: Any = connection.connection.driver_connection
    if dialect == "sqlite":
        return _insert_many(connection, raw, table, con, rows, "?")
    if dialect != "postgresql" and not connection.exec_driver_sql("SELECT @@local_infile").scalar():
        return _insert_many(connection, raw, table, con, rows, "%s")
    with tempfile.TemporaryDirectory(prefix="plinth-sample-") as folder:
        file = Path(folder) / "rows.csv"
        copied = con.execute(
            f"COPY ({rows}) TO {literal(str(file))} (FORMAT csv, HEADER false, NULLSTR 'NULL')"
        ).fetchone()
        written = int(copied[0]) if copied else 0
        if dialect == "postgresql":
            _copy(raw, table, file)
        else:
            _load_data(raw, table, file, written)
    return written


def by_scanner(database: str, con: duckdb.DuckDBPyConnection, table: Table, query: str) -> None:
    """Inserts the rows of a DuckDB query into a table of an SQLite file, through a connection of DuckDB's own.

    Raises:
        duckdb.IOException: SQLite refused them.
    """
    load_extension(con, "sqlite_scanner")
    con.execute(f"ATTACH {literal(database)} AS legacy (TYPE sqlite)")
    try:
        con.execute(f"INSERT INTO legacy.{quote(table.name)} {_shaped(table, query, 'sqlite')}")
    finally:
        con.execute("DETACH legacy")


def fetch(con: duckdb.DuckDBPyConnection, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The column names and all rows of a DuckDB query with few rows."""
    result = con.execute(query)
    names = [column[0] for column in result.description or []]
    return names, result.fetchall()


def fetch_into(
    connection: Connection,
    statement: Any,
    con: duckdb.DuckDBPyConnection,
    name: str,
    columns: Sequence[tuple[str, str]],
) -> None:
    """Copies the rows of a statement into a new DuckDB table of the given columns and types."""
    import pyarrow as pa

    shape = ", ".join(f"{quote(column)} {kind}" for column, kind in columns)
    con.execute(f"CREATE OR REPLACE TABLE {quote(name)} ({shape})")
    result = connection.execute(statement, execution_options={"yield_per": _AT_ONCE})
    for part in result.partitions(_AT_ONCE):
        arrays = [pa.array(values) for values in zip(*part, strict=True)]
        con.register("arrived", pa.table(arrays, names=[column for column, _ in columns]))
        con.execute(f"INSERT INTO {quote(name)} SELECT * FROM arrived")
        con.unregister("arrived")


def _shaped(table: Table, query: str, dialect: str) -> str:
    columns = ", ".join(_expression(column.name, column.type, dialect) for column in table.c)
    return f"SELECT {columns} FROM ({query})"


def _expression(name: str, kind: object, dialect: str) -> str:
    column = quote(name)
    if dialect != "sqlite":
        return f"{column}::DECIMAL({kind.precision}, {kind.scale}) AS {column}" if isinstance(kind, Numeric) else column
    if isinstance(kind, Numeric):
        return f"{column}::DOUBLE AS {column}"
    if isinstance(kind, (Integer, BigInteger)):
        return f"{column}::BIGINT AS {column}"
    return f"{column}::VARCHAR AS {column}" if isinstance(kind, (Date, DateTime)) else column


def _insert_many(
    connection: Connection, raw: Any, table: Table, con: duckdb.DuckDBPyConnection, rows: str, mark: str
) -> int:
    names = ", ".join(connection.dialect.identifier_preparer.quote(column.name) for column in table.c)
    target = connection.dialect.identifier_preparer.format_table(table)
    statement = f"INSERT INTO {target} ({names}) VALUES ({', '.join([mark] * len(table.c))})"
    written = 0
    cursor = raw.cursor()
    result = con.execute(rows)
    while part := result.fetchmany(_AT_ONCE):
        cursor.executemany(statement, part)
        written += len(part)
    cursor.close()
    return written


def _copy(raw: Any, table: Table, file: Path) -> None:
    names = ", ".join(quote(column.name) for column in table.c)
    statement = f"COPY {quote(table.name)} ({names}) FROM STDIN (FORMAT csv, NULL 'NULL')"
    with raw.cursor() as cursor, file.open("rb") as stream, cursor.copy(statement) as copy:
        while chunk := stream.read(1 << 20):
            copy.write(chunk)


def _load_data(raw: Any, table: Table, file: Path, written: int) -> None:
    names = ", ".join(f"`{column.name}`" for column in table.c)
    statement = (
        f"LOAD DATA LOCAL INFILE %s INTO TABLE `{table.name}` CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' "
        f"OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n' ({names})"
    )
    with raw.cursor() as cursor:
        taken = cursor.execute(statement, (str(file),))
        # LOCAL makes errors warnings: a cut value or a skipped row would pass for success.
        cursor.execute("SHOW WARNINGS LIMIT 1")
        warning = cursor.fetchone()
    if warning or taken != written:
        raise RowsLostError(
            f"{table.name}: {taken} of {written} rows were taken; {warning[-1] if warning else 'no warning'}"
        )
