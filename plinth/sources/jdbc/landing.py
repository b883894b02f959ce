"""What is asked of whoever reads by JDBC, and where its rows are found afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from plinth.engine import literal
from plinth.sources.jdbc.address import Endpoint
from plinth.sources.jdbc.carriers import Carrier


@dataclass(frozen=True)
class JdbcRead:
    """One table, as sessions read it.

    Attributes:
        query: the SELECT, in the server's SQL.
        columns: its columns that are wanted, each with Spark's type.
        opening: statements that each session begins with.
        parts: conditions over the query's columns, one for each session; each row of the table fulfils exactly one. Empty for one session.
    """

    endpoint: Endpoint
    query: str
    columns: Mapping[str, str]
    opening: str
    parts: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Landing:
    """A folder for the rows of one load, and who brings them there.

    Attributes:
        folder: address of a folder that is not there yet.
        sessions: how many may read at once.
        bring: reads, and writes the rows as Parquet to the folder; see `plinth.spark.jdbc.land`.
    """

    folder: str
    sessions: int
    bring: Callable[[JdbcRead, str], None]

    def rows(self, carriers: Mapping[str, Carrier]) -> str:
        """SQL for DuckDB that yields the landed columns in the types in which its scanner gives them."""
        restored = ", ".join(f"{each.restored(name)} AS {name}" for name, each in carriers.items())
        return f"SELECT {restored or '1 AS nothing'} FROM {self.files}"

    @property
    def files(self) -> str:
        """The landed rows as they travelled."""
        return f"read_parquet({literal(f'{self.folder}/*.parquet')})"
