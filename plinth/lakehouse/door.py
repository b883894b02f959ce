"""The one door: every commit to a table of the lakehouse goes through here, whichever engine wrote the files.

A commit is authorised (classification against the zone's clearance), names only files that exist, carries the table's state, and
holds the writer's token: a Delta transaction whose number grows by one with each commit. Two writers that start from the same
version ask for the same number, and the log lets one of them through (tried with deltalake 1.6.6; without the token an overwrite that
races an append is accepted and both survive).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from plinth.errors import CommitConflict, ResidencyViolation, StorageFailure
from plinth.lakehouse.schema import DeltaColumn, delta_schema, restated
from plinth.lakehouse.staging import StagedFile, refuse_unreadable_partitions
from plinth.lakehouse.state import Feed, State
from plinth.lakehouse.tables import WRITER, DataFile, Lakehouse, TableId, TableVersion
from plinth.objects.faults import storage_fault
from plinth.objects.files import require_conditional_puts, size_of
from plinth.objects.stores import client_options, is_object

if TYPE_CHECKING:
    from deltalake.transaction import AddAction, CommitProperties, RemoveAction


@dataclass(frozen=True)
class Write:
    """What one commit does.

    Attributes:
        base: the version that the write was computed from; None where the table does not exist yet.
        add: staged files to publish.
        remove: files of `base` to take out.
        columns: columns of the table after the commit; may add to those of `base`, never take away. What they say beside the types
            (classification, description) replaces what is stored.
        state: the state to carry; see `State.next`.
        data_change: False for maintenance, which moves rows without changing any.
        once: name of a write that must not happen twice, e.g. a replay; a table that has seen it stays as it is.
        feed: staged files with the rows that differ from those of `base`, where the writer knows them; see `plinth.lakehouse.feed`.
    """

    base: TableVersion | None
    columns: tuple[DeltaColumn, ...]
    state: State
    add: tuple[StagedFile, ...] = ()
    remove: tuple[DataFile, ...] = ()
    partition_by: tuple[str, ...] = ()
    data_change: bool = True
    once: str | None = None
    feed: tuple[StagedFile, ...] = ()


def commit(lakehouse: Lakehouse, table: TableId, write: Write, *, zone: str | None = None) -> TableVersion:
    """Publishes a write as one version of the table, which appears whole or not at all.

    Raises:
        ResidencyViolation: a column's classification is not cleared for the zone; nothing was written.
        ContractViolation: a partition's value is one that no reader can parse; nothing of this write is visible.
        CommitConflict: another writer committed since `write.base`; nothing of this write is visible.
        StorageFailure: a staged file is missing or cut short, or the log could not be written.
    """
    authorise(lakehouse, table, write.columns, zone=zone)
    if write.once and write.base is not None and write.base.delta.transaction_version(write.once) is not None:
        # The log itself accepts a repeated transaction (tried), so it is looked up first.
        return lakehouse.open(table, zone=zone)
    for file in (*write.add, *write.feed):
        _verify(file)
    refuse_unreadable_partitions(write.add, write.columns)
    write = replace(write, state=_completed(write))
    with storage_faults(lakehouse.uri_of(table, zone)):
        if write.base is None:
            _create(lakehouse, table, write, zone, mode="error")
        elif _replaces_schema(write):
            _replace(lakehouse, table, write, zone)
        else:
            _extend(write)
    return lakehouse.open(table, zone=zone)


def authorise(lakehouse: Lakehouse, table: TableId, columns: Sequence[DeltaColumn], *, zone: str | None = None) -> None:
    """Refuses columns for which the table's zone is not cleared.

    Raises:
        ResidencyViolation: names the columns, their classification and the zones that are cleared for them.
    """
    chosen = lakehouse.zone_of(table, zone)
    clearance = lakehouse.platform.zones[chosen].clearance
    refused = [column for column in columns if column.classification not in clearance]
    if not refused:
        return
    needed = {column.classification for column in refused}
    cleared = [name for name, other in lakehouse.platform.zones.items() if needed <= set(other.clearance)]
    raise ResidencyViolation(
        f"the table {table} may not be written to the zone {chosen}",
        expected=f"columns classified as one of {', '.join(clearance)}",
        found=", ".join(f"{column.name} ({column.classification})" for column in refused),
        where=f"platform.yaml, zones.{chosen}.clearance",
        remedy=f"write it to {' or '.join(cleared) or 'a zone that is cleared'}, or leave out or pseudonymise these columns",
    )


@contextmanager
def storage_faults(uri: str) -> Iterator[None]:
    """Turns what the storage below a table raises into ours."""
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (OSError, DeltaError) as error:
        if is_object(uri):
            raise storage_fault(error, uri, "the commit could not be written") from error
        if isinstance(error, OSError) or "No space left" in str(error) or "os error" in str(error):
            raise StorageFailure(
                "the commit could not be written", found=error, where=uri, remedy="mend the storage and run again"
            ) from error
        raise


def _verify(file: StagedFile) -> None:
    # delta-rs accepts add actions for files that do not exist (tried), and readers would then fail.
    size = size_of(file.uri)
    if size != file.size:
        raise StorageFailure(
            "a staged file is not as it was written",
            expected=f"{file.size} bytes",
            found=size,
            where=file.uri,
            remedy="run again",
        )


def _completed(write: Write) -> State:
    state = replace(write.state, rows=_rows_after(write))
    if not write.feed or write.base is None:
        return state
    files = tuple(file.path for file in write.feed)
    return replace(state, feed=Feed(write.base.content, files, sum(file.rows for file in write.feed)))


def _rows_after(write: Write) -> int:
    before = write.base.rows if write.base is not None else 0
    return before - sum(file.rows for file in write.remove) + sum(file.rows for file in write.add)


def _properties(
    state: State, number: int, once: str | None = None, *, max_retries: int | None = None
) -> CommitProperties:
    from deltalake.transaction import CommitProperties, Transaction

    transactions = [Transaction(WRITER, number)] + ([Transaction(once, 1)] if once else [])
    return CommitProperties(state.to_metadata(), max_commit_retries=max_retries, app_transactions=transactions)


def _adds(write: Write) -> list[AddAction]:
    from deltalake.transaction import AddAction

    now = int(time.time() * 1000)
    return [
        AddAction(file.path, file.size, dict(file.partition), now, write.data_change, file.stats) for file in write.add
    ]


def _removes(write: Write) -> list[RemoveAction]:
    from deltalake.transaction import RemoveAction

    now = int(time.time() * 1000)
    # The path as it is: delta-rs encodes it for the log itself, and a path that was encoded twice removes nothing (tried: the rows stayed).
    return [
        RemoveAction(
            unquote(file.path), write.data_change, now, size=file.size, partition_values=_as_text(file.partition)
        )
        for file in write.remove
    ]


def _as_text(partition: Mapping[str, Any]) -> dict[str, str | None]:
    return {
        name: None if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in partition.items()
    }


def _replaces_schema(write: Write) -> bool:
    """Whether a column changed its type: the files are all rewritten then, and the schema is replaced with them."""
    assert write.base is not None
    before = {column.name: column.type for column in write.base.columns}
    return (
        any(before.get(column.name, column.type) != column.type for column in write.columns)
        or bool(set(before) - {column.name for column in write.columns})
        or write.partition_by != write.base.partition_by
    )


def _create(lakehouse: Lakehouse, table: TableId, write: Write, zone: str | None, *, mode: str) -> None:
    from deltalake.exceptions import CommitFailedError, DeltaError
    from deltalake.transaction import create_table_with_add_actions

    uri = lakehouse.uri_of(table, zone)
    require_conditional_puts(uri)
    number = (write.base.writer if write.base is not None else 0) + 1
    try:
        create_table_with_add_actions(
            uri,
            delta_schema(write.columns),
            _adds(write),
            mode=mode,  # type: ignore[arg-type]
            partition_by=list(write.partition_by),
            storage_options=client_options(uri) or None,
            # Of two that create a table at once both find none; a retry would let the second in as a version after the first, with the rows
            # of both (tried: one in twenty).
            commit_properties=_properties(write.state, number, max_retries=0),
        )
    except (CommitFailedError, DeltaError) as error:
        if mode == "error" and lakehouse.find(table, zone=zone) is None:
            raise
        raise conflict(table, uri, error) from error


def _replace(lakehouse: Lakehouse, table: TableId, write: Write, zone: str | None) -> None:
    # create_write_transaction with a wider schema would leave a table that nothing can open when the new column is a naive time
    # stamp (the protocol is not upgraded; tried). Creating over it upgrades the protocol, but starts from the newest version:
    # so look once more that this is still the one the write was computed from.
    assert write.base is not None
    newest = lakehouse.open(table, zone=zone)
    if newest.version != write.base.version:
        raise conflict(table, write.base.uri, None)
    if {file.path for file in write.remove} != {file.path for file in newest.files}:
        raise ValueError("a change of column types or partitions has to replace every file")
    _create(lakehouse, table, write, zone, mode="overwrite")


def _extend(write: Write) -> None:
    from deltalake.exceptions import CommitFailedError

    assert write.base is not None
    delta, number = write.base.delta, write.base.writer + 1
    known = {column.name for column in write.base.columns}
    new = [column for column in write.columns if column.name not in known]
    try:
        if new:
            # One commit more, harmless by itself: it carries the old state, and rows without the column read as null.
            fields = [field for field in delta_schema(write.columns).fields if field.name not in known]
            delta.alter.add_columns(fields, commit_properties=_properties(write.base.state, number))
            number += 1
        for name, texts in restated(write.base.columns, write.columns).items():
            # The write itself would leave them as they were stored first (tried), and readers go by what is stored. A commit for each
            # column, before the rows: one that is cut off here has said too much of the old rows, never too little of the new.
            delta.alter.set_column_metadata(name, texts, commit_properties=_properties(write.base.state, number))
            number += 1
        delta.create_write_transaction(
            [*_adds(write), *_removes(write)],
            "append",
            delta_schema(write.columns),
            partition_by=list(write.partition_by) or None,
            commit_properties=_properties(write.state, number, write.once),
        )
    except CommitFailedError as error:
        raise conflict(write.base.id, write.base.uri, error) from error


def enable_naive_times(base: TableVersion) -> TableVersion:
    """Commits that the table may hold naive time stamps, with the state that it has: delta-rs does so itself with the first such column, Spark
    refuses the column. Harmless by itself.

    Raises:
        CommitConflict: another writer committed since `base`.
    """
    from deltalake import DeltaTable, TableFeatures
    from deltalake.exceptions import CommitFailedError

    delta = DeltaTable(base.uri, version=base.version, storage_options=client_options(base.uri) or None)
    try:
        delta.alter.add_feature(
            TableFeatures.TimestampWithoutTimezone,
            allow_protocol_versions_increase=True,
            commit_properties=_properties(base.state, base.writer + 1),
        )
    except CommitFailedError as error:
        raise conflict(base.id, base.uri, error) from error
    return replace(base, version=delta.version(), writer=base.writer + 1, delta=delta)


def conflict(table: TableId, uri: str, error: Exception | None) -> CommitConflict:
    """What a writer is told that came second."""
    return CommitConflict(
        f"another writer committed to {table} first; nothing of this write is visible",
        found=error,
        where=uri,
        remedy="run again: the next run starts from the newer version",
    )
