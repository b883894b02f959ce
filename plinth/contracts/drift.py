"""The difference between a contract and the live table, and what the contract's policy makes of it.

What belongs here: comparing column by column, and the decision what may pass. What does not: reading the catalogue (`plinth.sources`)
and changing a bronze table (`plinth.ingest`, `plinth.lakehouse`).

| difference | evolve | discard | freeze |
|---|---|---|---|
| new column | lands, nullable, restricted until reviewed | ignored | refused |
| column gone, nullable | null from now on | null from now on | refused |
| column gone that had landed and is in no contract | null from now on | leaves bronze | null from now on |
| column gone that is required, key, cursor or partition | refused | refused | refused |
| type widened (integer to bigint, more digits, longer text) | read as the wider type, or as `deltaType` says | same | refused |
| type narrowed | passes, the bronze type stays wide | same | refused |
| type changed otherwise (text to number) | refused, unless `deltaType` says what to cast to | same | refused |
| nulls now allowed where the contract requires a value | passes, rows with null go to quarantine | same | refused |
| key of the database grew beyond the contract's | refused: merging by the old key would lose rows | same | refused |
| other key | passes | passes | refused |

Whatever passes is reported. Table renames show as a missing table, which no policy lets pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from plinth.contracts.model import Column, Drift, Table
from plinth.contracts.naming import lakehouse_names, near
from plinth.contracts.physical import PhysicalType, parse_physical_type
from plinth.contracts.sql import column_type
from plinth.contracts.types import widens
from plinth.errors import SchemaDrift
from plinth.sources.catalogue import SourceColumn, SourceTable

UNREVIEWED = "unreviewed"
"""Tag of a column that landed before its contract named it."""

STOPS = "stops the load"
"""The consequence of a difference that does not pass."""


class DifferenceKind(str, Enum):
    """What differs."""

    ADDED = "column added"
    REMOVED = "column removed"
    WIDENED = "type widened"
    NARROWED = "type narrowed"
    CHANGED = "type changed"
    NULLABLE = "nulls allowed"
    KEY_GREW = "key grew"
    KEY_CHANGED = "key changed"


@dataclass(frozen=True)
class Difference:
    """One difference; `column` is the contract's name where it has one, else the physical name, None for the key."""

    kind: DifferenceKind
    column: str | None
    expected: str
    found: str
    message: str
    refused: bool = False
    """Whether no policy lets it pass, since rows or values would be lost."""

    def __str__(self) -> str:
        return self.message


def compare(table: Table, found: SourceTable) -> tuple[Difference, ...]:
    """The differences between a contract table and the live one, in the order of the contract, then of the database."""
    live = {column.name: column for column in found.columns}
    stated = {column.physical_name for column in table.columns}
    differences: list[Difference] = []
    for column in table.columns:
        if column.physical_name not in live:
            differences.append(_removed(table, column, [name for name in live if name not in stated]))
            continue
        differences.extend(_type_difference(column, live[column.physical_name]))
        differences.extend(_null_difference(column, live[column.physical_name]))
    differences.extend(_added(column) for column in found.columns if column.name not in stated)
    differences.extend(_key_difference(table, found))
    return tuple(differences)


def settle_drift(table: Table, found: SourceTable, landed: Sequence[Column] = ()) -> tuple[Table, tuple[str, ...]]:
    """The table as it has to be read now, and one line for each difference.

    New columns are in it under the policy `evolve`; lost ones stay and are marked absent, so that they are read as null.

    Args:
        landed: columns that bronze holds though no contract ever named them. Those that the source has lost stay in the table with
            their history, so that a rename takes nothing away, until the contract names or discards them.

    Raises:
        SchemaDrift: a difference does not pass; the message holds all of them as a table.
    """
    differences = compare(table, found)
    stopping = [each for each in differences if consequence(table, each) == STOPS]
    if stopping:
        raise SchemaDrift(
            f"{table.physical_name} in the source {table.source} is not what its contract says",
            expected="no difference (drift: freeze)"
            if table.drift is Drift.FREEZE
            else "no difference that loses rows or values",
            found="\n" + difference_table(stopping),
            where=f"contract of {table.source}, table {table.name}",
            remedy="bring the contract up to date (`plinth contract check` prints the whole difference), then load again",
        )
    lost = {each.column for each in differences if each.kind is DifferenceKind.REMOVED}
    columns = tuple(_as_absent(column) if column.name in lost else column for column in table.columns)
    kept = () if table.drift is Drift.DISCARD else _landed_and_lost(table, found, landed)
    columns += kept
    if table.drift is Drift.EVOLVE:
        columns += _landing(replace(table, columns=columns), found)
    gone = tuple(_gone_again(column, new_columns(table, found)) for column in kept)
    return replace(table, columns=columns), (*(each.message for each in differences), *gone)


def consequence(table: Table, difference: Difference) -> str:
    """What the next load makes of a difference, in a word or two."""
    if difference.refused or table.drift is Drift.FREEZE:
        return STOPS
    if difference.kind is DifferenceKind.ADDED:
        return "lands" if table.drift is Drift.EVOLVE else "ignored"
    return "read as null" if difference.kind is DifferenceKind.REMOVED else "passes"


