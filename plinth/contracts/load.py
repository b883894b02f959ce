"""ODCS v3 files into contracts.

What belongs here: the way from a document to the frozen dataclasses of `model`, in the order in which a file reads. What does not: the
shape of the file (`document`), Plinth's own settings (`settings`), rules (`rules`) and whether it all fits together (`meaning`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from open_data_contract_standard.model import (
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
    ServiceLevelAgreementProperty,
    Team,
)

from plinth.contracts.document import At, Document, read_document
from plinth.contracts.meaning import check_contract
from plinth.contracts.model import Column, Contract, Drift, Mode, Table
from plinth.contracts.naming import near
from plinth.contracts.physical import LOGICAL_TYPES
from plinth.contracts.relationships import table_references
from plinth.contracts.rules import table_rules
from plinth.contracts.settings import COLUMN, CONTRACT, TABLE, duration, read_settings

CLASSIFICATIONS = ("public", "internal", "confidential", "restricted")
"""From the least to the most sensitive."""

_UNITS = {"w": 604800, "week": 604800, "d": 86400, "day": 86400, "h": 3600, "hr": 3600, "hour": 3600, "m": 60, "min": 60, "minute": 60,
          "s": 1, "sec": 1, "second": 1}  # fmt: skip


def load_contract(path: str | Path, source: str) -> Contract:
    """Reads one contract file.

    Args:
        path: an ODCS v3 YAML file.
        source: name in `platform.yaml` of the source that it describes.

    Raises:
        ContractError: the file is missing or wrong. Every fault is named with its line, its place, what is allowed and what was found.
    """
    document = read_document(Path(path))
    stated = OpenDataContractStandard.model_validate(document.values)
    defaults = read_settings(document, stated.customProperties, (), CONTRACT)
    owner = _owner(stated.team)
    freshness = _freshness(document, stated.slaProperties or (), stated.schema_ or ())
    tables = tuple(
        _table(document, table, ("schema", index), source, owner, defaults, freshness.get(table.name or ""))
        for index, table in enumerate(stated.schema_ or ())
    )
    document.refuse()  # what follows compares tables, and needs them whole
    tables = table_references(document, stated.schema_ or (), tables)
    check_contract(document, tables)
    document.refuse()
    return Contract(
        id=stated.id or "",
        version=stated.version or "",
        source=source,
        path=Path(path),
        name=stated.name or stated.id or "",
        description=_description(stated),
        owner=owner,
        tables=tables,
    )


def _table(
    document: Document, stated: SchemaObject, at: At, source: str, owner: str | None, defaults: dict[str, Any], freshness: timedelta | None
) -> Table:  # fmt: skip
    own = read_settings(document, stated.customProperties, at, TABLE)
    settings = {**defaults, **own}
    mode = settings.get("mode", Mode.SNAPSHOT)
    if mode is Mode.SNAPSHOT and "lookback" in own:
        document.fault(
            (*at, "customProperties"),
            "lookback is set, but the mode is snapshot: set mode to incremental, or drop it",
        )
    schema, physical_name = _physical_name(document, stated, at)
    columns = tuple(
        _column(document, each, (*at, "properties", index)) for index, each in enumerate(stated.properties or ())
    )
    lookback = settings.get("lookback", 0)
    return Table(
        source=source,
        name=stated.name or "",
        physical_name=physical_name,
        physical_schema=schema,
        columns=columns,
        description=stated.description or stated.businessName or "",
        owner=owner,
        tags=tuple(stated.tags or ()),
        key=_ordered(document, stated, at, "primaryKey", "primaryKeyPosition"),
        cursor=settings.get("cursor"),
        mode=mode,
        lookback=lookback.total_seconds() if isinstance(lookback, timedelta) else float(lookback),
        reconcile_every=settings.get("reconcileEvery"),
        drift=settings.get("drift", Drift.EVOLVE),
        partition_by=_ordered(document, stated, at, "partitioned", "partitionKeyPosition"),
        quarantine_share=settings.get("quarantineShare", 0.0),
        freshness=freshness,
        history_tolerance=settings.get("historyTolerance"),
        rules=table_rules(document, stated, at, columns),
        zone=settings.get("zone"),
        profile=settings.get("profile"),
    )


def _column(document: Document, stated: SchemaProperty, at: At) -> Column:
    settings = read_settings(document, stated.customProperties, at, COLUMN)
    if stated.logicalType is not None and stated.logicalType not in LOGICAL_TYPES:
        expected = f"one of {', '.join(LOGICAL_TYPES)} is expected"
        document.fault(
            (*at, "logicalType"),
            f"{expected}, found {stated.logicalType!r}{near(stated.logicalType, LOGICAL_TYPES)}",
        )
    if stated.semanticType == "measure":
        document.fault(
            (*at, "semanticType"),
            "a measure is no column of the legacy table: leave it out, gold is the place for it",
        )
    return Column(
        name=stated.name or "",
        physical_name=stated.physicalName or stated.name or "",
        physical_type=stated.physicalType,
        logical_type=stated.logicalType,
        delta_type=settings.get("deltaType"),
        description=stated.description or stated.businessName or "",
        required=bool(stated.required or stated.primaryKey),
        unique=bool(stated.unique),
        classification=_classification(document, stated, at),
        tags=tuple(stated.tags or ()),
        zero_dates=settings.get("zeroDates", "null"),
    )


def _classification(document: Document, stated: SchemaProperty, at: At) -> str:
    """The column's own, or a stricter one of what is nested in it: the column is stored as a whole."""
    own = stated.classification or "internal"
    if own not in CLASSIFICATIONS:
        expected = f"one of {', '.join(CLASSIFICATIONS)} is expected"
        document.fault((*at, "classification"), f"{expected}, found {own!r}{near(own, CLASSIFICATIONS)}")
        return "internal"
    nested = [((*at, "properties", index), each) for index, each in enumerate(stated.properties or ())]
    nested += [((*at, "items"), stated.items)] if stated.items else []
    nested += [((*at, "map", "value"), stated.map.value)] if stated.map and stated.map.value else []
    levels = [own, *(_classification(document, each, place) for place, each in nested)]
    return max(levels, key=CLASSIFICATIONS.index)


