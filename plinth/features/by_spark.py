"""A view's snapshot computed by Spark: its SQL as it stands, in Spark's dialect, over the same pinned tables.

What belongs here: from a view and an instant to rows that Spark has staged, and handing these to the table's own staging. What does not: which
snapshots are made and how they are committed (`store`), and Spark itself (`plinth.spark`). One entity's online values, and training sets at their rows'
own instants, are DuckDB's whatever the profile says: they are small, and Spark's start alone takes longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from plinth.engine import quote
from plinth.features.declare import FeatureView
from plinth.features.query import source_rows, spelled_out, sql_of
from plinth.features.rows import Inputs
from plinth.lakehouse.files import read_files
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.staged_apart import files_in, new_folder, remove_folder
from plinth.lakehouse.staging import StagedFile, stage
from plinth.lakehouse.tables import Lakehouse
from plinth.spark.engine import Input, SparkEngine

if TYPE_CHECKING:
    import duckdb

SAME = 1e-9
"""How far a double of Spark may be from DuckDB's, as a share of it: each turns a sum of decimals into a double with another last bit."""


def snapshot_sql(view: FeatureView, at: datetime) -> str:
    """The SQL of a view as of an instant over `layer.name` of its tables, in DuckDB's dialect without functions of our own.

    Raises:
        FeatureViewError: the declaration is no SQL.
    """
    rows = {
        name: f"({source_rows(source, f'{quote(source.table_id.layer)}.{quote(source.table_id.name)}')})"
        for name, source in view.sources.items()
    }
    return spelled_out(sql_of(view, rows, at))


def stage_by_spark(
    spark: SparkEngine,
    con: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    inputs: Inputs,
    at: datetime,
    columns: Sequence[DeltaColumn],
    partition_by: Sequence[str],
) -> tuple[StagedFile, ...]:
    """Has Spark compute a snapshot and stages its rows as files of the table.

    Spark's own files lie apart and go again: a file of the table holds its partition's value and statistics, which Spark's do not. What is written
    twice is one row for each entity, not what they were computed from.

    Raises:
        SparkFailure: Spark could not compute it.
        PlinthError: the SQL has no form in Spark's dialect.
        StorageFailure: the files could not be written.
    """
    table = inputs.view.table
    folder = new_folder(lakehouse, table)
    pinned = [Input(each.id, each.columns, each.uri, each.version) for each in inputs.versions.values()]
    try:
        spark.stage(snapshot_sql(inputs.view, at), pinned, columns, folder)
        names = ", ".join(quote(column.name) for column in columns)
        rows = read_files([file.uri for file in files_in(con, folder)], columns)
        return stage(con, f"SELECT {names} FROM ({rows})", lakehouse.uri_of(table), columns, partition_by)
    finally:
        remove_folder(folder)
