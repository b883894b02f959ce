"""How the columns of one table are read, and the SELECT that reads them.

What belongs here: what is common to all dialects once values have reached DuckDB: casts, the contract's rule for dates that are none, and
the account of what did not cast. What does not: how the values reach DuckDB (each dialect's `types` and `snapshot`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from plinth.contracts.model import Column, Table
from plinth.contracts.physical import parse_physical_type
from plinth.engine import literal, quote
from plinth.errors import ContractError, SourceUnreadable
from plinth.sources.casting import RAW, Cast, cast, duckdb_type
from plinth.sources.catalogue import SourceColumn, SourceTable
from plinth.sources.snapshot import REJECTS, BronzeColumn, Relation, Unproven
from plinth.sources.source import near_names


@dataclass(frozen=True)
class Reading:
    """How one column is read.

    Attributes:
        column: how it lands.
        remote: the database's own SQL for what it sends; None for a column that is null from now on.
        plain: whether `remote` is just the column, so that a scan of the table gives the same.
        raw: DuckDB's type in which it arrives.
        cast: from there to the bronze type.
        is_no_date: SQL over `{raw}`, true where the value is a date that is none; the contract's rule decides what becomes of it.
        text: SQL over `{raw}` for the value as a person should see it in quarantine.
        by_extremes: whether the highest and the lowest value tell as much as `is_no_date` of each, so that a strict read need not ask it.
    """

    column: BronzeColumn
    remote: str | None
    raw: str
    cast: Cast
    plain: bool = False
    is_no_date: str | None = None
    zero_dates: str = "null"
    text: str = f"CAST({RAW} AS VARCHAR)"
    by_extremes: bool = False

    @property
    def value(self) -> str:
        """The strict cast, with the contract's rule for dates that are none."""
        if self.is_no_date is None:
            return self.cast.value
        if self.zero_dates == "quarantine":
            kind = self.column.duckdb_type
            none = f"CAST('no date: ' || {self.text} AS {kind})"
        else:
            none = self._stand_in
        return f"CASE WHEN {self.is_no_date} THEN {none} ELSE {self.cast.value} END"

    @property
    def attempt(self) -> str:
        """The lenient cast, with the contract's rule for dates that are none."""
        if self.is_no_date is None:
            return self.cast.attempt
        return f"CASE WHEN {self.is_no_date} THEN {self._stand_in} ELSE {self.cast.attempt} END"

    @property
    def _stand_in(self) -> str:
        if self.zero_dates in ("null", "quarantine"):
            return "NULL"
        return f"CAST({literal(self.zero_dates)} AS {self.column.duckdb_type})"

    def faults(self) -> list[tuple[str, str]]:
        """Pairs of a condition over `{raw}` and the name of the rule that is broken where it holds."""
        found = []
        ruled = self.is_no_date is not None
        if ruled and self.zero_dates == "quarantine":
            found.append((f"({self.is_no_date})", f"{self.column.name}_zero_date"))
        if not self.cast.sure:
            other = f" AND NOT ({self.is_no_date})" if ruled else ""
            found.append((f"{RAW} IS NOT NULL{other} AND ({self.cast.attempt}) IS NULL", f"{self.column.name}_type"))
        return found


Sender = Callable[[Column, SourceColumn, str], Reading]
"""A dialect's way: contract column, catalogue column and wanted Delta type to a reading; SourceUnreadable where there is none."""


def plan(
    table: Table, found: SourceTable, dialect: str, send: Sender, names: tuple[str, ...] | None = None
) -> tuple[Reading, ...]:
    """How the columns of a contract are read from the table as it stands.

    Args:
        names: only these, all by default.

    Raises:
        SourceUnreadable: the table has lost a column, or its type cannot become the contract's.
    """
    by_name = {column.name: column for column in found.columns}
    wanted = table.columns if names is None else tuple(table.column(name) for name in names)
    readings = []
    for column in wanted:
        if column.absent:
            readings.append(absent(column))
            continue
        if column.physical_name not in by_name:
            raise _lost(table, column, by_name)
        source = by_name[column.physical_name]
        default = parse_physical_type(source.physical_type, dialect).delta or "string"
        readings.append(send(column, source, column.delta_type or default))
    return tuple(readings)


def absent(column: Column) -> Reading:
    """A column that the database no longer has."""
    delta = column.delta_type or "string"
    kind = duckdb_type(delta)
    bronze = BronzeColumn(column.name, kind, delta, column.physical_type, "gone from the database, null since")
    return Reading(bronze, None, kind, Cast(f"CAST(NULL AS {kind})", f"CAST(NULL AS {kind})", sure=True))


def landed(column: Column, source: SourceColumn, delta: str, note: str = "") -> BronzeColumn:
    """How a column lands in a Delta type."""
    return BronzeColumn(column.name, duckdb_type(delta), delta, source.physical_type, note)


