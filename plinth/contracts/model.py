"""What a contract says about a legacy system, as frozen dataclasses that the rest of the platform reads.

ODCS (the file format) is parsed in `plinth.contracts.load`; nothing outside this package sees its shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path


class Mode(str, Enum):
    """How a table is read: all of it, or what its cursor says has changed."""

    SNAPSHOT = "snapshot"
    INCREMENTAL = "incremental"


class Drift(str, Enum):
    """What happens when the source has other columns than the contract."""

    EVOLVE = "evolve"
    FREEZE = "freeze"
    DISCARD = "discard"


class Severity(str, Enum):
    """Whether a broken rule blocks what comes after it, or is only reported."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Column:
    """One column of a legacy table and of its bronze table.

    `delta_type` is a Delta primitive type (`long`, `decimal(12,4)`, `timestamp_ntz`, …) where the contract fixes it, else None and the
    source's own type decides. `physical_name` is the name in the legacy system, `name` the one in the lakehouse.
    """

    name: str
    physical_name: str
    physical_type: str | None = None
    logical_type: str | None = None
    delta_type: str | None = None
    description: str = ""
    required: bool = False
    unique: bool = False
    classification: str = "internal"
    tags: tuple[str, ...] = ()
    zero_dates: str = "null"
    """What a date that is none (`0000-00-00`, `2020-00-00`) becomes: `null` (counted), `quarantine`, or an ISO date as sentinel."""
    absent: bool = False
    """Whether the legacy system has lost the column (`drift.settle_drift` says so, never a contract): it is read as null."""


@dataclass(frozen=True)
class Rule:
    """A quality rule of a contract.

    A row rule has a `predicate`: DuckDB SQL over the bronze column names, true or null where the row is right; rows where it is
    false go to quarantine. A table rule has a `query`: DuckDB SQL over the relation `{table}` giving one number, compared by
    `operator` (`=`, `!=`, `>`, `>=`, `<`, `<=`, `between`) with `limits`; it becomes an asset check only.
    """

    name: str
    description: str
    columns: tuple[str, ...] = ()
    predicate: str | None = None
    query: str | None = None
    operator: str | None = None
    limits: tuple[float, ...] = ()
    severity: Severity = Severity.ERROR


@dataclass(frozen=True)
class Reference:
    """A foreign key: `columns` of this table point at `to_columns` of the contract table `to_table`."""

    columns: tuple[str, ...]
    to_table: str
    to_columns: tuple[str, ...]
    severity: Severity = Severity.WARNING


@dataclass(frozen=True)
class Table:
    """The contract of one legacy table.

    Attributes:
        source: name of the source in `platform.yaml`.
        name: name in the lakehouse (`bronze/<name>`), snake case.
        physical_name: name in the legacy system, with its schema where it has one (`SALES.INVLINE` stands as schema `SALES`).
        key: names of the key columns; empty means that the table has no key.
        cursor: column whose value never falls behind by more than `lookback` when a row is inserted or updated.
        lookback: how far behind the watermark late rows may arrive (seconds for time cursors, units for whole-number cursors).
        reconcile_every: how often the keys are compared to find deletes; None means never by schedule.
        quarantine_share: share of rows (0 to 1) of one read that may break row rules before the load fails.
        freshness: how old the newest load may be before the asset counts as stale; None means no promise.
        history_tolerance: share by which the row count may fall or grow against its own history before the check warns.
    """

    source: str
    name: str
    physical_name: str
    columns: tuple[Column, ...]
    physical_schema: str | None = None
    description: str = ""
    owner: str | None = None
    tags: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    cursor: str | None = None
    mode: Mode = Mode.SNAPSHOT
    lookback: float = 0.0
    reconcile_every: timedelta | None = None
    drift: Drift = Drift.EVOLVE
    partition_by: tuple[str, ...] = ()
    quarantine_share: float = 0.0
    freshness: timedelta | None = None
    history_tolerance: float | None = None
    rules: tuple[Rule, ...] = ()
    references: tuple[Reference, ...] = ()
    zone: str | None = None
    profile: str | None = None

    def column(self, name: str) -> Column:
        """The column `name`; KeyError where the contract has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def classification(self) -> tuple[str, ...]:
        """The distinct classifications of the columns, sorted."""
        return tuple(sorted({column.classification for column in self.columns}))


@dataclass(frozen=True)
class Contract:
    """One contract file: a legacy system and its tables."""

    id: str
    version: str
    source: str
    path: Path
    name: str = ""
    description: str = ""
    owner: str | None = None
    tables: tuple[Table, ...] = field(default=())

    def table(self, name: str) -> Table:
        """The table `name`; KeyError where the contract has none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)
