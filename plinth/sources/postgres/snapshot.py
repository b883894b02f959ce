"""One REPEATABLE READ transaction of PostgreSQL, read by DuckDB in parallel under its exported snapshot.

What belongs here: which way a table is read. A scan goes by ctid ranges over several connections, the fastest way for whole tables of
plain types. A query goes over one connection and lets the server convert what the scanner would change; it also serves increments,
since the scanner would turn a filter on an index into hundreds of range reads over the whole table (TRAPS.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from plinth.engine import literal, quote
from plinth.sources import faults, transaction
from plinth.sources.catalogue import SourceTable
from plinth.sources.horizon import is_ahead, not_ahead
from plinth.sources.postgres import catalogue
from plinth.sources.postgres.attached import ATTACHED, attached, query, remote
from plinth.sources.postgres.source import PostgresSource, table_name
from plinth.sources.postgres.types import Doubtful, send, send_patiently
from plinth.sources.reading import Reading, cursor_of, plan, relation_of, through_bytes
from plinth.sources.snapshot import Relation, Snapshot, Watermark
from plinth.sources.source import Probe

if TYPE_CHECKING:
    import duckdb

    from plinth.contracts.model import Table

SESSION = {"timezone": "UTC", "datestyle": "ISO", "intervalstyle": "iso_8601", "extra_float_digits": "1", "jit": "off", "statement_timeout": "0",
            "idle_in_transaction_session_timeout": "0"}  # fmt: skip
"""What every session that reads is set to, so that texts of times, intervals and floats are the same whatever the server's defaults."""


@contextmanager
def open_snapshot(
    source: PostgresSource,
    con: duckdb.DuckDBPyConnection,
    make: Callable[[PostgresSource, duckdb.DuckDBPyConnection], PostgresSnapshot] | None = None,
) -> Iterator[Snapshot]:
    """See `Source.snapshot`.

    Args:
        make: gives the snapshot; one that DuckDB reads by default.
    """
    with attached(source, con), faults.translated(source.address), transaction.reading(con):
        snapshot = (make or PostgresSnapshot)(source, con)
        snapshot.begin()
        yield snapshot


