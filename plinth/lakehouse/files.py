"""Reading single files of a version, which `delta_scan` cannot: for merges, and for what changed between two versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from plinth.engine import literal, quote
from plinth.errors import StorageFailure
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.staging import SPLIT
from plinth.lakehouse.tables import DataFile, TableVersion
from plinth.objects.files import size_of
from plinth.objects.stores import is_object

if TYPE_CHECKING:
    import duckdb

FILENAME = "_plinth_file"
_UNREADABLE_FEATURES = {"deletionVectors", "columnMapping"}
_MAPPING = "delta.columnMapping.mode"


def read_files(files: Iterable[DataFile | str], columns: Sequence[DeltaColumn], *, with_filename: bool = False) -> str:
    """SQL that yields the rows of some Parquet files under the given columns; a file that lacks a column gives nulls.

    Args:
        with_filename: adds the column `_plinth_file` with the file's address.
    """
    addresses = [file if isinstance(file, str) else file.uri for file in files]
    wanted = [(quote(column.name), column.duckdb_type) for column in columns]
    if with_filename:
        wanted.append((quote(FILENAME), "VARCHAR"))
    empty = "SELECT " + ", ".join(f"NULL::{kind} AS {name}" for name, kind in wanted) + " WHERE false"
    if not addresses:
        return empty
    listed = ", ".join(literal(address) for address in addresses)
    option = f", filename = {literal(FILENAME)}" if with_filename else ""
    names = ", ".join(name for name, _ in wanted)
    # The empty branch lends the names and types; by-name union fills what older files lack.
    return (
        f"SELECT {names} FROM ({empty} UNION ALL BY NAME "
        f"SELECT * FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false{option}))"
    )


def rows_of(version: TableVersion) -> str:
    """SQL in brackets that yields the rows of a version without the delta extension.

    Raises:
        StorageFailure: see `require_plain`.
    """
    require_plain(version)
    return f"({read_files(version.files, version.columns)})"


def is_damage(error: duckdb.Error, version: TableVersion) -> bool:
    """Whether DuckDB's error says that a file of a version is cut, overwritten or gone; what cannot be opened, or stands in a store that is
    away, is none of these."""
    import duckdb

    # Behind the first line stands the query, which names files that are whole.
    said = str(error).splitlines()[0] if str(error) else ""
    named = [file for file in version.files if file.uri.rpartition("/")[2] in said]
    if isinstance(error, duckdb.InvalidInputException):
        return bool(named)
    local = isinstance(error, duckdb.IOException) and not is_object(version.uri)
    return local and any(size_of(file.uri) is None for file in named)


@contextmanager
def damage_told(version: TableVersion) -> Iterator[None]:
    """Says of what cannot be read in a table how it is made whole.

    Raises:
        StorageFailure: a file of the version is cut, overwritten or gone.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        if not is_damage(error, version):
            raise
        raise StorageFailure(
            f"a file of the table {version.id} cannot be read: it is cut, overwritten or gone",
            found=str(error).splitlines()[0],
            where=version.uri,
            remedy="have all rows made anew, which needs none of the table's files: bronze by `plinth ingest TABLE --full`, "
            "silver and gold by the job transform with full_refresh: true",
        ) from error


def require_plain(version: TableVersion) -> None:
    """Refuses tables whose files do not hold the rows as they stand.

    Raises:
        StorageFailure: another tool turned on deletion vectors or column mapping, or wrote partitions whose values stand only in the log.
    """
    features = _unreadable(version)
    if features:
        raise StorageFailure(
            f"the table {version.id} was changed by another tool in a way that a merge cannot follow",
            expected="a table without deletion vectors and column mapping, whose files hold their partition's values",
            found=", ".join(sorted(features)),
            where=version.uri,
            remedy="rewrite the table with a full load (`plinth ingest TABLE --full`), which makes it plain again",
        )


def is_plain(version: TableVersion) -> bool:
    """Whether the files of a version hold its rows as they stand."""
    return not _unreadable(version)


def _unreadable(version: TableVersion) -> set[str]:
    found = set(version.delta.protocol().reader_features or ()) & _UNREADABLE_FEATURES
    # Tables of the protocol before there were features (reader version 2) name column mapping in their settings only, as Spark makes them.
    if version.delta.metadata().configuration.get(_MAPPING, "none") != "none":
        found.add("columnMapping")
    # Ours hold their partition's values as any other column; those of Spark and delta-rs leave them to the log.
    if version.partition_by and not all(file.path.startswith(f"{SPLIT}=") for file in version.files):
        found.add("partition values outside the files")
    return found
