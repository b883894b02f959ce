"""What a run knows of a table: the version that it pinned at its beginning, and what it has staged on top.

Nothing that a run stages is visible to others before the run publishes it, at its end and after its tests. Within the run a model's
view reads the staged files, so models and tests downstream see exactly what will be published.
"""

from __future__ import annotations

from dataclasses import dataclass

from plinth.lakehouse.files import read_files
from plinth.lakehouse.merge import Rewrite
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import TableId, TableVersion


@dataclass(frozen=True)
class Pending:
    """A version of a table that is staged and not yet published.

    `state` is that of its commit; `changes` names the run's own table with the rows that differ from the version before, where there is one.
    `folder` is where Spark has staged all rows, which Spark then publishes; None where the staged files lie in the table's folder already.
    """

    columns: tuple[DeltaColumn, ...]
    partition_by: tuple[str, ...]
    state: State
    rewrite: Rewrite
    changes: str | None = None
    folder: str | None = None


@dataclass(frozen=True)
class Held:
    """A table as a run sees it: `base` is None where no run has published it, `pending` where this run has staged nothing."""

    table: TableId
    base: TableVersion | None
    pending: Pending | None = None

    @property
    def exists(self) -> bool:
        """Whether there are rows (or an empty table) to read."""
        return self.base is not None or self.pending is not None

    @property
    def content(self) -> str | None:
        """Names the rows, see `TableVersion.content`; for staged rows the name that they will have."""
        if self.pending is not None and (self.base is None or self.pending.rewrite.changed or self._replaced):
            return self.pending.state.content_name
        return self.base.content if self.base is not None else None

    @property
    def columns(self) -> tuple[DeltaColumn, ...]:
        """Its columns; none where it does not exist."""
        if self.pending is not None:
            return self.pending.columns
        return self.base.columns if self.base is not None else ()

    @property
    def rows(self) -> int:
        """Its rows, from the log and from what was staged."""
        rows = self.base.rows if self.base is not None else 0
        if self.pending is None:
            return rows
        rewrite = self.pending.rewrite
        return rows - sum(file.rows for file in rewrite.remove) + sum(file.rows for file in rewrite.add)

    @property
    def relation(self) -> str:
        """SQL that yields its rows."""
        files = self.files
        if files is None or self.pending is None:
            assert self.base is not None
            return f"SELECT * FROM {self.base.scan}"
        return read_files(files, self.pending.columns)

    @property
    def files(self) -> tuple[str, ...] | None:
        """Addresses of the files that hold its rows as this run sees them; None where that is a published version."""
        if self.pending is None or not (self.pending.rewrite.add or self.pending.rewrite.remove or self.base is None):
            return None
        gone = {file.path for file in self.pending.rewrite.remove}
        kept = (file.uri for file in (self.base.files if self.base is not None else ()) if file.path not in gone)
        return (*kept, *(file.uri for file in self.pending.rewrite.add))

    @property
    def _replaced(self) -> bool:
        assert self.pending is not None
        return bool(self.pending.rewrite.add or self.pending.rewrite.remove)