def difference_table(differences: Iterable[Difference]) -> str:
    """The differences as lines of aligned text."""
    rows = [("difference", "column", "contract", "database")]
    rows += [(each.kind.value, each.column or "-", each.expected, each.found) for each in differences]
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    return "\n".join(
        "    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def new_columns(table: Table, found: SourceTable) -> tuple[SourceColumn, ...]:
    """The live columns that the contract does not name."""
    stated = {column.physical_name for column in table.columns}
    return tuple(column for column in found.columns if column.name not in stated)


def _landing(table: Table, found: SourceTable) -> tuple[Column, ...]:
    """New columns as they land: nobody has said yet how sensitive they are, so they count as the most sensitive."""
    added = new_columns(table, found)
    names = lakehouse_names(
        (column.name for column in added), "column", taken=[column.name for column in table.columns]
    )
    return tuple(
        Column(
            name=name,
            physical_name=column.name,
            physical_type=column.physical_type,
            logical_type=parse_physical_type(column.physical_type).logical,
            description=column.comment or "Not in the contract yet.",
            classification="restricted",
            tags=(UNREVIEWED,),
        )
        for name, column in zip(names, added, strict=True)
    )


def _landed_and_lost(table: Table, found: SourceTable, landed: Sequence[Column]) -> tuple[Column, ...]:
    live = {column.name for column in found.columns}
    stated = {name for column in table.columns for name in (column.name, column.physical_name)}
    return tuple(
        _as_absent(column)
        for column in landed
        if column.physical_name not in live and column.name not in stated and column.physical_name not in stated
    )


def _gone_again(column: Column, added: Sequence[SourceColumn]) -> str:
    renamed = near(column.physical_name, [each.name for each in added]).replace("did you mean", "was it renamed to")
    return (
        f"{column.name}: the database has no column {column.physical_name!r} any more{renamed}, and the contract never named it; "
        "what bronze holds of it stays, and it is null from now on"
    )


def _as_absent(column: Column) -> Column:
    return replace(column, absent=True, delta_type=column_type(column))


def _removed(table: Table, column: Column, unclaimed: list[str]) -> Difference:
    roles = [("a key column", column.name in table.key), ("the cursor", column.name == table.cursor),
             ("a partition column", column.name in table.partition_by), ("required", column.required)]  # fmt: skip
    held = next((role for role, holds in roles if holds), None)
    renamed = near(column.physical_name, unclaimed).replace("did you mean", "was it renamed to")
    outcome = f"it is {held}, so nothing is loaded" if held else "it is null from now on"
    return Difference(
        DifferenceKind.REMOVED,
        column.name,
        column.physical_name,
        "no such column",
        f"{column.name}: the database has no column {column.physical_name!r} any more{renamed}; {outcome}",
        refused=held is not None,
    )


def _added(column: SourceColumn) -> Difference:
    message = f"{column.name}: the database has this column of type {column.physical_type}, the contract does not"
    return Difference(DifferenceKind.ADDED, column.name, "no such column", column.physical_type, message)


def _null_difference(column: Column, found: SourceColumn) -> Iterable[Difference]:
    if column.required and found.nullable:
        message = f"{column.name}: the contract requires a value, the database allows null"
        yield Difference(DifferenceKind.NULLABLE, column.name, "required", "nullable", message)


def _type_difference(column: Column, found: SourceColumn) -> Iterable[Difference]:
    """None where both say the same in other words (`int(11)`, `INTEGER`), or where `deltaType` holds whatever the database has."""
    now = parse_physical_type(found.physical_type)
    was = parse_physical_type(column.physical_type) if column.physical_type else None
    if was is not None and _same(was, now):
        return
    if (
        column.delta_type is not None
        and now.delta is not None
        and column.delta_type != "string"
        and widens(now.delta, column.delta_type)
    ):
        return
    if was is None:
        if column.delta_type is None or column.delta_type == "string":
            return
        kind = _kind(column.delta_type, now.delta)
    else:
        kind = _kind(_widest(was), _widest(now))
    expected = column.physical_type or column.delta_type or ""
    message = f"{column.name}: the contract has {expected}, the database {found.physical_type} ({kind.value})"
    if column.delta_type is not None and kind is not DifferenceKind.NARROWED:
        message += f"; it is cast to {column.delta_type}, and what does not fit goes to quarantine"
    refused = kind is DifferenceKind.CHANGED and column.delta_type is None
    yield Difference(kind, column.name, expected, found.physical_type, message, refused)


def _same(was: PhysicalType, now: PhysicalType) -> bool:
    if _widest(was) != _widest(now) or was.logical != now.logical:
        return False
    return was.delta is not None or was.base == now.base


def _widest(kind: PhysicalType) -> str | None:
    """The Delta type, with the length where the database limits a text: the text's growth is a difference too, if a harmless one."""
    if kind.delta == "string" and kind.arguments and "char" in kind.base:
        return f"varchar({kind.arguments[0]})" if kind.arguments[0] > 0 else "string"
    return kind.delta


def _kind(old: str | None, new: str | None) -> DifferenceKind:
    if old is not None and new is not None and widens(old, new):
        return DifferenceKind.WIDENED
    if old is not None and new is not None and widens(new, old):
        return DifferenceKind.NARROWED
    return DifferenceKind.CHANGED


def _key_difference(table: Table, found: SourceTable) -> Iterable[Difference]:
    """None where the database guarantees the contract's key by its primary key, a part of that, or a unique constraint."""
    names = {column.name: column.physical_name for column in table.columns}
    key = tuple(names[name] for name in table.key)
    if not found.key or set(found.key) == set(key) or any(set(unique) <= set(key) for unique in found.unique if unique):
        return
    if set(found.key) < set(key):
        return
    grew = bool(key) and set(key) < set(found.key)
    kind = DifferenceKind.KEY_GREW if grew else DifferenceKind.KEY_CHANGED
    expected, now = ", ".join(key) or "no key", ", ".join(found.key)
    message = f"key: the contract has ({expected}), the database ({now})"
    if grew:
        message += "; merging by the contract's key would lose rows, so nothing is loaded"
    yield Difference(kind, None, expected, now, message, refused=grew)
