"""From a model's SQL to staged files: all rows, or the rows of the touched scopes.

What belongs here: running the SQL and finding what differs from the published version, so that rows which come out as they were cost no
file and start nothing downstream. What does not: deciding what to compute (`session`) and publishing (`publish`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from plinth.engine import quote
from plinth.lakehouse.files import read_files
from plinth.lakehouse.merge import Changes, Rewrite, merge, replace_scope
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.staging import StagedFile, discard, stage
from plinth.lakehouse.tables import TableVersion
from plinth.transform.model import Model

if TYPE_CHECKING:
    import duckdb

_ROWS, _TOUCHED = "plinth_rows", "plinth_touched"
_UPSERTS, _DELETES = "plinth_model_upserts", "plinth_model_deletes"
# Where more rows than this share differ, new files cost less than a merge that would rewrite most of the old ones anyway.
_REPLACE_SHARE = 0.3


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
        difference = _difference(con, model, columns, base)
        if difference is not None:
            return difference
        sql = f"SELECT * FROM {_ROWS}"
    staged = stage(con, sql, uri, columns, model.partition_by)
    con.execute(f"DROP TABLE IF EXISTS {_ROWS}")
    if base is not None and _same_shape(model, columns, base) and _same_rows(con, columns, staged, base):
        discard(staged)
        return Rewrite()
    rows = sum(file.rows for file in staged)
    if base is None:
        return Rewrite(staged, (), inserted=rows)
    return Rewrite(staged, base.files, inserted=rows, deleted=base.rows)


def compute_scopes(
    con: duckdb.DuckDBPyConnection,
    model: Model,
    columns: Sequence[DeltaColumn],
    sql: str,
    touched: str,
    base: TableVersion,
) -> Rewrite:
    """Stages the rows of the touched scopes, as far as they differ from those of `base`.

    Args:
        sql: yields all rows of the touched scopes and no others.
        touched: yields the scope columns of the touched scopes.

    Raises:
        StorageFailure: as `compute_all`.
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_ROWS} AS {sql}")
    con.execute(f"CREATE OR REPLACE TEMP VIEW {_TOUCHED} AS {touched}")
    rewrite = replace_scope(con, base, columns, rows=_ROWS, touched=_TOUCHED, scope=model.scope, key=model.key)
    con.execute(f"DROP TABLE {_ROWS}")
    return rewrite


def _same_shape(model: Model, columns: Sequence[DeltaColumn], base: TableVersion) -> bool:
    return model.partition_by == base.partition_by and [(c.name, c.type) for c in columns] == [
        (c.name, c.type) for c in base.columns
    ]


def _difference(
    con: duckdb.DuckDBPyConnection, model: Model, columns: Sequence[DeltaColumn], base: TableVersion
) -> Rewrite | None:
    """The row-wise difference between the computed rows and `base`; None where it is so large that new files are better."""
    old, key = read_files(base.files, columns), ", ".join(quote(name) for name in model.key)
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_UPSERTS} AS (SELECT * FROM {_ROWS}) EXCEPT ({old})")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {_DELETES} AS SELECT {key} FROM ({old}) ANTI JOIN {_ROWS} USING ({key})"
    )
    changed = _number(con, f"SELECT (SELECT count(*) FROM {_UPSERTS}) + (SELECT count(*) FROM {_DELETES})")
    if changed > _REPLACE_SHARE * max(base.rows, 1):
        return None
    return merge(con, base, columns, Changes(model.key, _UPSERTS, _DELETES, may_repeat="false"))


def _same_rows(
    con: duckdb.DuckDBPyConnection, columns: Sequence[DeltaColumn], staged: Sequence[StagedFile], base: TableVersion
) -> bool:
    if sum(file.rows for file in staged) != base.rows:
        return False
    new = read_files([file.uri for file in staged], columns)
    return _digest(con, new, columns) == _digest(con, read_files(base.files, columns), columns)


def _digest(con: duckdb.DuckDBPyConnection, sql: str, columns: Sequence[DeltaColumn]) -> object:
    # Sums of two row hashes with different seeds: independent of the rows' order, and doubled rows count.
    names = ", ".join(quote(column.name) for column in columns)
    return con.execute(f"SELECT sum(hash({names})), sum(hash('plinth', {names})) FROM ({sql})").fetchone()


def _number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    return int(row[0]) if row else 0
