"""Which rows of a table changed since a model last read it, within a run: published commits and what the run itself has staged."""

from __future__ import annotations

from plinth.engine import quote
from plinth.lakehouse.changes import changes_since, difference
from plinth.lakehouse.feed import CHANGE, read_feeds
from plinth.lakehouse.files import read_files, require_plain
from plinth.lakehouse.tables import Lakehouse
from plinth.transform.pending import Held


def changed_rows(lakehouse: Lakehouse, held: Held, content: str) -> str | None:
    """SQL for the rows that differ from the content of that name: the table's columns and `_change` (`insert` or `delete`).

    A row that changed twice since may stand in it more often than once; every row whose value differs does stand in it.

    Returns:
        None where it cannot be told (see `plinth.lakehouse.changes`), so that all rows have to be read.
    """
    if held.base is None:
        return None
    published = changes_since(lakehouse, held.base, content)
    if published is None or held.pending is None or not held.pending.rewrite.changed:
        return published.sql if published is not None else None
    if {c.name: c.type for c in held.pending.columns} != {c.name: c.type for c in held.base.columns}:
        return None
    names = ", ".join(quote(column.name) for column in held.pending.columns)
    published_rows = f"SELECT {names}, {CHANGE} FROM ({published.sql})"
    if held.pending.changes is not None:
        return f"{published_rows} UNION ALL SELECT {names}, {CHANGE} FROM {held.pending.changes}"
    rewrite = held.pending.rewrite
    if rewrite.feed:
        staged = read_feeds([file.uri for file in rewrite.feed], held.pending.columns)
        return f"{published_rows} UNION ALL SELECT {names}, {CHANGE} FROM ({staged})"
    require_plain(held.base)
    gained = read_files([file.uri for file in rewrite.add], held.pending.columns)
    lost = read_files([file.uri for file in rewrite.remove], held.pending.columns)
    staged = difference(gained, lost, held.pending.columns)
    return f"{published_rows} UNION ALL SELECT {names}, {CHANGE} FROM ({staged})"
