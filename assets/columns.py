"""A contract's columns as Dagster shows them: schema with constraints and classification tags, and lineage to the legacy columns."""

from __future__ import annotations

import re
from collections.abc import Iterable

import dagster as dg

from assets.legacy import legacy_key
from plinth.contracts.model import Column, Severity, Table

LEVELS = ("public", "internal", "confidential", "restricted")
CLASSIFICATION_TAG = "plinth/classification"


def column_schema(table: Table) -> dg.TableSchema:
    """The columns of a contract table with what the contract says of them."""
    return dg.TableSchema(
        [_column(column, table) for column in table.columns], dg.TableConstraints(_of_the_table(table))
    )


def column_lineage(table: Table, names: Iterable[str]) -> dg.TableColumnLineage:
    """Which legacy column each of the given bronze columns comes from; a column that drifted in has the legacy column's own name."""
    physical = {column.name: column.physical_name for column in table.columns}
    key = legacy_key(table)
    return dg.TableColumnLineage(
        {name: [dg.TableColumnDep(asset_key=key, column_name=physical.get(name, name))] for name in names}
    )


def highest_classification(table: Table) -> str:
    """The most sensitive classification among a table's columns."""
    return max((column.classification for column in table.columns), key=LEVELS.index, default="internal")


def tag_key(text: str) -> str:
    """A contract's free tag as Dagster takes it: letters, digits, `_`, `-` and `.`, 63 at most."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-")[:63] or "tag"


def _column(column: Column, table: Table) -> dg.TableColumn:
    rules = [
        rule
        for rule in table.rules
        if rule.columns == (column.name,) and not rule.name.endswith(("_required", "_unique"))
    ]
    other = [rule.description + ("" if rule.severity is Severity.ERROR else " (warning)") for rule in rules]
    if column.name in table.key:
        other.insert(0, "primary key" if len(table.key) == 1 else f"primary key ({', '.join(table.key)})")
    return dg.TableColumn(
        column.name,
        column.delta_type or column.logical_type or "as in the source",
        column.description,
        dg.TableColumnConstraints(
            nullable=not column.required, unique=column.unique or table.key == (column.name,), other=other
        ),
        {CLASSIFICATION_TAG: column.classification, **{tag_key(tag): "" for tag in column.tags}},
    )


def _of_the_table(table: Table) -> list[str]:
    found = [f"primary key ({', '.join(table.key)})"] if table.key else ["no primary key"]
    found += [
        f"({', '.join(each.columns)}) refers to bronze/{each.to_table} ({', '.join(each.to_columns)})"
        for each in table.references
    ]
    return found + [rule.description for rule in table.rules if len(rule.columns) != 1]