class PostgresSnapshot(Snapshot):
    """A snapshot that lives in a transaction of the DuckDB connection."""

    def __init__(self, source: PostgresSource, con: duckdb.DuckDBPyConnection) -> None:
        self._source = source
        self._con = con
        self._found: dict[str, tuple[SourceTable, bool]] = {}
        self._notes: dict[str, dict[str, int]] = {}
        self._counts: dict[str, int] = {}
        self._encoded = True

    def begin(self) -> None:
        """Takes the snapshot: REPEATABLE READ takes it at the first query."""
        settings = ", ".join(
            f"set_config({literal(name)}, {literal(value)}, true) AS {name}" for name, value in SESSION.items()
        )
        row = self._query(f"SELECT {settings}, current_setting('server_encoding') AS encoding")[0]
        self._encoded = row[-1] != "SQL_ASCII"

    def relation(
        self,
        table: Table,
        *,
        since: Watermark | None = None,
        columns: tuple[str, ...] | None = None,
        strict: bool = True,
    ) -> Relation:
        found, scannable = self._describe(table)
        where = self._where(table, found, since)
        readings = self._readings(table, found, where, columns, strict=strict)
        sent = [reading for reading in readings if reading.remote is not None]
        if scannable and not where and all(each.plain for each in sent):
            raws = [quote(table.column(each.column.name).physical_name) for each in readings]
            base = f"SELECT * FROM {ATTACHED}.{table_name(found)}"
            return relation_of(readings, base, raws, strict=strict)
        raws = [f"c{index}" for index in range(len(readings))]
        listed = [
            f"{each.remote} AS {raw}" for each, raw in zip(readings, raws, strict=True) if each.remote is not None
        ]
        query = f"SELECT {', '.join(listed) or '1 AS nothing'} FROM {table_name(found)}{where}"
        return relation_of(readings, remote(query), raws, strict=strict)

    def _readings(
        self, table: Table, found: SourceTable, where: str, columns: tuple[str, ...] | None, *, strict: bool
    ) -> tuple[Reading, ...]:
        """How each column is read, once the server has been looked at for values that a plain read would change."""
        sender = send if strict else send_patiently
        readings = self._settle(table, found, plan(table, found, self._source.dialect, sender, columns), where)
        return readings if self._encoded else tuple(_as_bytes(reading) for reading in readings)

    def count(self, table: Table) -> int:
        if table.name not in self._counts:
            found, _ = self._describe(table)
            self._counts[table.name] = int(self._query(f"SELECT count(*) AS n FROM {table_name(found)}")[0][0])
        return self._counts[table.name]

    def probe(self, table: Table) -> Probe:
        found, _ = self._describe(table)
        cursor = quote(cursor_of(table).physical_name)
        highest = f"SELECT max({cursor})::text AS w FROM {table_name(found)}"
        last = self._query(highest)[0][0]
        behind = self._query(f"{highest} WHERE {not_ahead(cursor, last)}")[0][0] if is_ahead(last) else None
        return Probe(rows=self.count(table), watermark=last, token=behind)

    def watermark(self, table: Table) -> Watermark | None:
        if table.cursor is None:
            return None
        found, _ = self._describe(table)
        column = next(each for each in found.columns if each.name == cursor_of(table).physical_name)
        name = quote(column.name)
        # The highest value that a later one can exceed: neither infinity nor NaN may become a watermark.
        end = {"numeric": "'NaN'", "date": "'infinity'", "timestamp": "'infinity'"}.get(
            column.physical_type.split("(")[0].split(" ")[0]
        )
        finite = f" WHERE {name} < {end}" if end else ""
        value = self._query(f"SELECT max({name})::text AS w FROM {table_name(found)}{finite}")[0][0]
        return None if value is None else str(value)

    def notes(self, table: Table) -> Mapping[str, int]:
        return self._notes.get(table.name, {})

    def _describe(self, table: Table) -> tuple[SourceTable, bool]:
        """The table, and whether a scan may read it."""
        if table.name not in self._found:
            found = self._source.describe_table(
                table, lambda schema, name: catalogue.describe(self._query, schema, name)
            )
            self._found[table.name] = (found, catalogue.scannable(self._query, found.schema, found.name))
        return self._found[table.name]

    def _where(self, table: Table, found: SourceTable, since: Watermark | None) -> str:
        if since is None:
            return ""
        name = cursor_of(table).physical_name
        kind = next(each.physical_type for each in found.columns if each.name == name)
        return f" WHERE {quote(name)} >= {catalogue.text(since)}::{kind}"

    def _settle(self, table: Table, found: SourceTable, readings: Sequence[Reading], where: str) -> tuple[Reading, ...]:
        """Looks on the server whether there are values that a plain read would change, and reads those columns otherwise.

        In a strict read that is NaN in decimals: one parallel pass, 0.06 s per million rows of three such columns. A pass over all rows
        counts them too, so that nobody has to do it again.
        """
        doubts = [(each, doubt) for each in readings if isinstance(each, Doubtful) for doubt in each.doubts]
        notes = self._notes.setdefault(table.name, {})
        if not doubts:
            return tuple(readings)
        counts = ", ".join(
            f"count(*) FILTER (WHERE {doubt.condition}) AS c{index}" for index, (_, doubt) in enumerate(doubts)
        )
        rows, *row = self._query(f"SELECT count(*) AS n, {counts} FROM {table_name(found)}{where}")[0]
        if not where:
            self._counts[table.name] = int(rows)
        instead: dict[str, Reading] = {}
        for (reading, doubt), hits in zip(doubts, row, strict=True):
            if hits and doubt.note:
                notes[doubt.note] = int(hits)
            if hits and doubt.instead is not None:
                instead[reading.column.name] = doubt.instead
        return tuple(instead.get(each.column.name, each) for each in readings)

    def _query(self, sql: str) -> list[Any]:
        return query(self._con, sql)


def _as_bytes(reading: Reading) -> Reading:
    """A text column of a database that knows no encoding (SQL_ASCII): its bytes may be anything."""
    if reading.remote is None or reading.raw not in ("VARCHAR", "ENUM"):
        return reading
    return through_bytes(reading, f"convert_to({reading.remote}::text, 'SQL_ASCII')", "BLOB")
