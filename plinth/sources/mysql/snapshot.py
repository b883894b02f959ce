"""One consistent InnoDB snapshot, scanned by DuckDB; what a scan cannot give is read in batches from a snapshot of its own.

What belongs here: opening the snapshot, and the choice between the two ways. DuckDB's `mysql_query` would let the server convert values, but it
runs on another connection than the transaction (tried: it sees what was committed since), so only scans of attached tables are used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from plinth.engine import literal, load_extension, quote
from plinth.sources import faults, transaction
from plinth.sources.catalogue import SourceTable
from plinth.sources.mysql.source import LIFT_LIMITS, MySQLSource
from plinth.sources.mysql.types import is_time, send
from plinth.sources.reading import Reading, cursor_of, plan, select
from plinth.sources.snapshot import Relation, Snapshot, Watermark

if TYPE_CHECKING:
    import duckdb

    from plinth.contracts.model import Column, Table
    from plinth.sources.catalogue import SourceColumn

_ATTACHED = "plinth_mysql"
_SECRET = "plinth_mysql_secret"
_SETTINGS = {
    "mysql_tinyint1_as_boolean": "false",
    "mysql_bit1_as_boolean": "false",
    "mysql_incomplete_dates_as_nulls": "false",
    "mysql_time_as_time": "false",
    "mysql_session_time_zone": "'+00:00'",
    # A read of hours must not end after the 300 s that the scanner would set.
    "mysql_query_timeout_enabled": "false",
    # The server would first copy the whole table into a temporary one.
    "mysql_sql_buffer_result": "false",
    "mysql_enable_transactions": "true",
    "mysql_experimental_filter_pushdown": "true",
    # Aggregates are pushed to the server, where a zero date is still one.
    "mysql_aggregate_pushdown_enabled": "true",
}
_FIRST_DATE = "0001-01-01"


@contextmanager
def open_snapshot(source: MySQLSource, con: duckdb.DuckDBPyConnection, tables: tuple[Table, ...]) -> Iterator[Snapshot]:
    """See `Source.snapshot`."""
    with ExitStack() as stack:
        snapshot = MySQLSnapshot(source, con, stack)
        if any(snapshot.needs_batches(table) for table in tables):
            yield snapshot.in_batches()
            return
        load_extension(con, "mysql_scanner")
        _attach(source, con)
        try:
            with faults.translated(source.address), transaction.reading(con):
                snapshot.begin()
                yield snapshot
        finally:
            con.execute(f"DETACH DATABASE IF EXISTS {_ATTACHED}")
            con.execute(f"DROP SECRET IF EXISTS {_SECRET}")


def _attach(source: MySQLSource, con: duckdb.DuckDBPyConnection) -> None:
    import duckdb

    address = source.address
    for name, value in _SETTINGS.items():
        con.execute(f"SET {name} = {value}")
    given = {
        "HOST": None if address.socket else address.host,
        "SOCKET": address.host if address.socket else None,
        "PORT": address.port,
        "USER": address.user,
        "PASSWORD": address.password,
        "DATABASE": address.database,
        **{name.upper(): value for name, value in address.options.items() if name.startswith("ssl_")},
    }
    secret = ", ".join(f"{name} {literal(str(value))}" for name, value in given.items() if value is not None)
    try:
        con.execute(f"CREATE OR REPLACE TEMPORARY SECRET {_SECRET} (TYPE mysql, {secret})")
        # Not READ_ONLY: the scanner would refuse the statement that opens the snapshot, which is read-only on the server instead.
        con.execute(f"ATTACH '' AS {_ATTACHED} (TYPE mysql, SECRET {_SECRET})")
    except duckdb.Error as error:
        con.execute(f"DROP SECRET IF EXISTS {_SECRET}")
        text = str(error)
        if faults.is_refused(text) or "Unknown database" in text:
            raise faults.refused(address, text) from None
        raise faults.unavailable(address, text) from None


class MySQLSnapshot(Snapshot):
    """A snapshot that lives in a transaction of the DuckDB connection, or, once a lenient read was asked for, in one of its own."""

    def __init__(self, source: MySQLSource, con: duckdb.DuckDBPyConnection, stack: ExitStack) -> None:
        self._source = source
        self._con = con
        self._stack = stack
        self._batches: Snapshot | None = None
        self._found: dict[str, SourceTable] = {}
        self._notes: dict[str, dict[str, int]] = {}

    def begin(self) -> None:
        """Takes the snapshot. The level is set first, as the server's default may be READ COMMITTED, which has no snapshot."""
        self._execute(LIFT_LIMITS)
        self._execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self._execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def in_batches(self) -> Snapshot:
        """The snapshot that reads in batches; from its first use on everything comes from it."""
        if self._batches is None:
            from plinth.sources.batches.snapshot import open_snapshot as open_batches
            from plinth.sources.batches.source import BatchSource

            batches = BatchSource(self._source.address)
            self._stack.callback(batches.close)
            self._batches = self._stack.enter_context(open_batches(batches, self._con, self._describe))
        return self._batches

    def needs_batches(self, table: Table) -> bool:
        """Whether a scan cannot give the table exactly: digits beyond 38, or a name that the scanner quotes wrongly or confuses."""
        found = self._describe(table)
        named = [found.schema or "", found.name, *(column.name for column in found.columns)]
        if any("`" in name for name in named):
            return True
        alike = [name for _, name in self._source.names() if name.lower() == found.name.lower()]
        return len(alike) > 1 or any(reading is None for reading in self._plan(table, None))

    def relation(
        self,
        table: Table,
        *,
        since: Watermark | None = None,
        columns: tuple[str, ...] | None = None,
        strict: bool = True,
    ) -> Relation:
        if not strict or self._batches is not None or self.needs_batches(table):
            return self.in_batches().relation(table, since=since, columns=columns, strict=strict)
        readings = tuple(reading for reading in self._plan(table, columns) if reading is not None)
        where = self._where(table, since)
        self._settle_zero_dates(table, readings, where)
        raws = [quote(table.column(each.column.name).physical_name) for each in readings]
        base = f"SELECT * FROM {self._target(table)}{where}"
        return Relation(select(readings, base, raws, strict=True), tuple(each.column for each in readings))

    def count(self, table: Table) -> int:
        if self._batches is not None:
            return self._batches.count(table)
        return int(self._one(f"SELECT count(*) FROM {self._target(table)}"))

    def watermark(self, table: Table) -> Watermark | None:
        if table.cursor is None:
            return None
        if self._batches is not None:
            return self._batches.watermark(table)
        name = quote(cursor_of(table).physical_name)
        value = self._one(f"SELECT max({name}) FROM {self._target(table)}")
        return None if value is None else str(value)

    def notes(self, table: Table) -> Mapping[str, int]:
        if self._batches is not None:
            return self._batches.notes(table)
        return self._notes.get(table.name, {})

    def _plan(self, table: Table, columns: tuple[str, ...] | None) -> list[Reading | None]:
        unscannable: list[str] = []

        def sender(column: Column, source: SourceColumn, delta: str) -> Reading:
            reading = send(column, source, delta)
            if reading is not None:
                return reading
            unscannable.append(column.name)
            return send(replace(column, delta_type="string"), replace(source, physical_type="text"), "string")  # type: ignore[return-value]

        readings = plan(table, self._describe(table), self._source.dialect, sender, columns)
        return [None if reading.column.name in unscannable else reading for reading in readings]

    def _where(self, table: Table, since: Watermark | None) -> str:
        if since is None:
            return ""
        column = cursor_of(table)
        found = self._describe(table)
        kind = next(each.physical_type for each in found.columns if each.name == column.physical_name).lower()
        name = quote(column.physical_name)
        if kind.startswith(("datetime", "timestamp")):
            return f" WHERE {name} >= TIMESTAMP {literal(_utc(since))}"
        if kind.startswith("date"):
            return f" WHERE {name} >= DATE {literal(since[:10])}"
        if "char" in kind or "text" in kind:
            return f" WHERE {name} >= {literal(since)}"
        return f" WHERE {name} >= {_number(since)}"

    def _settle_zero_dates(self, table: Table, readings: tuple[Reading, ...], where: str) -> None:
        """Counts the dates before the year 1, which a scan gives as null, where the contract lets them be null.

        Any other rule needs the values themselves: the read fails like a cast, and its lenient repetition goes in batches.
        """
        import duckdb

        notes = self._notes.setdefault(table.name, {})
        for column in self._suspects(table, readings, where):
            name = quote(column.physical_name)
            zero = f"{' AND' if where else ' WHERE'} {name} < DATE '{_FIRST_DATE}'"
            hits = int(self._one(f"SELECT count(*) FROM {self._target(table)}{where}{zero}"))
            if hits and column.zero_dates != "null":
                raise duckdb.ConversionException(f"{hits} values of {column.physical_name} are no dates (0000-00-00)")
            if hits:
                notes[f"{column.name}.zero_dates"] = hits

    def _suspects(self, table: Table, readings: tuple[Reading, ...], where: str) -> list[Column]:
        """The columns of dates whose lowest value is none: a zero date is lower than all others, and the scanner gives it as null.

        The server looks at all columns in one pass; at one with an index, in none.
        """
        found = self._describe(table)
        times = {column.name for column in found.columns if is_time(column)}
        columns = [table.column(reading.column.name) for reading in readings]
        dates = [column for column in columns if not column.absent and column.physical_name in times]
        if not dates:
            return []
        lowest = ", ".join(f"min({quote(each.physical_name)}), count({quote(each.physical_name)})" for each in dates)
        row = self._con.execute(f"SELECT {lowest} FROM {self._target(table)}{where}").fetchone()
        assert row is not None  # an aggregate gives one row
        pairs = zip(dates, row[::2], row[1::2], strict=True)
        return [column for column, minimum, values in pairs if minimum is None and values]

    def _target(self, table: Table) -> str:
        found = self._describe(table)
        return f"{_ATTACHED}.{quote(found.schema or self._source.address.database)}.{quote(found.name)}"

    def _describe(self, table: Table) -> SourceTable:
        if table.name not in self._found:
            self._found[table.name] = self._source.describe_table(table)
        return self._found[table.name]

    def _one(self, sql: str) -> Any:
        row = self._con.execute(sql).fetchone()
        return row[0] if row is not None else None

    def _execute(self, sql: str) -> None:
        self._con.execute(f"CALL mysql_execute({literal(_ATTACHED)}, {literal(sql)})")


def _utc(since: Watermark) -> str:
    """The moment as a time stamp without a zone: the session's zone is UTC. A plain literal, since only that is pushed to the server."""
    moment = datetime.fromisoformat(since)
    return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None).isoformat(sep=" ")


def _number(text: str) -> str:
    """A number as SQL; anything else is quoted, and then compared as text."""
    digits = text.lstrip("-")
    return text if digits.replace(".", "", 1).isdigit() else literal(text)
