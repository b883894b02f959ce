"""One transaction on one connection, read in batches of rows through a server-side cursor.

What belongs here: opening the most consistent transaction that the database has, and handing its rows to DuckDB as an Arrow reader. Memory
is bounded by the batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from plinth.engine import quote
from plinth.errors import PlinthError, SourceUnreadable
from plinth.sources import faults
from plinth.sources.batches.source import ISOLATION_OPTION, BatchSource, check_isolation
from plinth.sources.batches.statements import cursor_column, no_dates, rows_of, send, table_of
from plinth.sources.batches.values import as_text, batch, next_size, schema
from plinth.sources.catalogue import SourceColumn, SourceTable
from plinth.sources.mysql.source import LIFT_LIMITS
from plinth.sources.reading import Reading, plan, select
from plinth.sources.snapshot import Relation, Snapshot, Watermark

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from plinth.contracts.model import Column, Table

FIRST_ROWS, MOST_ROWS, BYTES = 200, 10_000, 4 * 2**20
"""A batch has at most so many rows, and about so many bytes once the first has shown how wide the rows are."""
Describe = Callable[["Table"], SourceTable]
_NUMBERS = itertools.count()
# What gives one moment for all statements of a transaction; SERIALIZABLE does so elsewhere, at the price of locks.
_LEVELS = {"postgresql": "REPEATABLE READ", "mysql": "REPEATABLE READ", "mssql": "SNAPSHOT", "oracle": "SERIALIZABLE"}
_OPENING = {
    "mysql": (LIFT_LIMITS, "SET SESSION time_zone = '+00:00'", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"),
    "postgresql": (
        "SET LOCAL timezone = 'UTC'",
        "SET LOCAL intervalstyle = 'iso_8601'",
        "SET LOCAL statement_timeout = 0",
        "SET TRANSACTION READ ONLY",
    ),
    "sqlite": ("BEGIN", "SELECT count(*) FROM sqlite_master"),
    "oracle": ("ALTER SESSION SET TIME_ZONE = 'UTC'",),
}


@contextmanager
def open_snapshot(
    source: BatchSource, con: duckdb.DuckDBPyConnection, describe: Describe | None = None
) -> Iterator[Snapshot]:
    """See `Source.snapshot`.

    Args:
        describe: who says what a table looks like; the source by default.
    """
    import duckdb

    connection = _connect(source)
    snapshot = BatchSnapshot(source, con, connection, describe or source.describe_table)
    try:
        with faults.translated(source.address):
            yield snapshot
    except (duckdb.Error, PlinthError):
        # DuckDB wraps what the driver raised while rows were fetched; the driver's own error says more.
        if isinstance(snapshot.failure, ValueError):  # a text that is none, or a number too large for its column
            raise duckdb.ConversionException(str(snapshot.failure)) from snapshot.failure
        if snapshot.failure is not None:
            raise source.fault(snapshot.failure) from snapshot.failure
        raise
    finally:
        snapshot.forget()
        connection.invalidate()
        connection.close()


def _connect(source: BatchSource) -> sa.Connection:
    connection: sa.Connection | None = None
    try:
        connection = source.engine.connect()
        connection = connection.execution_options(isolation_level=_level(source, connection))
        for statement in _OPENING.get(source.dialect, ()):
            connection.exec_driver_sql(statement)
        if source.dialect == "sqlite":
            raw = connection.connection.dbapi_connection
            raw.text_factory = _text_or_bytes  # type: ignore[union-attr]
    except sa.exc.SQLAlchemyError as error:
        if connection is not None:
            connection.close()
        raise source.fault(error) from error
    return connection


def _text_or_bytes(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _level(source: BatchSource, connection: sa.Connection) -> str:
    driver: Any = connection.connection.dbapi_connection
    levels = connection.dialect.get_isolation_level_values(driver)
    chosen = source.address.options.get(ISOLATION_OPTION)
    if chosen is not None:
        check_isolation(levels, chosen, source.address)
        return chosen
    if source.dialect == "mssql":
        _require_snapshots(source, connection)
    wanted = _LEVELS.get(source.dialect, "SERIALIZABLE")
    return wanted if wanted in levels else connection.dialect.default_isolation_level or "AUTOCOMMIT"


def _require_snapshots(source: BatchSource, connection: sa.Connection) -> None:
    state = connection.exec_driver_sql(
        "SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()"
    ).scalar()
    connection.rollback()
    if state != 1:
        raise SourceUnreadable(
            "the database gives no consistent snapshot",
            expected="snapshot isolation allowed",
            found=f"snapshot_isolation_state {state}",
            where=source.address,
            remedy="ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON; or accept locks, by ?isolation_level=SERIALIZABLE in the URL",
        )


class BatchSnapshot(Snapshot):
    """A snapshot that lives in a transaction of an SQLAlchemy connection."""

    def __init__(
        self, source: BatchSource, con: duckdb.DuckDBPyConnection, connection: sa.Connection, describe: Describe
    ) -> None:
        self._source = source
        self._con = con
        self._connection = connection
        self._described = describe
        self._registered: list[str] = []
        self._open: list[Generator[pa.RecordBatch, None, None]] = []
        self._found: dict[str, SourceTable] = {}
        self._notes: dict[str, dict[str, int]] = {}
        self.failure: Exception | None = None

    def relation(
        self,
        table: Table,
        *,
        since: Watermark | None = None,
        columns: tuple[str, ...] | None = None,
        strict: bool = True,
    ) -> Relation:
        import pyarrow as pa

        found = self._describe(table)
        dialect = self._connection.dialect

        def sender(column: Column, source: SourceColumn, delta: str) -> Reading:
            return send(column, source, delta, dialect.name, strict=strict)

        readings = plan(table, found, dialect.name, sender, columns)
        sent = [each for each in readings if each.remote is not None]
        self._count_no_dates(table, found, sent)
        statement = rows_of(table, found, readings, dialect, since)
        kinds = [each.raw for each in sent] or ["VARCHAR"]
        rows = self._batches(statement, kinds)
        self._open.append(rows)
        reader = pa.RecordBatchReader.from_batches(schema(kinds), rows)
        name = f"plinth_batches_{next(_NUMBERS)}"
        self._con.register(name, reader)
        self._registered.append(name)
        places = {each.column.name: f"c{index}" for index, each in enumerate(sent)}
        raws = [places.get(each.column.name, "NULL") for each in readings]
        sql = select(readings, f"SELECT * FROM {quote(name)}", raws, strict=strict)
        return Relation(sql, tuple(each.column for each in readings), reread=False)

    def count(self, table: Table) -> int:
        target = table_of(self._describe(table), self._connection.dialect)
        return int(self._scalar(sa.select(sa.func.count()).select_from(target)))

    def watermark(self, table: Table) -> Watermark | None:
        if table.cursor is None:
            return None
        found = self._describe(table)
        column = cursor_column(table, found, table_of(found, self._connection.dialect))
        return as_text(self._scalar(sa.select(sa.func.max(column))))

    def notes(self, table: Table) -> Mapping[str, int]:
        return self._notes.get(table.name, {})

    def forget(self) -> None:
        """Takes the readers out of DuckDB, and closes their cursors before the connection goes."""
        for rows in self._open:
            rows.close()
        for name in self._registered:
            self._con.unregister(name)

    def _describe(self, table: Table) -> SourceTable:
        if table.name not in self._found:
            self._found[table.name] = self._described(table)
        return self._found[table.name]

    def _scalar(self, statement: sa.Select[Any]) -> Any:
        try:
            return self._connection.execute(statement).scalar_one()
        except sa.exc.SQLAlchemyError as error:
            raise self._source.fault(error) from error

    def _batches(self, statement: sa.Select[Any], kinds: Sequence[str]) -> Generator[pa.RecordBatch, None, None]:
        """Arrow batches; a fault is kept, since DuckDB hands on its text only."""
        # Without a size of its own, `partitions()` gave the whole table (TRAPS.md); `fetchmany` takes the size each time.
        options = {"stream_results": True, "max_row_buffer": MOST_ROWS}
        try:
            with self._connection.execute(statement, execution_options=options) as result:
                size = FIRST_ROWS
                while rows := result.fetchmany(size):
                    made = batch(rows, kinds)
                    size = next_size(made, BYTES, MOST_ROWS)
                    del rows  # while DuckDB works on the batch, only the batch is held
                    yield made
        except Exception as error:
            self.failure = error
            raise

    def _count_no_dates(self, table: Table, found: SourceTable, sent: list[Reading]) -> None:
        ruled = [each for each in sent if each.is_no_date is not None and each.zero_dates != "quarantine"]
        if not ruled or self._connection.dialect.name not in ("mysql", "postgresql"):
            return
        target = table_of(found, self._connection.dialect)
        counts = [
            no_dates(target, str(each.remote), self._connection.dialect).label(f"c{i}") for i, each in enumerate(ruled)
        ]
        try:
            row = self._connection.execute(sa.select(*counts)).one()
        except sa.exc.SQLAlchemyError as error:
            raise self._source.fault(error) from error
        kind = "zero_dates" if self._connection.dialect.name == "mysql" else "infinite_dates"
        notes = self._notes.setdefault(table.name, {})
        notes.update({f"{each.column.name}.{kind}": int(hits) for each, hits in zip(ruled, row, strict=True) if hits})
