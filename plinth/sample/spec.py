"""What is asked of the sample, and what is reported about it.

What belongs here: the frozen values that go into and come out of the writers, their validation, and the sample's own error. No database
and no DuckDB: the command line imports this module before it knows whether there is work to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from plinth.errors import PlinthError

Progress = Callable[[str, int, int], None]
"""Called with the stage (`INVLINE`, `indexes`, …), what is done and what there is to do, both in the stage's own units."""

FIRST_DAY = date(2024, 5, 1)
MAX_CUSTOMERS = 20_000_000
MAX_DAYS = 5_000


class SampleError(PlinthError):
    """The sample warehouse cannot be written or advanced as asked; the message says why and what to do."""


@dataclass(frozen=True)
class SampleSpec:
    """How large a generated warehouse shall be, and which one.

    Args:
        customers: customers in the master at the end of the last day; 1 to 20 million.
        days: calendar days of trade; 1 to 5,000. About 83 % of them are trading days.
        seed: which of the possible worlds; the same seed, sizes and start give the same rows, value by value, in every database.
        start: the first day.
        lines: about how many invoice lines are wanted; when given, it decides the number of customers and `customers` is not used.

    Raises:
        SampleError: a value is out of its range.
    """

    customers: int = 2000
    days: int = 540
    seed: int = 7
    start: date = FIRST_DAY
    lines: int | None = None

    def __post_init__(self) -> None:
        check_range("customers", self.customers, 1, MAX_CUSTOMERS)
        check_range("days", self.days, 1, MAX_DAYS)
        check_range("seed", self.seed, 0, 2**31 - 1)
        if self.lines is not None:
            check_range("lines", self.lines, 1, 10**10)
        if not date(1950, 1, 1) <= self.start <= date(2200, 1, 1):
            raise SampleError(
                "the first day is out of range",
                expected="a day from 1950-01-01 to 2200-01-01",
                found=self.start,
                where="start",
            )


@dataclass(frozen=True)
class TableRows:
    """How many rows a table holds."""

    table: str
    rows: int


@dataclass(frozen=True)
class SampleReport:
    """What was written: where (without a password), rows per table, the first and the last day, and the seconds that it took."""

    address: str
    tables: tuple[TableRows, ...]
    first_day: date
    last_day: date
    seconds: float

    def rows(self, table: str) -> int:
        """Rows of one table, by its name in the warehouse."""
        return {each.table: each.rows for each in self.tables}[table]


@dataclass(frozen=True)
class TableChange:
    """How many rows of a table were inserted, updated and deleted. A row that met two of them in different days counts in both."""

    table: str
    inserted: int = 0
    updated: int = 0
    deleted: int = 0


@dataclass(frozen=True)
class AdvanceReport:
    """What the advanced days changed, per table, and the new last day."""

    address: str
    tables: tuple[TableChange, ...]
    days: int
    last_day: date
    seconds: float

    def change(self, table: str) -> TableChange:
        """The change of one table, by its name in the warehouse."""
        return {each.table: each for each in self.tables}[table]


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Refuses a number that is out of its range.

    Raises:
        SampleError: it is.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SampleError(
            f"{name} is out of range", expected=f"a whole number from {low:,} to {high:,}", found=value, where=name
        )


def silent(stage: str, done: int, total: int) -> None:
    """The progress callback of those who want none."""
