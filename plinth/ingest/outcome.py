"""What one load of a bronze table did, for metadata, reports and checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from plinth.lakehouse.schema import DeltaColumn
from plinth.profile import Engine


@dataclass(frozen=True)
class Outcome:
    """The result of `plinth.ingest.ingest`.

    Attributes:
        table: asset name, `bronze/<table>`.
        changed: whether a new content was published; False means that the table holds what it held before.
        version: Delta version after the load.
        content: names the rows, see `TableVersion.content`; the Dagster data version.
        mode: `snapshot` or `incremental` (the first load of an incremental table reads all of it).
        rows_read: rows that came from the source.
        inserted, updated, deleted: rows that differ from the version before; None where all files were replaced and the table has no key by
            which its rows could be told apart.
        quarantined: rows held back, by rule.
        rows: rows of the table after the load, `rows_before` before it.
        source_rows: rows of the source in the snapshot that was read, None where it was not counted.
        size: bytes of the table's files.
        seconds: wall time of the load.
        peak_memory: highest resident set of the process so far, bytes.
        watermark: cursor value up to which the source has been read.
        drift: one line for each difference between contract and source.
        notes: counts worth knowing, e.g. zero dates that became null.
        columns: columns of the bronze table.
        engine: what read the source, `duckdb` or `spark`.
        engine_reason: why, in words; empty where nothing but DuckDB was asked for.
    """

    table: str
    changed: bool
    version: int
    content: str
    mode: str
    rows_read: int = 0
    inserted: int | None = 0
    updated: int | None = 0
    deleted: int | None = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    rows: int = 0
    rows_before: int = 0
    source_rows: int | None = None
    size: int = 0
    seconds: float = 0.0
    peak_memory: int = 0
    watermark: str | None = None
    drift: tuple[str, ...] = ()
    notes: Mapping[str, int] = field(default_factory=dict)
    columns: tuple[DeltaColumn, ...] = ()
    engine: Engine = "duckdb"
    engine_reason: str = ""
