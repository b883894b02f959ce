"""Reading a table as `plinth.ingest` does: through a staged Parquet file that DuckDB writes, and reads again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from plinth.contracts.model import Column, Table
from plinth.engine import connect, literal
from plinth.errors import PlinthError
from plinth.profile import Profile
from plinth.sources import REJECTS, BronzeColumn, Snapshot, Source, open_url

PROFILE = Profile(cpu=2, memory=512 * 2**20)


@dataclass(frozen=True)
class Landed:
    """What came out of a staged file."""

    rows: list[tuple[Any, ...]]
    columns: tuple[BronzeColumn, ...]
    parquet_types: dict[str, str]
    rejects: list[dict[str, dict[str, str]]]
    notes: Mapping[str, int]

    def values(self, name: str) -> list[Any]:
        """The values of one column, in the order of the first."""
        place = [column.name for column in self.columns].index(name)
        return [row[place] for row in self.rows]

    def column(self, name: str) -> BronzeColumn:
        """How a column landed."""
        return next(column for column in self.columns if column.name == name)


def contract(
    name: str,
    columns: Mapping[str, Any] | str,
    *,
    schema: str | None = None,
    key: tuple[str, ...] = ("id",),
    cursor: str | None = None,
) -> Table:
    """A contract: columns by name, each with a Delta type, a Column, or None where the source decides."""
    if isinstance(columns, str):
        columns = dict.fromkeys(columns.split())
    made = tuple(
        given if isinstance(given, Column) else Column(name=each, physical_name=each, delta_type=given)
        for each, given in columns.items()
    )
    return Table("legacy", name.lower(), name, made, physical_schema=schema, key=key, cursor=cursor)


def connection() -> duckdb.DuckDBPyConnection:
    """A DuckDB as ingest opens it."""
    return connect(PROFILE)


def stage(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, table: Table, folder: Path, **how: Any) -> Landed:
    """Stages a relation of an open snapshot and reads the file."""
    relation = snapshot.relation(table, **how)
    file = folder / f"{table.name}.parquet"
    con.execute(f"COPY ({relation.sql}) TO {literal(str(file))} (FORMAT parquet, COMPRESSION zstd)")
    notes = dict(snapshot.notes(table))
    return read_back(file, relation.columns, notes, strict=how.get("strict", True))


def read_back(file: Path, columns: tuple[BronzeColumn, ...], notes: Mapping[str, int], *, strict: bool) -> Landed:
    """What a staged file holds, read by a DuckDB that knows nothing of the source; instants as text, since Python would shift them."""
    with duckdb.connect() as reader:
        reader.execute("SET TimeZone = 'UTC'")
        types = {row[0]: row[1] for row in reader.execute(f"DESCRIBE SELECT * FROM {literal(str(file))}").fetchall()}
        listed = ", ".join(_shown(column) for column in columns)
        extra = "" if strict else f", {REJECTS}"
        rows = reader.execute(f"SELECT {listed}{extra} FROM {literal(str(file))} ORDER BY 1 NULLS LAST").fetchall()
    if strict:
        return Landed(rows, columns, types, [], notes)
    rejects = [json.loads(row[-1]) if row[-1] else {} for row in rows]
    return Landed([row[:-1] for row in rows], columns, types, rejects, notes)


def _shown(column: BronzeColumn) -> str:
    name = '"' + column.name.replace('"', '""') + '"'
    as_text = column.delta_type in ("timestamp", "date", "timestamp_ntz") or column.delta_type.startswith("array<")
    return f"CAST({name} AS VARCHAR) AS {name}" if as_text else name


def land(source: str | Source, table: Table, folder: Path, **how: Any) -> Landed:
    """Opens a source and a snapshot, and lands one table.

    All share one DuckDB: a snapshot must leave nothing behind in it, and loading an extension takes 0.3 s.
    """
    opened = open_url(source) if isinstance(source, str) else source
    try:
        with opened.snapshot(shared(), (table,)) as snapshot:
            return stage(shared(), snapshot, table, folder, **how)
    finally:
        opened.close()


@cache
def shared() -> duckdb.DuckDBPyConnection:
    """The DuckDB of all tests that need none of their own."""
    return connection()


def land_all(url: str, tables: Iterable[Table], folder: Path) -> dict[tuple[str, bool], Landed | Exception]:
    """Lands many tables, each strictly and leniently, within one snapshot each; what fails stands in the place of its result."""
    found: dict[tuple[str, bool], Landed | Exception] = {}
    with connection() as con:
        for strict in (True, False):
            waiting = list(tables)
            while waiting:
                with open_url(url).snapshot(con, waiting) as snapshot:
                    while waiting:
                        table = waiting.pop(0)
                        try:
                            found[table.name, strict] = stage(con, snapshot, table, folder, strict=strict)
                        except (duckdb.Error, PlinthError) as error:
                            found[table.name, strict] = error
                            break  # the failure has ended the snapshot's transaction
    return found