def through_bytes(reading: Reading, remote: str, raw: str, as_bytes: str = RAW) -> Reading:
    """The same reading, but what should be text comes as bytes: those that are no UTF-8 then fail like any other cast.

    DuckDB trusts the scanners' texts: bytes that are no UTF-8 get into the Parquet file unnoticed, and some functions that meet them
    end the whole DuckDB instance (tried: lower).

    Args:
        remote: the database's SQL that sends the bytes, in DuckDB's type `raw`.
        as_bytes: SQL over `{raw}` that gives a BLOB of them.
    """
    decoded, tried = f"decode({as_bytes})", f"TRY(decode({as_bytes}))"
    through = Cast(reading.cast.value.replace(RAW, decoded), reading.cast.attempt.replace(RAW, tried))
    return replace(
        reading,
        remote=remote,
        raw=raw,
        cast=through,
        plain=False,
        is_no_date=None if reading.is_no_date is None else f"coalesce({reading.is_no_date.replace(RAW, tried)}, false)",
        text=f"coalesce({tried}, '\\x' || hex({as_bytes}))",
    )


def cast_or_refuse(raw: str, delta: str, column: Column, source: SourceColumn) -> Cast:
    """The cast from what the database sends to what the contract asks for.

    Raises:
        SourceUnreadable: there is no sensible one.
    """
    found = cast(raw, delta)
    if found is None:
        raise SourceUnreadable(
            f"the column {column.physical_name} cannot become {delta}",
            expected="a deltaType that the values can stand in, or string",
            found=f"{source.physical_type} in the database",
            where=f"column {column.name}",
            remedy="mend deltaType in the contract",
        )
    return found


def relation_of(readings: Sequence[Reading], base: str, raws: Sequence[str], *, strict: bool) -> Relation:
    """The relation over what the database sends, see `select`."""
    columns = tuple(each.column for each in readings)
    sql = select(readings, base, raws, strict=strict)
    dates = tuple(each.column.name for each in readings if strict and each.by_extremes)
    unproven = Unproven(select(readings, base, raws, strict=True, trusting=True), dates) if dates else None
    return Relation(sql, columns, unproven=unproven)


def select(readings: Sequence[Reading], base: str, raws: Sequence[str], *, strict: bool, trusting: bool = False) -> str:
    """The SELECT over what the database sends.

    Args:
        base: SQL that yields the raw columns.
        raws: their quoted names, one for each reading (anything for one that is absent).
        strict: whether a failing cast fails the query, or is put down in `_rejects`.
        trusting: whether dates that the extremes will prove pass unseen.
    """
    pairs = list(zip(readings, raws, strict=True))
    if strict:
        values = [each.cast.value if trusting and each.by_extremes else each.value for each in readings]
        listed = ", ".join(
            f"{_over(value, raw)} AS {quote(each.column.name)}"
            for value, (each, raw) in zip(values, pairs, strict=True)
        )
        return f"SELECT {listed} FROM ({base}) AS base"
    listed = ", ".join(f"{_over(each.attempt, raw)} AS {quote(each.column.name)}" for each, raw in pairs)
    entries = [
        f"CASE WHEN {_over(condition, raw)} THEN {literal(json.dumps(each.column.name) + ':')} || "
        f"json_object('value', {_over(each.text, raw)}, 'rule', {literal(rule)}) END"
        for each, raw in pairs
        for condition, rule in each.faults()
    ]
    if not entries:
        return f"SELECT {listed}, CAST(NULL AS VARCHAR) AS {quote(REJECTS)} FROM ({base}) AS base"
    account = f"concat_ws(',', {', '.join(entries)})"
    return (
        f"SELECT * EXCLUDE (_account), CASE WHEN _account <> '' THEN '{{' || _account || '}}' END "
        f"AS {quote(REJECTS)} FROM (SELECT {listed}, {account} AS _account FROM ({base}) AS base)"
    )


def cursor_of(table: Table) -> Column:
    """The contract's cursor column.

    Raises:
        ContractError: the contract names none.
    """
    if table.cursor is None:
        raise ContractError(
            f"the table {table.name} has no cursor", expected="a cursor column in the contract", where=table.source
        )
    return table.column(table.cursor)


def _over(expression: str, raw: str) -> str:
    return expression.replace(RAW, raw)


def _lost(table: Table, column: Column, by_name: dict[str, SourceColumn]) -> SourceUnreadable:
    near = near_names(column.physical_name, by_name)
    return SourceUnreadable(
        f"the table {table.physical_name} has no column {column.physical_name}",
        expected="the column that the contract names" + (f"; near names: {', '.join(near)}" if near else ""),
        found=f"columns {', '.join(by_name)}",
        where=f"contract of {table.source}, table {table.name}, column {column.name}",
        remedy="mend physicalName of the column, or take it out of the contract",
    )
