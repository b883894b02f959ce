"""The door for what Spark writes: delta-spark makes the commit, and the door's rules hold for it all the same.

What belongs here: authorisation, the writer's token, the state in the commit, and the proof afterwards that the commit is this one. What does
not: the commits of the other engines (`door`), and what Spark computes (`plinth.spark`).

The token is the same as in `door`, in Delta's words `txnAppId` and `txnVersion`, so that a writer of either engine that starts from the same
version asks for the same number. Of a number that the log has already, delta-spark says nothing and writes nothing; hence the proof.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from plinth.errors import ConfigurationError, StorageFailure
from plinth.lakehouse.door import authorise, conflict, enable_naive_times, storage_faults
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import WRITER, Lakehouse, TableId, TableVersion

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Words of Spark's and Delta's error classes; the message in prose differs between the classic and the Connect client.
_RACES = (
    "CONCURRENT",
    "Concurrent",
    "METADATA_CHANGED",
    "MetadataChanged",
    "PROTOCOL_CHANGED",
    "ProtocolChanged",
    "ALREADY_EXISTS",
    "already exists",
)


@dataclass(frozen=True)
class SparkWrite:
    """All rows of a table, as Spark has them.

    Attributes:
        base: the version that the rows were computed from; None where the table does not exist yet.
        columns: columns of the table after the commit, with their classification and texts; they replace those of `base`.
        state: the state to carry; see `State.next`.
        rows: how many there are, for the state.
        frame: the rows, with exactly `columns`, see `plinth.spark.types.shaped`.
    """

    base: TableVersion | None
    columns: tuple[DeltaColumn, ...]
    state: State
    rows: int
    frame: DataFrame
    partition_by: tuple[str, ...] = ()


def replace_by_spark(
    lakehouse: Lakehouse, table: TableId, write: SparkWrite, *, zone: str | None = None
) -> TableVersion:
    """Publishes Spark's rows as the table, in one version that appears whole or not at all.

    Raises:
        ResidencyViolation: a column's classification is not cleared for the zone; nothing was written.
        CommitConflict: another writer committed since `write.base`; nothing of this write is visible.
        ConfigurationError: the table is split into partitions.
        StorageFailure: the files or the log could not be written.
    """
    authorise(lakehouse, table, write.columns, zone=zone)
    uri = lakehouse.uri_of(table, zone)
    newest = lakehouse.find(table, zone=zone)
    if (newest.version if newest else None) != (write.base.version if write.base else None):
        raise conflict(table, uri, None)
    if write.partition_by:
        raise ConfigurationError(
            f"Spark may not make the table {table}, which is split into partitions",
            expected="a table without partition_by, or a profile with the engine duckdb",
            found=f"partition_by {', '.join(write.partition_by)}",
            where=uri,
            remedy="leave the model to DuckDB: Spark's files would not hold the partition's values, and merges read files as they stand",
        )
    if write.base is not None and _needs_naive_times(write.base, write.columns):
        with storage_faults(uri):
            write = replace(write, base=enable_naive_times(write.base))
    number = (write.base.writer if write.base is not None else 0) + 1
    state = replace(write.state, rows=write.rows)
    # "error", not "errorifexists": Spark Connect knows only the short word.
    writer = write.frame.write.format("delta").mode("error" if write.base is None else "overwrite")
    writer = writer.option("txnAppId", WRITER).option("txnVersion", str(number))
    writer = writer.option("userMetadata", json.dumps(state.to_metadata(), ensure_ascii=False))
    if write.base is not None:
        writer = writer.option("overwriteSchema", "true")
    with _faults(table, uri):
        writer.save(uri)
    done = lakehouse.open(table, zone=zone)
    if done.writer < number or done.state.content != state.content or done.foreign:
        raise conflict(table, uri, None)
    return done


def _needs_naive_times(base: TableVersion, columns: Sequence[DeltaColumn]) -> bool:
    enabled = base.delta.protocol().reader_features or ()
    return "timestampNtz" not in enabled and any("timestamp_ntz" in column.type for column in columns)


@contextmanager
def _faults(table: TableId, uri: str) -> Iterator[None]:
    faults = spark_errors()
    try:
        yield
    except faults as error:
        said = "\n".join(line for line in str(error).splitlines() if not line.strip().startswith("at "))
        if any(word in said for word in _RACES):
            raise conflict(table, uri, error) from error
        # Whatever else it is: the other tables of a run are still to be published, so it has to be an error that their loop knows.
        raise StorageFailure(
            "Spark could not make the commit",
            found=said.splitlines()[0][:500],
            where=uri,
            remedy="mend the storage or the cluster and run again",
        ) from error


def spark_errors() -> tuple[type[Exception], ...]:
    """What Spark raises: pyspark's own errors, and what the classic client lets through of the JVM (Connect has no such thing)."""
    from pyspark.errors import PySparkException

    try:
        from py4j.protocol import Py4JJavaError
    except ImportError:
        return (PySparkException,)
    return (PySparkException, Py4JJavaError)