def _ordered(document: Document, table: SchemaObject, at: At, flag: str, position: str) -> tuple[str, ...]:
    """The columns that carry `flag`, by `position` (from 1), those without one in the order of the file."""
    marked: list[tuple[int, str]] = []
    for index, column in enumerate(table.properties or ()):
        place = getattr(column, position)
        if not getattr(column, flag):
            if place is not None and place != -1:
                document.fault((*at, "properties", index, position), f"a position is given, but {flag} is not true")
            continue
        marked.append((index + 1 if place in (None, -1) else place, column.name or ""))
    given = [getattr(column, position) for column in table.properties or () if getattr(column, flag)]
    if any(place not in (None, -1) for place in given) and sorted(place or -1 for place in given) != list(
        range(1, len(given) + 1)
    ):
        document.fault(
            at,
            f"{position} must be 1 to {len(given)}, each once, over the columns with {flag}; found {given}",
        )
    return tuple(name for _, name in sorted(marked))


def _physical_name(document: Document, stated: SchemaObject, at: At) -> tuple[str | None, str]:
    """Schema and table of `SALES.INVLINE`; a part with a dot in it stands in double quotes."""
    text = stated.physicalName or stated.name or ""
    parts = re.findall(r'"(?:[^"]|"")+"|[^."]+', text)
    names = [part[1:-1].replace('""', '"') if part.startswith('"') else part for part in parts]
    if not 1 <= len(names) <= 2 or ".".join(parts) != text:
        document.fault(
            (*at, "physicalName"),
            f"table or schema.table is expected (a dot in a name: quote that name), found {text!r}",
        )
        return None, text
    return (None, names[0]) if len(names) == 1 else (names[0], names[1])


def _owner(team: Team | list[Any] | None) -> str | None:
    """The owner as Dagster takes it: `team:<name>`, or the address of the member who owns."""
    if isinstance(team, Team) and team.name:
        name = "-".join(team.name.split())
        return name if "@" in name or name.startswith("team:") else f"team:{name}"
    members = (team.members if isinstance(team, Team) else team) or []
    for member in members:
        if member.username and (member.role or "").replace(" ", "").lower() in ("owner", "dataowner"):
            return member.username if "@" in member.username else f"team:{member.username}"
    return None


def _description(stated: OpenDataContractStandard) -> str:
    about = stated.description
    parts = (about.purpose, about.usage, about.limitations) if about else ()
    return "\n\n".join(part.strip() for part in parts if part)


def _freshness(
    document: Document, promises: Iterable[ServiceLevelAgreementProperty], tables: Sequence[SchemaObject]
) -> dict[str, timedelta]:
    """What `freshness` (or ODCS's older word `latency`) promises for each table; without an element it holds for all."""
    known = {table.name or "": {column.name for column in table.properties or ()} for table in tables}
    general: dict[str, timedelta] = {}
    special: dict[str, timedelta] = {}
    for index, promise in enumerate(promises):
        if (promise.property or "").lower() not in ("freshness", "latency"):
            continue
        at = ("slaProperties", index)
        age = _age(document, promise, at)
        for element in (promise.element or "").split(","):
            table, _, column = element.strip().partition(".")
            if not table:
                general.update(dict.fromkeys(known, age))
            elif table not in known:
                document.fault((*at, "element"), f"there is no table {table!r} in this contract{near(table, known)}")
            elif column and column not in known[table]:
                names = [name for name in known[table] if name]
                document.fault((*at, "element"), f"the table {table} has no column {column!r}{near(column, names)}")
            else:
                special[table] = age
    return {**general, **special}


def _age(document: Document, promise: ServiceLevelAgreementProperty, at: At) -> timedelta:
    value, unit = promise.value, (promise.unit or "").lower()
    if isinstance(value, str) and value.startswith("P") and not unit:
        try:
            return duration(value)
        except ValueError as error:
            document.fault((*at, "value"), f"{error}, found {value!r}")
            return timedelta()
    seconds = _UNITS.get(unit) or _UNITS.get(unit.removesuffix("s"))
    if seconds is None:
        document.fault(
            (*at, "unit"),
            f"one of w, d, h, min, s is expected (or a value such as PT26H), found {promise.unit!r}",
        )
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        document.fault((*at, "value"), f"a number above 0 is expected, found {value!r}")
        return timedelta()
    return timedelta(seconds=float(value) * (seconds or 1))
