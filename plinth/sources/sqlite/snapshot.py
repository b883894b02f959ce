"""One read transaction of SQLite, in which SQLite itself turns values into text that casts exactly.

The scan of an attached table would be faster on several cores, but its threads have connections of their own and see what is committed in
between; and it aborts on a text in an integer column, on bytes that are no UTF-8, and rounds decimals through doubles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from plinth.engine import literal, quote
from plinth.sources import faults, transaction
from plinth.sources.casting import duckdb_type
from plinth.sources.catalogue import SourceTable
from plinth.sources.reading import Reading, cursor_of, plan, select
from plinth.sources.snapshot import REJECTS, Relation, Snapshot, Watermark
from plinth.sources.sqlite import catalogue
from plinth.sources.sqlite.source import ATTACHED, SQLiteSource, query
from plinth.sources.sqlite.types import at_least, blank_dates, send, send_patiently

if TYPE_CHECKING:
    import duckdb

    from plinth.contracts.model import Table


@contextmanager
def open_snapshot(source: SQLiteSource, con: duckdb.DuckDBPyConnection) -> Iterator[Snapshot]:
    """See `Source.snapshot`."""
    source.attach(con)
    try:
        with faults.translated(source.address), transaction.reading(con):
            # The first read takes SQLite's shared lock, or its place in the write-ahead log, until the transaction ends.
            query(con, "SELECT count(*) AS n FROM sqlite_master")
            yield SQLiteSnapshot(source, con)
    finally:
        con.execute(f"DETACH DATABASE {ATTACHED}")


class SQLiteSnapshot(Snapshot):
    """A snapshot that lives in a transaction of the DuckDB connection."""

    def __init__(self, source: SQLiteSource, con: duckdb.DuckDBPyConnection) -> None:
        self._source = source
        self._con = con
        self._found: dict[str, SourceTable] = {}
        self._notes: dict[str, dict[str, int]] = {}

    def relation(
        self,
        table: Table,
        *,
        since: Watermark | None = None,
        columns: tuple[str, ...] | None = None,
        strict: bool = True,
    ) -> Relation:
        found = self._describe(table)
        wanted = tuple(column.name for column in table.columns) if columns is None else columns
        cursor = () if since is None or table.cursor in wanted else (cursor_of(table).name,)
        sender = send if strict else send_patiently
        readings = plan(table, found, self._source.dialect, sender, (*wanted, *cursor))
        where = "" if since is None else f" WHERE {self._where(table, readings, since)}"
        if not strict:
            self._count_blank_dates(table, readings, where)
        raws = [f"c{index}" for index in range(len(readings))]
        listed = [
            f"{each.remote} AS {raw}" for each, raw in zip(readings, raws, strict=True) if each.remote is not None
        ]
        text = f"SELECT {', '.join(listed) or '1 AS nothing'} FROM {quote(found.name)}{where}"
        base = f"SELECT * FROM sqlite_query({literal(ATTACHED)}, {literal(text)})"
        sql = select(readings, base, raws, strict=strict)
        if since is not None:
            sql = self._later(sql, table, readings, since, wanted, strict=strict)
        return Relation(sql, tuple(each.column for each in readings[: len(wanted)]))

    def count(self, table: Table) -> int:
        return int(query(self._con, f"SELECT count(*) AS n FROM {quote(self._describe(table).name)}")[0][0])

    def watermark(self, table: Table) -> Watermark | None:
        if table.cursor is None:
            return None
        # By the cast values: as text, several spellings of a time have no common order.
        relation = self.relation(table, columns=(table.cursor,), strict=False)
        row = self._con.execute(f"SELECT CAST(max({quote(table.cursor)}) AS VARCHAR) FROM ({relation.sql})").fetchone()
        return None if row is None or row[0] is None else str(row[0])

    def notes(self, table: Table) -> Mapping[str, int]:
        return self._notes.get(table.name, {})

    def _describe(self, table: Table) -> SourceTable:
        if table.name not in self._found:
            same = catalogue.describe(lambda sql: query(self._con, sql), table.physical_name)
            self._found[table.name] = same[0] if same else self._source.describe_table(table)
        return self._found[table.name]

    def _where(self, table: Table, readings: tuple[Reading, ...], since: Watermark) -> str:
        column = cursor_of(table)
        delta = next(each.column.delta_type for each in readings if each.column.name == column.name)
        return at_least(quote(column.physical_name), delta, since)

    def _later(
        self,
        sql: str,
        table: Table,
        readings: tuple[Reading, ...],
        since: Watermark,
        wanted: tuple[str, ...],
        *,
        strict: bool,
    ) -> str:
        """Of the rows that SQLite's index gave, exactly those of `since` or later; one whose cursor did not cast is kept, to be seen."""
        name = quote(cursor_of(table).name)
        delta = next(each.column.delta_type for each in readings if each.column.name == cursor_of(table).name)
        later = f"{name} >= CAST({literal(since)} AS {duckdb_type(delta)})"
        unknown = "" if strict else f" OR ({name} IS NULL AND {quote(REJECTS)} IS NOT NULL)"
        listed = ", ".join(quote(each) for each in (*wanted, *(() if strict else (REJECTS,))))
        return f"SELECT {listed} FROM ({sql}) WHERE {later}{unknown}"

    def _count_blank_dates(self, table: Table, readings: tuple[Reading, ...], where: str) -> None:
        dates = [each for each in readings if each.is_no_date is not None and each.zero_dates != "quarantine"]
        if not dates:
            return
        counts = ", ".join(
            f"sum({blank_dates(quote(table.column(each.column.name).physical_name))}) AS c{index}"
            for index, each in enumerate(dates)
        )
        row = query(self._con, f"SELECT {counts} FROM {quote(self._describe(table).name)}{where}")[0]
        notes = self._notes.setdefault(table.name, {})
        notes.update(
            {
                f"{each.column.name}.zero_dates": int(hits)
                for each, hits in zip(dates, row, strict=True)
                if hits and hits != "0"
            }
        )
