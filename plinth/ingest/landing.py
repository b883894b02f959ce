"""Where the rows of one read wait to be judged: as files below the table's folder for a whole table, in a table of the connection for an increment.

An increment's rows are few, and no file of the table is made of them as they came: written as Parquet first and read back, 100,000 of them cost
0.05 CPU seconds more. What does not fit into the connection's memory spills to the scratch folder, as everything of DuckDB's does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plinth.engine import quote
from plinth.lakehouse.files import read_files
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.staging import ColumnFacts, StagedFile, discard

if TYPE_CHECKING:
    import duckdb

LANDED_ROWS = "plinth_landed_rows"


@dataclass(frozen=True)
class Part:
    """What is known of a part of the rows: how many they are, and facts of its columns; one that nobody asked for may be missing."""

    rows: int
    facts: Mapping[str, ColumnFacts]


@dataclass(frozen=True)
class Landing:
    """Rows that were read and not judged yet.

    Attributes:
        sql: SQL that yields them, as often as wanted.
        parts: what is known of them.
        files: the staged files that hold them, if they are in files.
    """

    sql: str
    parts: tuple[Part, ...]
    files: tuple[StagedFile, ...] = ()

    @property
    def rows(self) -> int:
        """How many they are."""
        return sum(part.rows for part in self.parts)

    def has_no_nulls(self, name: str) -> bool:
        """Whether it is known that no row has a null in a column."""
        return all(name in part.facts and part.facts[name].nulls == 0 for part in self.parts)

    def is_there(self, con: duckdb.DuckDBPyConnection) -> bool:
        """Whether the rows outlived the transaction in which they were read."""
        import duckdb

        if self.files:
            return True
        try:
            con.execute(f"{self.sql} LIMIT 0")
        except duckdb.CatalogException:
            return False
        return True

    def give_up(self) -> None:
        """Removes the files; of those that a commit may have named, never."""
        discard(self.files)


def in_files(files: tuple[StagedFile, ...], columns: Sequence[DeltaColumn]) -> Landing:
    """Rows that were staged below the table's folder."""
    sql = read_files([file.uri for file in files], columns)
    return Landing(sql, tuple(Part(file.rows, file.facts) for file in files), files)


def in_table(
    con: duckdb.DuckDBPyConnection, sql: str, columns: Sequence[DeltaColumn], ask: Sequence[str] = ()
) -> Landing:
    """Reads what a query yields into a table of the connection, in place of the one before.

    Args:
        sql: a query that yields exactly `columns`.
        ask: columns whose extremes will be asked for.
    """
    typed = ", ".join(f"{quote(column.name)} {column.duckdb_type}" for column in columns)
    names = ", ".join(quote(column.name) for column in columns)
    con.execute(f"CREATE OR REPLACE TEMP TABLE {LANDED_ROWS} ({typed})")
    con.execute(f"INSERT INTO {LANDED_ROWS} SELECT {names} FROM ({sql})")
    asked = list(dict.fromkeys(ask))
    wanted = [f"count({quote(n)}), min({quote(n)})::VARCHAR, max({quote(n)})::VARCHAR" for n in asked]
    rows, *values = con.execute(f"SELECT {', '.join(['count(*)', *wanted])} FROM {LANDED_ROWS}").fetchone() or (0,)
    facts = {
        name: ColumnFacts(rows - values[3 * place], values[3 * place + 1], values[3 * place + 2])
        for place, name in enumerate(asked)
    }
    return Landing(f"SELECT {names} FROM {LANDED_ROWS}", (Part(rows, facts),))
