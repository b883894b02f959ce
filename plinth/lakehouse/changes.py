"""Which rows differ between two versions of a table: the difference of the files that one has and the other lacks.

Cost follows change: only files that were added or removed in between are read. Copy on write puts unchanged rows into new files too;
they cancel out here. So what comes downstream of a table needs no update time stamp to work incrementally.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plinth.engine import quote
from plinth.lakehouse.files import read_files, require_plain
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableVersion
from plinth.objects.files import size_of

CHANGE = "_change"


@dataclass(frozen=True)
class ChangeSet:
    """The rows that a table gained (`insert`) and lost (`delete`) since an older version.

    `sql` yields the table's columns and `_change`; a changed row stands twice, as lost with its old values and gained with its new.
    """

    sql: str
    files: int
    rows_read: int


def changes_since(lakehouse: Lakehouse, now: TableVersion, content: str) -> ChangeSet | None:
    """What changed since the version whose `TableVersion.content` was the given text.

    Returns:
        None where that cannot be told and everything has to be read: the old version is out of the log, its files have been
        vacuumed, its columns were others, or another tool has committed.
    """
    if now.content == content:
        return ChangeSet(_both(now, (), ()), 0, 0)
    old = _version_with(lakehouse, now, content)
    if old is None:
        return None
    require_plain(now)
    before, after = {file.path: file for file in old.files}, {file.path: file for file in now.files}
    gained = [after[path] for path in after if path not in before]
    lost = [before[path] for path in before if path not in after]
    if any(size_of(file.uri) is None for file in lost):
        return None
    sql = _both(now, [file.uri for file in gained], [file.uri for file in lost])
    return ChangeSet(sql, len(gained) + len(lost), sum(file.rows for file in (*gained, *lost)))


def difference(new: str, old: str, columns: Sequence[DeltaColumn]) -> str:
    """SQL for the rows that one query has and another lacks, with `_change`; doubled rows count as often as they stand.

    Rows are compared by a 64-bit hash first and value by value only where the hashes' counts differ: seven times faster than EXCEPT ALL
    both ways on two files of a million rows that differ in 14. A change goes unseen if a lost and a gained row share a hash, which for
    a million of each has a chance of about 5 in 10^8.
    """
    names = ", ".join(quote(column.name) for column in columns)
    hashed = f"hash({names})"
    return (
        f"WITH differing AS MATERIALIZED (SELECT row_hash FROM (SELECT {hashed} AS row_hash, 1 AS side FROM ({new}) "
        f"UNION ALL SELECT {hashed}, -1 FROM ({old})) GROUP BY row_hash HAVING sum(side) <> 0), "
        f"counted AS (SELECT {names}, sum(side) AS surplus FROM ("
        f"SELECT *, 1 AS side FROM ({new}) WHERE {hashed} IN (SELECT row_hash FROM differing) UNION ALL "
        f"SELECT *, -1 AS side FROM ({old}) WHERE {hashed} IN (SELECT row_hash FROM differing)) "
        f"GROUP BY {names} HAVING sum(side) <> 0) "
        f"SELECT {names}, CASE WHEN surplus > 0 THEN 'insert' ELSE 'delete' END AS {CHANGE} "
        f"FROM counted, range(abs(surplus)::BIGINT)"
    )


def _both(now: TableVersion, gained: list[str] | tuple[str, ...], lost: list[str] | tuple[str, ...]) -> str:
    return difference(read_files(gained, now.columns), read_files(lost, now.columns), now.columns)


def _version_with(lakehouse: Lakehouse, now: TableVersion, content: str) -> TableVersion | None:
    """The newest version of that content, found from the log's commits."""
    from deltalake.exceptions import DeltaError

    if now.foreign:
        return None
    for commit in now.delta.history():
        state = State.from_metadata(commit)
        if state is not None and state.content_name == content:
            try:
                old = lakehouse.find(now.id, version=commit["version"], zone=now.zone)
            except DeltaError:
                return None
            same = old is not None and _types(old) == _types(now)
            return old if same and old is not None and old.content == content else None
    return None


def _types(version: TableVersion) -> dict[str, str]:
    return {column.name: column.type for column in version.columns}
