"""MySQL and MariaDB read by one statement of one session, which is of one moment by itself.

InnoDB gives no session the snapshot of another, so that several would see several moments. The statement counts the table beside reading it, so that the
count is of the same moment, and a session that is lost with its worker is replaced by one that reads everything anew, at its own moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import mysql

from plinth.contracts.physical import parse_physical_type
from plinth.sources import faults
from plinth.sources.batches.statements import is_bytes, rows_of, send
from plinth.sources.casting import RAW
from plinth.sources.catalogue import SourceColumn, SourceTable
from plinth.sources.jdbc.address import endpoint
from plinth.sources.jdbc.carriers import Carrier, mysql_carrier
from plinth.sources.jdbc.landing import JdbcRead, Landing
from plinth.sources.mysql.source import LIFT_LIMITS, MySQLSource, table_name
from plinth.sources.reading import Reading, plan, relation_of
from plinth.sources.snapshot import Relation, Snapshot, Watermark

if TYPE_CHECKING:
    import duckdb

    from plinth.contracts.model import Column, Table

_COUNT = "plinth_count"
# Dirty reads, which a server may have as its default, would be of no moment at all. MariaDB and MySQL name the level differently, and each ignores
# the other's comment, as in LIFT_LIMITS.
_OPENING = (
    f"{LIFT_LIMITS}, /*M! tx_isolation = 'REPEATABLE-READ', */ /*!50720 transaction_isolation = 'REPEATABLE-READ', */ "
    "time_zone = '+00:00'"
)


@contextmanager
def open_snapshot(source: MySQLSource, con: duckdb.DuckDBPyConnection, landing: Landing) -> Iterator[Snapshot]:
    """See `Source.snapshot`; only whole tables can be read, and of each only what its rows tell is of their moment."""
    with faults.translated(source.address):
        yield JdbcMySQLSnapshot(source, con, landing)


@dataclass(frozen=True)
class _Sent:
    """One column as the session sends it under `name`."""

    name: str
    reading: Reading
    carrier: Carrier

    def over(self, expression: str) -> str:
        """An expression over `{raw}` as one over the landed column."""
        return expression.replace(RAW, self.carrier.restored(self.name))


class JdbcMySQLSnapshot(Snapshot):
    """The moment at which Spark's session reads. Before the rows have landed nothing is known of it."""

    def __init__(self, source: MySQLSource, con: duckdb.DuckDBPyConnection, landing: Landing) -> None:
        self._source = source
        self._con = con
        self._landing = landing
        self._sent: tuple[_Sent, ...] = ()

    def relation(
        self,
        table: Table,
        *,
        since: Watermark | None = None,
        columns: tuple[str, ...] | None = None,
        strict: bool = True,
    ) -> Relation:
        """See `Snapshot.relation`, of all rows and columns.

        Raises:
            NotImplementedError: some of them are asked for, which DuckDB reads.
        """
        if since is not None or columns is not None:
            raise NotImplementedError("the one statement reads a whole table")
        found = self._source.describe_table(table)

        def sender(column: Column, source: SourceColumn, delta: str) -> Reading:
            return send(column, source, delta, self._source.dialect, strict=strict)

        readings = plan(table, found, self._source.dialect, sender)
        self._sent = tuple(_sent([each for each in readings if each.remote is not None], found))
        read = self._read(table, found, readings)
        names = {each.reading.column.name: each.name for each in self._sent}
        raws = [names.get(each.column.name, "NULL") for each in readings]
        carriers = {each.name: each.carrier for each in self._sent}
        rows = relation_of(readings, self._landing.rows(carriers), raws, strict=strict)
        return Relation(rows.sql, rows.columns, fetch=lambda: self._landing.bring(read, self._landing.folder))

    def count(self, table: Table) -> int:
        """Rows of the table, as the statement has counted them; where it gave no row, there was none."""
        return int(self._one(f"max({_COUNT})") or 0)

    def watermark(self, table: Table) -> Watermark | None:
        for each in self._sent:
            if each.reading.column.name == table.cursor:
                value = self._one(f"CAST(max({each.over(each.reading.attempt)}) AS VARCHAR)")
                return None if value is None else str(value)
        return None

    def notes(self, table: Table) -> Mapping[str, int]:
        """The dates that are none, counted as they have landed."""
        found: dict[str, int] = {}
        for each in self._sent:
            if each.reading.is_no_date is not None and each.reading.zero_dates != "quarantine":
                hits = self._one(f"count(*) FILTER (WHERE {each.over(each.reading.is_no_date)})")
                found |= {f"{each.reading.column.name}.zero_dates": int(hits)} if hits else {}
        return found

    def _read(self, table: Table, found: SourceTable, readings: tuple[Reading, ...]) -> JdbcRead:
        # Named, as percent signs are doubled for the other styles of parameters.
        dialect = mysql.dialect(paramstyle="named")
        rows = rows_of(table, found, readings, dialect, None).compile(
            dialect=dialect, compile_kwargs={"literal_binds": True}
        )
        listed = ", ".join(f"{each.carrier.sent} AS {each.name}" for each in self._sent)
        counted = f"SELECT count(*) AS {_COUNT} FROM {table_name(found)}"
        # In this order, so that the one count is what waits in the server's memory, and not the rows.
        query = f"SELECT {listed + ', ' if listed else ''}{_COUNT} FROM ({counted}) AS plinth_counted STRAIGHT_JOIN ({rows}) AS plinth_sent"
        columns = {each.name: each.carrier.spark for each in self._sent} | {_COUNT: "BIGINT"}
        return JdbcRead(endpoint(self._source.address), query, columns, _OPENING)

    def _one(self, expression: str) -> Any:
        row = self._con.execute(f"SELECT {expression} FROM {self._landing.files}").fetchone()
        return row[0] if row is not None else None


def _sent(readings: Sequence[Reading], found: SourceTable) -> Iterator[_Sent]:
    """The columns in the order of `rows_of`, which names them by it."""
    by_name = {column.name: column for column in found.columns}
    for index, reading in enumerate(readings):
        source = by_name[str(reading.remote)]
        binary = is_bytes(parse_physical_type(source.physical_type, "mysql").base, "mysql")
        yield _Sent(f"c{index}", reading, mysql_carrier(reading, source, f"c{index}", binary=binary))
