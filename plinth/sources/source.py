"""A legacy system that can be described, watched and read.

What belongs here: what every dialect has in common. What does not: any SQL of a dialect.
"""

from __future__ import annotations

import difflib
import fnmatch
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plinth.errors import PlinthError, SourceUnreadable

if TYPE_CHECKING:
    import duckdb

    from plinth.contracts.model import Table
    from plinth.sources.address import Address
    from plinth.sources.catalogue import SourceTable
    from plinth.sources.snapshot import Snapshot


Look = Callable[[str | None, str | None], "Sequence[SourceTable]"]
"""What says what tables there are: as `Source.tables`, of a schema and a name."""


@dataclass(frozen=True)
class Probe:
    """A look at a table: two equal probes mean that very probably nothing has changed in between.

    Attributes:
        rows: count of rows, where counting is part of the look.
        watermark: highest cursor value.
        token: a hash or a change counter of the content, for tables without a cursor; with one, the highest value that is not ahead of the
            clock, where the watermark is (`plinth.sources.horizon`).
        sure: False where the look can miss a change of a table without a cursor, which has to be read as a whole from time to time.
    """

    rows: int | None = None
    watermark: str | None = None
    token: str | None = None
    sure: bool = True

    def as_text(self) -> str:
        """What was seen as JSON, the same text for the same sight."""
        seen = {"rows": self.rows, "watermark": self.watermark, "token": self.token}
        return json.dumps(seen, sort_keys=True)


class Source(ABC):
    """An open legacy system.

    Attributes:
        dialect: SQLAlchemy's name of the database: `postgresql`, `mysql`, `sqlite`, `mssql`, `oracle`, …
        address: where it is.
    """

    dialect: str
    address: Address

    @abstractmethod
    def tables(self, schema: str | None = None, name: str | None = None) -> Sequence[SourceTable]:
        """The tables and views as the catalogue has them now, without the database's own.

        Args:
            schema: only of this schema.
            name: only of exactly this name.

        Raises:
            SourceUnavailable: the database did not answer.
        """

    @abstractmethod
    def names(self) -> Sequence[tuple[str | None, str]]:
        """Schema and name of every table and view, without their columns."""

    @abstractmethod
    def probe(self, table: Table) -> Probe:
        """A look for change: `glance` where there is one, else the table is read.

        Raises:
            SourceUnavailable: the database did not answer.
            SourceUnreadable: the table is not there.
        """

    def glance(self, table: Table) -> Probe | None:
        """A look that reads no row but those of an index; what it costs is said by the dialect. None where only reading the table would tell.

        Raises:
            SourceUnavailable, SourceUnreadable: as `probe`.
        """
        return self.probe(table)

    def probe_before(self, table: Table) -> Probe | None:
        """The look to take before a snapshot is opened, so that a change in between shows later as a different one.

        None where the snapshot takes it itself (`Snapshot.probe`), which spares a count of the table.

        Raises:
            SourceUnavailable, SourceUnreadable: as `probe`.
        """
        return self.probe(table)

    @abstractmethod
    def snapshot(
        self, con: duckdb.DuckDBPyConnection, tables: Iterable[Table] = ()
    ) -> AbstractContextManager[Snapshot]:
        """Opens one consistent view of the database; it lives in a transaction of `con`, which must have none (`plinth.sources.transaction`).

        A cast that fails within it leaves it as duckdb.ConversionException; every other fault as a PlinthError or as the error of whoever
        raised it.

        Raises:
            SourceUnavailable: the database did not answer, or the connection was cut.
        """

    @abstractmethod
    def explain(self, error: Exception, table: Table) -> PlinthError:
        """What an error of DuckDB or of a driver, met while reading the table, means for a person; never with a password."""

    def close(self) -> None:
        """Lets go of what is held open."""
        return None

    @property
    def home_schema(self) -> str | None:
        """The schema that a name without one always means; None where the engine has none, or a search path decides."""
        return None

    def describe(self, pattern: str | None = None) -> tuple[SourceTable, ...]:
        """The tables whose `schema.table` or `table` matches a pattern with `*` and `?`; all by default.

        Raises:
            SourceUnavailable: the database did not answer.
        """
        return tuple(each for each in self.tables() if pattern is None or _matches(pattern, each.schema, each.name))

    def asking(self, con: duckdb.DuckDBPyConnection) -> AbstractContextManager[Look]:
        """Looks at the catalogue by the way by which rows will be read, which spares the start of a driver; `tables` where there is no other way.

        Raises:
            SourceUnavailable, SourceUnreadable: as `snapshot`.
        """
        return nullcontext(self.tables)

    def describe_table(self, table: Table, look: Look | None = None) -> SourceTable:
        """The table that a contract names, as the catalogue has it now.

        Args:
            look: how the catalogue is asked; by `tables` if it is not given.

        Raises:
            SourceUnavailable: the database did not answer.
            SourceUnreadable: it is not there, or stands in several schemas and the contract names none.
        """
        found = self._visible((look or self.tables)(table.physical_schema, table.physical_name), table)
        if len(found) == 1:
            return found[0]
        wanted = ".".join(part for part in (table.physical_schema, table.physical_name) if part)
        if found:
            raise SourceUnreadable(
                f"the table {wanted} stands in several schemas",
                expected="a schema in the contract's physicalName",
                found=", ".join(f"{each.schema}.{each.name}" for each in found),
                where=f"{self.address}, contract of {table.source}, table {table.name}",
                remedy=f"write physicalName: {found[0].schema}.{found[0].name}, or another of them",
            )
        names = [name if schema is None else f"{schema}.{name}" for schema, name in self.names()]
        near = near_names(wanted, names)
        raise SourceUnreadable(
            f"the legacy system has no table {wanted}",
            expected="the table that the contract names" + (f"; near names: {', '.join(near)}" if near else ""),
            found=f"{len(names)} other tables and views" if names else "no table at all",
            where=f"{self.address}, contract of {table.source}, table {table.name}",
            remedy="mend physicalName (names are case-sensitive), or let the platform's user see the table",
        )

    def _visible(self, found: Sequence[SourceTable], table: Table) -> Sequence[SourceTable]:
        """Of tables of one name in several schemas, those that an unqualified name means; all by default."""
        return found


def shape_of(table: SourceTable) -> str:
    """Names and types of a table's columns: a new column may change what every row holds without any of them being written."""
    return "; ".join(f"{column.name} {column.physical_type}" for column in table.columns)


def near_names(wanted: str, names: Iterable[str]) -> list[str]:
    """Up to three names that were perhaps meant: the same in another case or schema first."""
    known = list(names)
    last = wanted.rpartition(".")[2].lower()
    same = [name for name in known if name.rpartition(".")[2].lower() == last]
    lower = {name.lower(): name for name in known} | {name.rpartition(".")[2].lower(): name for name in known}
    close = difflib.get_close_matches(last, lower, n=3) + difflib.get_close_matches(wanted.lower(), lower, n=3)
    return list(dict.fromkeys(same + [lower[name] for name in close]))[:3]


def _matches(pattern: str, schema: str | None, name: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or (
        schema is not None and fnmatch.fnmatchcase(f"{schema}.{name}", pattern)
    )
