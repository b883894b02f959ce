"""One consistent view of a legacy system, and what can be read within it.

What belongs here: the shapes that every source gives to `plinth.ingest`. What does not: how a dialect comes by them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plinth.contracts.model import Table
    from plinth.sources.source import Probe

Watermark = str
"""A cursor value as canonical text: a whole number, `2020-01-31`, `2020-01-31 08:00:00[.ffffff]`, with `+00:00` for instants; else the
text itself. Any ISO 8601 spelling of a time is understood."""

REJECTS = "_rejects"
"""Column that a lenient read adds: null, or JSON `{column: {"value": raw text, "rule": name}}` for what did not cast."""


@dataclass(frozen=True)
class BronzeColumn:
    """A column as it lands: its type in DuckDB and Delta, the database's own type, and what was done to it (for its metadata)."""

    name: str
    duckdb_type: str
    delta_type: str
    physical_type: str | None
    note: str = ""


@dataclass(frozen=True)
class Unproven:
    """The rows of a relation without a look at each date: what `sql` yields is exact if no value of `dates` is infinite or before Christ,
    which the statistics of a staged file tell for nothing. A test of three dates in each row costs 0.1 s per 10 million rows."""

    sql: str
    dates: tuple[str, ...]

    def proven_by(self, extremes: Iterable[str | None]) -> bool:
        """Whether the lowest and highest values of the dates, as DuckDB prints them, are ordinary."""
        return not any("infinity" in value or "(BC)" in value for value in extremes if value is not None)


@dataclass(frozen=True)
class Relation:
    """SQL for the DuckDB connection of the snapshot; it can be run while the snapshot is open.

    Attributes:
        sql: a SELECT that yields exactly `columns` (and `_rejects` where the read is lenient).
        reread: whether it may be run more than once.
        unproven: a cheaper way to the same rows for who looks at the extremes afterwards, and reads leniently where they prove nothing.
        fetch: brings the rows to where `sql` finds them, in the zone of the table; called once, after the zone was found to be cleared for
            them. None where `sql` reads the database itself.
    """

    sql: str
    columns: tuple[BronzeColumn, ...]
    reread: bool = True
    unproven: Unproven | None = None
    fetch: Callable[[], None] | None = None


class Snapshot(ABC):
    """Everything read from one snapshot is from one moment of the legacy system."""

    @abstractmethod
    def relation(
        self,
        table: Table,
        *,
        since: Watermark | None = None,
        columns: tuple[str, ...] | None = None,
        strict: bool = True,
    ) -> Relation:
        """The rows of a table in bronze types.

        Args:
            since: only rows whose cursor is this or later; None for all.
            columns: names of the columns wanted, all by default.
            strict: casts that fail raise duckdb.ConversionException while the relation is read. False makes them null and adds the
                column `_rejects`.

        Raises:
            SourceUnreadable: the table or a column is not there, or its type cannot become what the contract asks for.
        """

    @abstractmethod
    def count(self, table: Table) -> int:
        """Rows of the table."""

    @abstractmethod
    def watermark(self, table: Table) -> Watermark | None:
        """The highest cursor value; None where the table has no rows or no cursor."""

    def probe(self, table: Table) -> Probe:
        """What `Source.probe` says at the snapshot's moment; only for tables of which `Source.probe_before` gives None."""
        raise NotImplementedError(f"{type(self).__name__} leaves every look to its source")

    def keys(self, table: Table) -> Relation:
        """The key columns of all rows, to find out which were deleted."""
        return self.relation(table, columns=table.key)

    def notes(self, table: Table) -> Mapping[str, int]:
        """Counts of what the reading changed by the contract's leave, e.g. `birthdt.zero_dates`; empty where nothing was."""
        return {}
