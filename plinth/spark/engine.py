"""Rows that Spark makes: a query over pinned tables, its result staged as Parquet, and the frame from which the door publishes it.

What belongs here: reading inputs at their version, running a query, staging. What does not: which model runs where (`plinth.transform`), and
publishing (`plinth.lakehouse.spark_door`).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plinth.errors import ConfigurationError, PlinthError
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.spark_door import spark_errors
from plinth.lakehouse.staged_apart import remove_folder
from plinth.lakehouse.tables import TableId
from plinth.spark.sql import to_spark, view_name
from plinth.spark.types import shaped, spark_schema

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


_NO_CLIENT = re.compile(r'No FileSystem for scheme "?([a-z0-9]+)')


class SparkFailure(PlinthError):
    """Spark could not compute a query."""


@dataclass(frozen=True)
class Input:
    """A table as a query reads it: a version of it, or the files of what a run has staged of it.

    Attributes:
        version: Delta's number; None where `files` are read instead.
        files: addresses of Parquet files that hold the rows as they stand.
    """

    table: TableId
    columns: tuple[DeltaColumn, ...]
    uri: str
    version: int | None
    files: tuple[str, ...] = ()


class SparkEngine:
    """Spark within one run. The session is opened when something first has to be computed.

    Args:
        opener: gives the session; see `plinth.spark.session.open_session`.
    """

    def __init__(self, opener: Callable[[], SparkSession]) -> None:
        self._open = opener
        self._session: SparkSession | None = None
        self._lock = threading.RLock()

    @property
    def session(self) -> SparkSession:
        """The session; starting it takes 10 to 30 s."""
        with self._lock:
            if self._session is None:
                self._session = self._open()
            return self._session

    def stage(self, sql: str, inputs: Sequence[Input], columns: Sequence[DeltaColumn], folder: str) -> None:
        """Computes a query and writes its rows as Parquet to a new folder.

        Args:
            sql: in DuckDB's dialect, over `layer.name` of the inputs; yields `columns` by name.
            columns: in whose types the rows are written.

        Raises:
            SparkFailure: Spark refused or failed; the folder is removed again.
            PlinthError: the query cannot be put into Spark's dialect.
        """
        text = to_spark(sql, [each.table for each in inputs])
        session = self.session  # opened first: where Spark is not installed, that says so
        with spark_faults(folder):
            for each in inputs:
                self._read(each).createOrReplaceTempView(view_name(each.table))
            try:
                shaped(session.sql(text), columns).write.mode("error").parquet(folder)
            except BaseException:
                remove_folder(folder)
                raise

    def staged(self, folder: str, columns: Sequence[DeltaColumn]) -> DataFrame:
        """The rows that `stage` has written, with what is kept beside their columns.

        Raises:
            SparkFailure: they cannot be read.
        """
        with spark_faults(folder):
            return shaped(self.session.read.schema(spark_schema(columns)).parquet(folder), columns)

    def answer(self, sql: str, tables: Mapping[str, pa.Table]) -> pa.Table:
        """What a query says of tables in memory; both it and they go through this process.

        Args:
            sql: in DuckDB's dialect, over the names of `tables`.

        Raises:
            SparkFailure: Spark refused or failed.
            PlinthError: the query cannot be put into Spark's dialect.
        """
        text = to_spark(sql, [])
        session = self.session
        # One at a time: views belong to the session, and a training that fans out to threads asks for several cut-offs at once.
        with self._lock, spark_faults("a query over tables in memory"):
            for name, table in tables.items():
                session.createDataFrame(table).createOrReplaceTempView(name)
            try:
                return session.sql(text).toArrow()
            finally:
                for name in tables:
                    session.catalog.dropTempView(name)

    def _read(self, each: Input) -> DataFrame:
        reader = self.session.read
        if each.version is not None:
            return reader.format("delta").option("versionAsOf", str(each.version)).load(each.uri)
        if each.files:
            return reader.schema(spark_schema(each.columns)).parquet(*each.files)
        return self.session.createDataFrame([], spark_schema(each.columns))


@contextmanager
def spark_faults(where: str) -> Iterator[None]:
    """Turns Spark's errors into ours, with the first lines of what it said and without the JVM's trace.

    Raises:
        SparkFailure: in their place.
        ConfigurationError: in that of an address for which Spark has no client, which is no fault of the query.
    """
    faults = spark_errors()
    try:
        yield
    except faults as error:
        scheme = _NO_CLIENT.search(str(error))
        if scheme is not None:
            raise ConfigurationError(
                f"Spark has no client for {scheme[1]}://",
                expected=f"spark.conf with spark.hadoop.fs.{scheme[1]}.impl, and the jars of that client",
                where=f"platform.yaml, spark.conf ({where})",
                remedy="name Hadoop's client (docs/storage.md), or leave the work to DuckDB",
            ) from None
        lines = [
            line.strip() for line in str(error).splitlines() if line.strip() and not line.strip().startswith("at ")
        ]
        raise SparkFailure(
            "Spark could not compute a query",
            found=" ".join(lines[:3])[:1000],
            where=where,
            remedy="mend the query or the cluster, or leave the model to DuckDB",
        ) from error
