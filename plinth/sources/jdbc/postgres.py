"""PostgreSQL read by many sessions of one moment: each joins the snapshot that ours has exported, and reads a range of the table's pages.

Our own transaction stays open while they read. It keeps the snapshot, holds the lock that keeps the table's files where they are, and answers what else
is asked of that moment: counts, the highest cursor value, values that need another form.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from plinth.engine import literal
from plinth.sources.catalogue import SourceTable
from plinth.sources.jdbc.address import endpoint
from plinth.sources.jdbc.carriers import Carrier, postgres_carrier
from plinth.sources.jdbc.landing import JdbcRead, Landing
from plinth.sources.postgres.catalogue import text
from plinth.sources.postgres.snapshot import SESSION, PostgresSnapshot
from plinth.sources.postgres.snapshot import open_snapshot as open_transaction
from plinth.sources.postgres.source import PostgresSource, table_name
from plinth.sources.reading import relation_of
from plinth.sources.snapshot import Relation, Snapshot, Watermark

if TYPE_CHECKING:
    import duckdb

    from plinth.contracts.model import Table

_PLACE = "plinth_place"
# A session costs a connection and, in Spark, a task: below 8 MiB that is more than the reading.
_LEAST_PAGES = 1024
# Ranges of row addresses are read as such since this release; before it every session would read the whole table.
_RANGES_SINCE = 140_000
_PAGES = """SELECT c.relkind IN ('r', 'm') AS own, pg_relation_size(c.oid) / current_setting('block_size')::bigint AS pages,
       current_setting('server_version_num')::int AS release
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {schema} AND c.relname = {name}"""


def open_snapshot(
    source: PostgresSource, con: duckdb.DuckDBPyConnection, landing: Landing
) -> AbstractContextManager[Snapshot]:
    """See `Source.snapshot`; whole tables are read by `landing`.

    Raises:
        SourceUnavailable: the database did not answer, or the connection was cut.
    """
    return open_transaction(source, con, lambda source, con: JdbcPostgresSnapshot(source, con, landing))


class JdbcPostgresSnapshot(PostgresSnapshot):
    """A snapshot whose tables are read by other sessions than its own."""

    def __init__(self, source: PostgresSource, con: duckdb.DuckDBPyConnection, landing: Landing) -> None:
        super().__init__(source, con)
        self._landing = landing

    def relation(
        self,
        table: Table,
        *,
        since: Watermark | None = None,
        columns: tuple[str, ...] | None = None,
        strict: bool = True,
    ) -> Relation:
        """See `Snapshot.relation`; rows since a value, and some of the columns, are read by DuckDB."""
        if since is not None or columns is not None:
            return super().relation(table, since=since, columns=columns, strict=strict)
        found, _ = self._describe(table)
        self._query(f"SELECT count(*) FROM (SELECT 1 FROM {table_name(found)} LIMIT 0) locked")
        readings = self._readings(table, found, "", None, strict=strict)
        names = [f"c{index}" for index in range(len(readings))]
        carriers = {
            name: postgres_carrier(each) for name, each in zip(names, readings, strict=True) if each.remote is not None
        }
        read = self._read(found, carriers)
        rows = relation_of(readings, self._landing.rows(carriers), names, strict=strict)
        return Relation(
            rows.sql,
            rows.columns,
            unproven=rows.unproven,
            fetch=lambda: self._landing.bring(read, self._landing.folder),
        )

    def _read(self, found: SourceTable, carriers: dict[str, Carrier]) -> JdbcRead:
        parts = tuple(self._parts(found))
        listed = [f"{each.sent} AS {name}" for name, each in carriers.items()] or ["1 AS nothing"]
        listed += [f"ctid AS {_PLACE}"] if parts else []
        query = f"SELECT {', '.join(listed)} FROM {table_name(found)}"
        columns = {name: each.spark for name, each in carriers.items()} or {"nothing": "INT"}
        return JdbcRead(endpoint(self._source.address), query, columns, self._opening(), parts)

    def _opening(self) -> str:
        """What makes a session see what ours sees. The level comes first, and both before anything is read."""
        exported = self._query("SELECT pg_export_snapshot()")[0][0]
        return "; ".join(
            [
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
                f"SET TRANSACTION SNAPSHOT {literal(str(exported))}",
                *(f"SET LOCAL {name} = {literal(value)}" for name, value in SESSION.items()),
            ]
        )

    def _parts(self, found: SourceTable) -> Iterator[str]:
        """Ranges of pages that together are the table, the last without an end; none where one session reads it."""
        row = self._query(_PAGES.format(schema=text(found.schema or ""), name=text(found.name)))
        own_pages, pages, release = row[0] if row else (False, 0, 0)
        number = min(self._landing.sessions, int(pages) // _LEAST_PAGES)
        if not own_pages or release < _RANGES_SINCE or number < 2:
            return
        bounds = [int(pages) * part // number for part in range(1, number)]
        for low, high in zip([None, *bounds], [*bounds, None], strict=True):
            ends = [f"{_PLACE} >= '({low},0)'::tid" if low else "", f"{_PLACE} < '({high},0)'::tid" if high else ""]
            yield " AND ".join(end for end in ends if end)
