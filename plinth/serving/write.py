"""Writing a serving table: what stands in it already costs nothing, and no commit is made for nothing.

What belongs here: from rows to one commit through the lakehouse's door. What does not: where the rows come from.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plinth.engine import quote
from plinth.lakehouse.compare import Counts, count_difference, merge_difference, same_rows
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.files import read_files
from plinth.lakehouse.merge import Rewrite
from plinth.lakehouse.staging import discard, stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableVersion
from plinth.serving.tables import ServingTable

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_ROWS = "plinth_served_rows"


@dataclass(frozen=True)
class Origin:
    """What rows are made from.

    Attributes:
        inputs: the content of each input.
        code: the code's fingerprint.
        until: the first moment that the rows know nothing of, ISO 8601 on the trade's clock; it follows from the inputs.
    """

    inputs: Mapping[str, str]
    code: str
    run: str | None = None
    until: str | None = None

    def made(self, base: TableVersion | None) -> bool:
        """Whether a version was made from just this, so that making it again would change nothing."""
        return (
            base is not None
            and not base.foreign
            and dict(base.state.inputs) == dict(self.inputs)
            and base.state.code == self.code
        )


@dataclass(frozen=True)
class Served:
    """What became of a serving table; `changed` tells whether it has new content."""

    table: ServingTable
    version: TableVersion
    counts: Counts = field(default_factory=Counts)
    changed: bool = False
    seconds: float = 0.0
    computed: bool = False


def write(
    con: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    table: ServingTable,
    base: TableVersion | None,
    rows: Iterable[pa.Table],
    origin: Origin,
) -> Served:
    """Makes a serving table hold exactly `rows`, which come in portions.

    Raises:
        ResidencyViolation, CommitConflict, StorageFailure: as the door; the table is as it was.
    """
    began = time.perf_counter()
    _load(con, table, rows)
    order = ", ".join(map(quote, table.key))
    rewrite = _rewrite(con, lakehouse, table, base, f"SELECT * FROM {_ROWS} ORDER BY {order}")
    con.execute(f"DROP TABLE {_ROWS}")
    changed = base is None or bool(rewrite.add or rewrite.remove)
    state = (base.state if base is not None else State()).next(
        changed=changed,
        asset=str(table.id),
        run=origin.run,
        inputs=dict(origin.inputs),
        code=origin.code,
        watermark=origin.until,
    )
    version = commit(lakehouse, table.id, Write(base, table.columns, state, rewrite.add, rewrite.remove))
    seconds = round(time.perf_counter() - began, 3)
    counts = Counts(rewrite.inserted, rewrite.updated, rewrite.deleted)
    return Served(table, version, counts, changed, seconds, computed=True)


def _load(con: duckdb.DuckDBPyConnection, table: ServingTable, rows: Iterable[pa.Table]) -> None:
    columns = ", ".join(f"{quote(column.name)} {column.duckdb_type}" for column in table.columns)
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_ROWS} ({columns})")
    names = ", ".join(quote(column.name) for column in table.columns)
    for portion in rows:
        con.register("plinth_portion", portion)
        con.execute(f"INSERT INTO {_ROWS} SELECT {names} FROM plinth_portion")
        con.unregister("plinth_portion")


def _rewrite(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, table: ServingTable, base: TableVersion | None, sql: str
) -> Rewrite:
    same_shape = base is not None and [(c.name, c.type) for c in base.columns] == [
        (c.name, c.type) for c in table.columns
    ]
    if base is not None and same_shape:
        difference = merge_difference(con, base, table.columns, sql, table.key)
        if difference is not None:
            return difference
    staged = stage(con, sql, lakehouse.uri_of(table.id), table.columns)
    count = sum(file.rows for file in staged)
    if base is None:
        return Rewrite(staged, (), inserted=count)
    new = read_files([file.uri for file in staged], table.columns)
    if same_shape and count == base.rows and same_rows(con, base, table.columns, new):
        discard(staged)
        return Rewrite()
    counts = count_difference(con, base, table.columns, new, table.key) or Counts(count, 0, base.rows)
    return Rewrite(staged, base.files, counts.inserted, counts.updated, counts.deleted)
