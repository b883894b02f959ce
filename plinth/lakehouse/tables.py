"""Where tables live and what a version of one holds: the reading side of the lakehouse.

Reads go through DuckDB's `delta_scan` at a pinned version (ARCHITECTURE, decision 4), so that what was read can be named.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from plinth.engine import literal
from plinth.errors import ConfigurationError, TableMissing
from plinth.lakehouse.schema import DeltaColumn, columns_from
from plinth.lakehouse.state import State
from plinth.objects.faults import storage_fault
from plinth.objects.files import folders_in
from plinth.objects.stores import client_options, is_object
from plinth.platform import Layer, Platform

if TYPE_CHECKING:
    from deltalake import DeltaTable

WRITER = "plinth.writer"


@dataclass(frozen=True)
class TableId:
    """A table's name in the lakehouse: `<layer>/<name>`."""

    layer: Layer
    name: str

    def __str__(self) -> str:
        return f"{self.layer}/{self.name}"


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table's version: its path in the log, its address, and what the log knows of it."""

    path: str
    uri: str
    size: int
    rows: int
    partition: Mapping[str, Any]
    minimum: Mapping[str, Any]
    maximum: Mapping[str, Any]


@dataclass(frozen=True)
class TableVersion:
    """One version of a Delta table, as read from its log.

    Attributes:
        version: Delta's version number.
        writer: number of the last commit that came through the door (0 where none did).
        state: what our last commit up to this version carried.
        foreign: whether another tool has committed since.
    """

    id: TableId
    uri: str
    zone: str
    version: int
    writer: int
    state: State
    foreign: bool
    columns: tuple[DeltaColumn, ...]
    partition_by: tuple[str, ...]
    delta: DeltaTable = field(repr=False, compare=False)

    @cached_property
    def files(self) -> tuple[DataFile, ...]:
        """The data files of this version."""
        actions = self.delta.get_add_actions(flatten=False)
        # Value by value, without pyarrow, whose import costs more than all of this for a table of some hundred files.
        wanted = ("path", "size_bytes", "num_records", "partition", "min", "max")
        present = set(actions.schema.names)
        columns = [actions.column(name) if name in present else None for name in wanted]
        rows: list[list[Any]] = [
            [None if column is None else column[at].as_py() for column in columns] for at in range(actions.num_rows)
        ]
        return tuple(
            # The log holds paths as URLs: Spark's folders of partitions have percent signs in their names, which stand there encoded again.
            DataFile(path, f"{self.uri}/{unquote(path)}", size, count, partition or {}, minimum or {}, maximum or {})
            for path, size, count, partition, minimum, maximum in rows
        )

    @property
    def content(self) -> str:
        """Names the rows of this version: equal texts mean equal rows, also where commits between them changed none."""
        named = self.state.content_name
        return f"{named}+{self.version}" if self.foreign else named

    @property
    def rows(self) -> int:
        """Rows of this version, from the log."""
        return sum(file.rows for file in self.files)

    @property
    def size(self) -> int:
        """Bytes of this version's files, from the log."""
        return sum(file.size for file in self.files)

    @property
    def scan(self) -> str:
        """SQL for DuckDB (with the delta extension) that reads this very version."""
        return f"delta_scan({literal(self.uri)}, version => {self.version})"


class Lakehouse:
    """The tables of a platform, by layer and name."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def zone_of(self, table: TableId, zone: str | None = None) -> str:
        """The zone of a table: the one given, or its layer's.

        Raises:
            ConfigurationError: there is no such zone.
        """
        chosen = zone or self.platform.layers.get(table.layer)
        if chosen is None or chosen not in self.platform.zones:
            raise ConfigurationError(
                f"no zone for table {table}",
                expected=f"one of {', '.join(sorted(self.platform.zones))}",
                found=chosen,
                where="platform.yaml, layers",
            )
        return chosen

    def uri_of(self, table: TableId, zone: str | None = None) -> str:
        """The address of a table, whether it exists or not."""
        return f"{self.platform.root_of(self.zone_of(table, zone))}/{table.layer}/{table.name}"

    def find(self, table: TableId, *, version: int | None = None, zone: str | None = None) -> TableVersion | None:
        """The newest (or the given) version of a table; None where no run has made it yet."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        uri = self.uri_of(table, zone)
        if not is_object(uri) and not os.path.isdir(f"{uri}/_delta_log"):
            return None
        options = client_options(uri) or None
        try:
            delta = DeltaTable(uri, version=version, storage_options=options)
            newest = delta if version is None else DeltaTable(uri, storage_options=options)
            state, foreign = _last_state(delta, newest)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            if not is_object(uri):
                raise
            raise storage_fault(error, uri, f"the table {table} could not be read") from error
        return TableVersion(
            id=table,
            uri=uri,
            zone=self.zone_of(table, zone),
            version=delta.version(),
            writer=delta.transaction_version(WRITER) or 0,
            state=state,
            foreign=foreign,
            columns=columns_from(delta.schema()),
            partition_by=tuple(delta.metadata().partition_columns),
            delta=delta,
        )

    def open(self, table: TableId, *, version: int | None = None, zone: str | None = None) -> TableVersion:
        """Like `find`, for a table that has to be there.

        Raises:
            TableMissing: no run has made it yet.
        """
        found = self.find(table, version=version, zone=zone)
        if found is None:
            raise TableMissing(
                f"the table {table} does not exist yet",
                where=self.uri_of(table, zone),
                remedy=f"materialise the asset {table} first",
            )
        return found

    def tables(self, layer: Layer) -> tuple[TableId, ...]:
        """The tables of a layer that exist in its zone, by name.

        Raises:
            StorageFailure: the zone's object store refused or did not answer.
        """
        root = f"{self.platform.root_of(self.zone_of(TableId(layer, '')))}/{layer}"
        tables = (name for name in folders_in(root) if "_delta_log" in folders_in(f"{root}/{name}"))
        return tuple(TableId(layer, name) for name in tables)


def _last_state(delta: DeltaTable, newest: DeltaTable) -> tuple[State, bool]:
    # Ours is nearly always the newest commit; only where other tools wrote since, or an old version is asked for, does the search go
    # further back. The history is asked of the newest version: that of an older one names the newest commits with wrong version
    # numbers (tried with deltalake 1.6.6).
    for limit in (1, 20, None):
        commits = [commit for commit in newest.history(limit) if commit["version"] <= delta.version()]
        for age, commit in enumerate(commits):
            state = State.from_metadata(commit)
            if state is not None:
                return state, age > 0
    return State(), True
