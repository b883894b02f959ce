"""Columns of a Delta table as Spark's schema, with what is kept beside them.

What belongs here: the mapping of types and of metadata. What does not: DuckDB's types (`plinth.lakehouse.schema`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from plinth.lakehouse.schema import DeltaColumn, stored_texts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType, StructType


def spark_type(delta: str) -> DataType:
    """Spark's type for a Delta type: its DDL has the same names."""
    from pyspark.sql.types import ArrayType, DataType

    if delta.startswith("array<") and delta.endswith(">"):
        return ArrayType(spark_type(delta[6:-1]), True)
    return DataType.fromDDL(delta)


def spark_schema(columns: Sequence[DeltaColumn]) -> StructType:
    """The schema with which Parquet files of a table are read; a file that lacks a column gives nulls."""
    from pyspark.sql.types import StructField, StructType

    return StructType([StructField(column.name, spark_type(column.type), True) for column in columns])


def shaped(frame: DataFrame, columns: Sequence[DeltaColumn]) -> DataFrame:
    """The columns of a table from a frame that has them by name: in order, in their types, with their classification and texts."""
    from pyspark.sql.functions import col

    return frame.select(
        *(
            col(f"`{column.name}`").cast(spark_type(column.type)).alias(column.name, metadata=_metadata(column))
            for column in columns
        )
    )


def _metadata(column: DeltaColumn) -> dict[str, str]:
    return {key: text for key, text in stored_texts(column).items() if text or key != "comment"}
