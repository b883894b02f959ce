"""Keeping tables in shape: removing what no version names any more, and folding small files together.

What belongs here: work that changes no row. It goes through the door like every other commit.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.feed import remove_feeds
from plinth.lakehouse.files import damage_told, is_plain, read_files
from plinth.lakehouse.staged_apart import remove_abandoned
from plinth.lakehouse.staging import file_bytes, stage
from plinth.lakehouse.tables import DataFile, Lakehouse, TableVersion
from plinth.objects.files import remove

if TYPE_CHECKING:
    import duckdb

RETENTION_HOURS = 168
_ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Maintained:
    """What maintenance did to one table: files folded into fewer, and files removed from storage."""

    table: str
    folded: int
    folded_into: int
    removed: int


def maintain(
    con: duckdb.DuckDBPyConnection,
    lakehouse: Lakehouse,
    version: TableVersion,
    *,
    retention_hours: float = RETENTION_HOURS,
) -> Maintained:
    """Folds small files and removes files that no version of the last `retention_hours` names, and feeds that are older.

    Files of killed writes, which no version ever named, go too once they are older than the retention.

    Raises:
        CommitConflict: a load ran at the same time; nothing was changed, try again later.
        StorageFailure: the folder could not be written, or a file of the table is damaged.
    """
    folded, into = _fold(con, lakehouse, version)
    newest = lakehouse.open(version.id, zone=version.zone)
    # Delta's vacuum only says what nothing needs. Removing it itself, it commits twice: without our state everything downstream would be computed
    # anew, and with that of `newest` the commit of a load that was faster is taken back in name, as vacuum looks for no conflict (tried).
    unneeded = newest.delta.vacuum(
        retention_hours=int(retention_hours),
        dry_run=True,
        enforce_retention_duration=retention_hours >= RETENTION_HOURS,
        full=True,
    )
    # Without a retention that may be what a load had staged then and has committed since.
    named = {file.uri for file in lakehouse.open(version.id, zone=version.zone).files} if unneeded else set()
    gone = [uri for uri in (f"{newest.uri}/{path}" for path in unneeded) if uri not in named]
    remove(gone)
    feeds = remove_feeds(version.uri, older_than=retention_hours * 3600)
    return Maintained(str(version.id), folded, into, len(gone) + feeds)


def remove_abandoned_staging(lakehouse: Lakehouse) -> int:
    """Removes what Spark staged in runs that were killed a day ago or longer. Gives the number of folders."""
    return remove_abandoned(lakehouse, older_than=_ABANDONED_SECONDS)


def remove_abandoned_scratch(scratch: Path, *, older_than: float = _ABANDONED_SECONDS) -> int:
    """Removes the scratch folders of loads that were killed; `older_than` is in seconds. Gives their number."""
    if not scratch.is_dir():
        return 0
    abandoned = [entry for entry in scratch.glob("load-*") if time.time() - entry.stat().st_mtime > older_than]
    for entry in abandoned:
        shutil.rmtree(entry, ignore_errors=True)
    return len(abandoned)


def _fold(con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, version: TableVersion) -> tuple[int, int]:
    if version.foreign or not is_plain(version):
        # Small files are no harm. Reading files that do not hold their rows as they stand would be, and so would a commit of ours on top of
        # another tool's: it would hide from whoever asks that something changed.
        return 0, 0
    groups: dict[tuple[object, ...], list[DataFile]] = {}
    for file in version.files:
        if file.size < file_bytes(version.size) / 2:
            groups.setdefault(tuple(file.partition.get(name) for name in version.partition_by), []).append(file)
    small = [file for files in groups.values() if len(files) > 1 for file in files]
    if not small:
        return 0, 0
    rows = read_files(small, version.columns)
    with damage_told(version):
        add = stage(con, rows, version.uri, version.columns, version.partition_by, table_bytes=version.size)
    state = version.state.next(changed=False)
    write = Write(version, version.columns, state, add, tuple(small), version.partition_by, data_change=False)
    commit(lakehouse, version.id, write, zone=version.zone)
    return len(small), len(add)
