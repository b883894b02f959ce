"""From a model's SQL to staged files: all rows, or the rows of the touched scopes.

What belongs here: running the SQL and finding what differs from the published version, so that rows which come out as they were cost no
file and start nothing downstream. What does not: deciding what to compute (`session`) and publishing (`publish`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from plinth.lakehouse.compare import Counts, count_difference, merge_difference, same_rows
from plinth.lakehouse.files import is_plain, read_files
from plinth.lakehouse.merge import Rewrite, replace_scope
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.staged_apart import files_in, remove_folder
from plinth.lakehouse.staging import StagedFile, discard, stage
from plinth.lakehouse.tables import TableVersion
from plinth.spark.engine import Input, SparkEngine
from plinth.transform.model import Model

if TYPE_CHECKING:
    import duckdb

_ROWS, _TOUCHED = "plinth_rows", "plinth_touched"


def compute_all(
    con: duckdb.DuckDBPyConnection,
    model: Model,
    columns: Sequence[DeltaColumn],
    sql: str,
    uri: str,
    base: TableVersion | None,
) -> Rewrite:
    """Stages all rows of a model; nothing where they are those of `base` already.

    Raises:
        StorageFailure: the files could not be written, or `base` cannot be read for a comparison.
    """
    if base is not None and model.key and not model.partition_by and _same_shape(model, columns, base):
        con.execute(f"CREATE OR REPLACE TEMP TABLE {_ROWS} AS {sql}")
        difference = merge_difference(con, base, columns, f"SELECT * FROM {_ROWS}", model.key, feed=True)
        if difference is not None:
            return difference
        sql = f"SELECT * FROM {_ROWS}"
    size = base.size if base is not None else 0
    staged = stage(con, sql, uri, columns, model.partition_by, table_bytes=size)
    con.execute(f"DROP TABLE IF EXISTS {_ROWS}")
    return held_against(con, model, columns, staged, base)


def held_against(
    con: duckdb.DuckDBPyConnection,
    model: Model,
    columns: Sequence[DeltaColumn],
    staged: tuple[StagedFile, ...],
    base: TableVersion | None,
) -> Rewrite:
    """What staged files that hold all rows change of `base`: nothing, and then they are discarded, or every file."""
    rows = sum(file.rows for file in staged)
    new = read_files([file.uri for file in staged], columns)
    if (
        base is not None
        and is_plain(base)
        and rows == base.rows
        and _same_shape(model, columns, base)
        and same_rows(con, base, columns, new)
    ):
        discard(staged)
        return Rewrite()
    if base is None:
        return Rewrite(staged, (), inserted=rows)
    key = model.key if _same_shape(model, columns, base) else ()
    counts = count_difference(con, base, columns, new, key) or Counts(rows, 0, base.rows)
    return Rewrite(staged, base.files, counts.inserted, counts.updated, counts.deleted)


def compute_by_spark(
    spark: SparkEngine,
    con: duckdb.DuckDBPyConnection,
    model: Model,
    columns: Sequence[DeltaColumn],
    sql: str,
    folder: str,
    inputs: Sequence[Input],
    base: TableVersion | None,
) -> Rewrite:
    """Has Spark stage all rows of a model in a folder; nothing stays in it where they are those of `base` already.

    Raises:
        SparkFailure: Spark could not compute them.
        PlinthError: the SQL has no form in Spark's dialect.
    """
    spark.stage(sql, inputs, columns, folder)
    rewrite = held_against(con, model, columns, files_in(con, folder), base)
    if base is not None and not rewrite.changed and not rewrite.remove:
        remove_folder(folder)
    return rewrite


def compute_scopes(
    con: duckdb.DuckDBPyConnection,
    model: Model,
    columns: Sequence[DeltaColumn],
    sql: str,
    touched: str,
    base: TableVersion,
    changes: str,
) -> Rewrite:
    """Stages the rows of the touched scopes, as far as they differ from those of `base`.

    Args:
        sql: yields all rows of the touched scopes and no others.
        touched: yields the scope columns of the touched scopes.
        changes: SQL name of a table to make of the rows that differ, see `replace_scope`.

    Raises:
        StorageFailure: as `compute_all`.
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_ROWS} AS {sql}")
    con.execute(f"CREATE OR REPLACE TEMP VIEW {_TOUCHED} AS {touched}")
    rewrite = replace_scope(
        con,
        base,
        columns,
        rows=_ROWS,
        touched=_TOUCHED,
        scope=model.scope,
        derived=model.derived,
        key=model.key,
        changes=changes,
        feed=True,
    )
    con.execute(f"DROP TABLE {_ROWS}")
    return rewrite


def _same_shape(model: Model, columns: Sequence[DeltaColumn], base: TableVersion) -> bool:
    return model.partition_by == base.partition_by and [(c.name, c.type) for c in columns] == [
        (c.name, c.type) for c in base.columns
    ]
