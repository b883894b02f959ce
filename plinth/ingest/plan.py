"""What one load has to do: all of the table or only what its cursor says, decided from the contract and the last commit."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from plinth.contracts.drift import UNREVIEWED
from plinth.contracts.model import Mode, Table
from plinth.contracts.physical import parse_physical_type
from plinth.contracts.types import widens
from plinth.engine import literal, quote
from plinth.errors import ContractError, SchemaDrift
from plinth.ingest.watermark import ahead
from plinth.lakehouse.schema import DeltaColumn, duckdb_type
from plinth.sources.horizon import is_ahead

if TYPE_CHECKING:
    from plinth.lakehouse.tables import TableVersion
    from plinth.sources.catalogue import SourceTable


@dataclass(frozen=True)
class Plan:
    """How one load reads.

    Attributes:
        since: cursor value from which rows are read, None for all rows.
        reason: why all rows are read, for people.
        code: fingerprint of what of the contract shapes the table.
    """

    since: str | None
    reason: str
    code: str


def plan_load(contract: Table, amended: Table, base: TableVersion | None, *, full: bool) -> Plan:
    """Decides how much of a table to read.

    Args:
        contract: the table as its contract says.
        amended: the table as it is read now, see `plinth.contracts.drift.settle_drift`.
    """
    code = fingerprint(contract, amended)
    if base is None:
        return Plan(None, "first load", code)
    if full:
        return Plan(None, "asked for", code)
    if base.state.code != code:
        return Plan(None, "the contract or the source's columns changed", code)
    if base.foreign:
        return Plan(None, "another tool wrote to the table", code)
    if amended.mode is Mode.SNAPSHOT:
        return Plan(None, "snapshot mode", code)
    if base.state.watermark is None:
        return Plan(None, "no watermark yet", code)
    if is_ahead(base.state.watermark) and ahead(base.columns, amended.cursor):
        return Plan(None, "the watermark is ahead of the clock", code)
    return Plan(lower_bound(amended, base.state.watermark), "", code)


def fingerprint(contract: Table, amended: Table | None = None) -> str:
    """Names what shapes the rows of a table; descriptions, owners and promises do not.

    A column that came to the source is part of it, since its values for old rows have to be read. One that left is not: what the
    table holds of it is history that no read brings back.
    """
    stated = {column.name for column in contract.columns}
    shape: dict[str, Any] = {
        "columns": [asdict(column) | {"description": "", "tags": ()} for column in contract.columns],
        "landed": sorted(column.name for column in (amended or contract).columns if column.name not in stated),
        "key": contract.key,
        "cursor": contract.cursor,
        "mode": contract.mode.value,
        "physical": (contract.physical_schema, contract.physical_name),
        "rules": [(rule.name, rule.predicate, rule.severity.value) for rule in contract.rules if rule.predicate],
    }
    return hashlib.sha256(json.dumps(shape, sort_keys=True, default=str).encode()).hexdigest()[:16]


def lower_bound(table: Table, watermark: str) -> str:
    """The watermark less the contract's lookback, as canonical text.

    Raises:
        ContractError: the watermark is neither a time stamp, a date nor a whole number, so that a lookback has no meaning.
    """
    if not table.lookback:
        return watermark
    try:
        return str(int(watermark) - int(table.lookback))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(watermark) - timedelta(seconds=table.lookback)
    except ValueError:
        raise ContractError(
            f"the cursor {table.cursor} of {table.name} cannot look back",
            expected="a cursor column of time stamps, dates or whole numbers",
            found=watermark,
            where=f"contract of {table.source}, table {table.name}, lookback",
            remedy="take lookback out of the contract, or choose another cursor",
        ) from None
    return moment.isoformat(sep=" ") if len(watermark) > 10 else moment.date().isoformat()


def reconcile_due(table: Table, base: TableVersion | None, now: datetime | None = None) -> bool:
    """Whether the contract's schedule asks for a comparison of the keys."""
    if table.reconcile_every is None or base is None or not table.key:
        return False
    last = base.state.reconciled_at
    return last is None or (now or datetime.now(UTC)) - datetime.fromisoformat(last) >= table.reconcile_every


def whole_due(table: Table, base: TableVersion, every: float, now: datetime | None = None) -> bool:
    """Whether a table without a cursor has not been read as a whole for `every` seconds."""
    last = base.state.reconciled_at
    if table.cursor is not None:
        return False
    return last is None or (now or datetime.now(UTC)) - datetime.fromisoformat(last) >= timedelta(seconds=every)


def key_enforced(table: Table, found: SourceTable) -> bool:
    """Whether the legacy system itself guarantees the contract's key."""
    names = {table.column(name).physical_name for name in table.key}
    candidates = [set(unique) for unique in found.unique] + (
        [set(found.key)] if found.key and found.key_enforced else []
    )
    return any(candidate <= names for candidate in candidates if candidate)


def overlap(table: Table, columns: tuple[DeltaColumn, ...], watermark: str | None) -> str | None:
    """SQL predicate for rows that the last load may have read already: up to the watermark, and those that every load reads."""
    if watermark is None or table.cursor is None:
        return None
    kind = next(column.type for column in columns if column.name == table.cursor)
    known = f"{quote(table.cursor)} <= CAST({literal(watermark)} AS {duckdb_type(kind)})"
    always = ahead(columns, table.cursor)
    return known if always is None else f"{known} OR {always}"


def as_wide_as_held(table: Table, found: SourceTable, base: TableVersion | None, dialect: str) -> Table:
    """The table as it is read: a column whose type in the source became narrower keeps the type of the bronze table, which holds all its values.

    What the contract says by `deltaType` stays as it says, and a column that it does not name as the source has it: there `reshaped` refuses.
    """
    if base is None:
        return table
    held = {column.name: column.type for column in base.columns}
    types = {
        column.name: parse_physical_type(column.physical_type, dialect).delta or "string" for column in found.columns
    }

    def narrowed(name: str, physical_name: str) -> bool:
        now = types.get(physical_name)
        return now is not None and name in held and held[name] != now and widens(now, held[name])

    columns = tuple(
        replace(column, delta_type=held[column.name])
        if column.delta_type is None
        and not column.absent
        and UNREVIEWED not in column.tags
        and narrowed(column.name, column.physical_name)
        else column
        for column in table.columns
    )
    return replace(table, columns=columns)


def reshaped(table: Table, base: TableVersion | None, columns: tuple[DeltaColumn, ...]) -> bool:
    """Whether the files have to be written anew because a type grew, a column left the contract or the partitions changed.

    Raises:
        SchemaDrift: a column's type in the source no longer holds what the table holds (narrowing).
    """
    if base is None:
        return False
    held = {column.name: column.type for column in base.columns}
    grown = [column for column in columns if held.get(column.name, column.type) != column.type]
    for column in grown:
        if not widens(held[column.name], column.type):
            raise SchemaDrift(
                f"bronze/{table.name}: the column {column.name} would narrow from {held[column.name]} to {column.type}",
                expected=f"{held[column.name]}, or a type that holds all its values",
                found=column.type,
                where=f"contract of {table.source}, table {table.name}",
                remedy="mend the source, or fix the column's type with deltaType in the contract; "
                f"to start over, remove the folder {base.uri}",
            )
    gone = set(held) - {column.name for column in columns}
    return bool(grown or gone) or base.partition_by != table.partition_by
