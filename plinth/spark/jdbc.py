"""Tables of a database, read by sessions of Spark's executors and landed as Parquet.

What belongs here: what pyspark is told for it, and what its errors mean. What does not: the SQL and the forms of the values (`plinth.sources.jdbc`).

Spark opens a session for each part in the task that reads it. For PostgreSQL it turns autocommit off first, so that what the session begins with
(`sessionInitStatement`) stands in the transaction of the rows; tried with Spark 4.2.
"""

from __future__ import annotations

import re

from plinth.errors import ClusterUnavailable, DriverMissing, PlinthError, SourceUnreadable, StorageFailure
from plinth.lakehouse.spark_door import spark_errors
from plinth.lakehouse.staged_apart import remove_folder
from plinth.sources import faults
from plinth.sources.address import Address
from plinth.sources.jdbc.landing import JdbcRead
from plinth.spark.engine import SparkEngine, SparkFailure

_ROWS_AT_ONCE = 5_000
"""Rows that a session fetches at once; a driver holds as many in memory, and all of the table where it is told nothing."""
# What the drivers say, beside the words of their servers, when the other side has gone or lets go; a snapshot goes with the session that exported it.
_CUT = (
    "i/o error occurred", "connection has been closed", "connection attempt failed", "connectexception", "socketexception", "eofexception",
    "unexpected end of stream", "socket error", "socket fail", "invalid snapshot identifier", "could not import the requested snapshot",
    "check that the hostname and port are correct",
)  # fmt: skip
_LOST = (
    "ExecutorLostFailure",
    "executor lost",
    "Executor heartbeat timed out",
    "worker lost",
    "Master removed our application",
)
_SAID = re.compile(r"(?:java\.sql|org\.postgresql|org\.mariadb|java\.net|java\.io)[\w.$]*(?:Exception|Error): (.+)")


def land(engine: SparkEngine, address: Address, read: JdbcRead, folder: str) -> None:
    """Reads a table, and writes its rows as Parquet to a new folder.

    Raises:
        SourceUnavailable: the database did not answer, or a connection was cut.
        SourceUnreadable: it refused the user, or could not run the query.
        DriverMissing: the driver's jar is not in the session.
        ClusterUnavailable: Spark has lost its executors.
        StorageFailure: the folder could not be written.
        SparkFailure: any other fault; the folder is removed again, as after every one.
    """
    end = read.endpoint
    properties = {
        **end.properties,
        "driver": end.driver,
        "sessionInitStatement": read.opening,
        "fetchsize": str(_ROWS_AT_ONCE),
        "customSchema": ", ".join(f"{name} {kind}" for name, kind in read.columns.items()),
    }
    table = f"({read.query}) plinth_rows"
    session = engine.session
    errors = spark_errors()
    try:
        if read.parts:
            rows = session.read.jdbc(end.url, table, predicates=list(read.parts), properties=properties)
        else:
            rows = session.read.jdbc(end.url, table, properties=properties)
        rows.select(*read.columns).write.mode("error").parquet(folder)
    except errors as error:
        remove_folder(folder)
        # Of some errors pyspark tells only the first sentence; what the driver said stands in the JVM's trace.
        text = f"{error}\n{getattr(error, '_stackTrace', '')}"
        raise _fault(address, read, folder, text) from error
    except BaseException:
        remove_folder(folder)
        raise


def _fault(address: Address, read: JdbcRead, folder: str, text: str) -> PlinthError:
    said = _SAID.search(text)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("at ")]
    found = address.redact(said.group(1) if said else " ".join(lines[:2])[:500])
    if "ClassNotFoundException" in text and read.endpoint.driver in text:
        return DriverMissing(
            "Spark has no driver for the database",
            expected=f"the jar of {read.endpoint.package}",
            where=address,
            remedy="name it in spark.packages or put it into the folder of spark.jars (platform.yaml), and start the run anew; or give the "
            "table a profile with engine: duckdb",
        )
    if faults.is_refused(found):
        return faults.refused(address, found)
    if any(part in text for part in _LOST):
        return ClusterUnavailable(
            "Spark lost the executors that read the table; nothing was published",
            found=found,
            where=address,
            remedy="see to the cluster and its memory; the next try reads from the start",
        )
    if faults.is_cut(text) or any(part in text.lower() for part in _CUT):
        return faults.unavailable(address, found)
    if "No space left on device" in text:
        return StorageFailure(
            "what Spark had read found no room; the table is as it was",
            found="No space left on device",
            where=folder,
            remedy="free or enlarge the disk of the zone or of Spark's workers, and run again; nothing needs to be cleaned up",
        )
    if said and "sql" in said.group(0).partition(":")[0].lower():
        return SourceUnreadable(
            "the table could not be read over JDBC",
            expected="rows as the contract describes them",
            found=found,
            where=address,
            remedy="compare contract and database: plinth contract check",
        )
    return SparkFailure(
        "Spark could not read the table",
        found=found,
        where=address,
        remedy="mend the cluster or the contract, or give the table a profile with engine: duckdb",
    )
