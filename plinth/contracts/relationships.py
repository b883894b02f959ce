"""Foreign keys of a contract (ODCS `relationships`) as references between its tables.

What belongs here: both places where ODCS lets one stand, under a column and under the table, in the short notation `table.column`.
What does not: references to another contract's tables; they can't be checked from here and are refused with that reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from open_data_contract_standard.model import Relationship, SchemaObject

from plinth.contracts.document import At, Document
from plinth.contracts.model import Reference, Severity, Table
from plinth.contracts.naming import near
from plinth.contracts.settings import RELATIONSHIP, read_settings


def table_references(
    document: Document, stated: Sequence[SchemaObject], tables: tuple[Table, ...]
) -> tuple[Table, ...]:
    """The tables with their references; what does not resolve within the contract is noted as a fault."""
    by_name = {table.name: table for table in tables}
    return tuple(
        replace(table, references=tuple(_references(document, each, ("schema", index), table, by_name)))
        for index, (each, table) in enumerate(zip(stated, tables, strict=True))
    )


def _references(
    document: Document, stated: SchemaObject, at: At, table: Table, tables: dict[str, Table]
) -> Iterator[Reference]:
    for index, column in enumerate(stated.properties or ()):
        for number, each in enumerate(column.relationships or ()):
            place = (*at, "properties", index, "relationships", number)
            if each.from_ is not None:
                document.fault(
                    (*place, "from"),
                    "under a column the column itself is where the reference comes from: drop this key",
                )
            yield from _reference(document, each, place, (column.name or "",), tables)
    for number, each in enumerate(stated.relationships or ()):
        place = (*at, "relationships", number)
        owner, columns = _split(document, each.from_, (*place, "from"), tables)
        if owner is None:
            continue
        if owner != table.name:
            document.fault((*place, "from"), f"a column of {table.name} is expected, found one of {owner}")
            continue
        yield from _reference(document, each, place, columns, tables)


def _reference(
    document: Document, stated: Relationship, at: At, columns: tuple[str, ...], tables: dict[str, Table]
) -> Iterator[Reference]:
    if stated.type not in (None, "foreignKey"):
        document.fault((*at, "type"), f"foreignKey is expected, found {stated.type!r}")
    settings = read_settings(document, stated.customProperties, at, RELATIONSHIP)
    target, to_columns = _split(document, stated.to, (*at, "to"), tables)
    if target is None:
        return
    if len(columns) != len(to_columns):
        document.fault(
            at, f"as many columns to as from are expected, found {len(columns)} from and {len(to_columns)} to"
        )
        return
    yield Reference(columns, target, to_columns, settings.get("severity", Severity.WARNING))


def _split(
    document: Document, stated: str | list[str] | None, at: At, tables: dict[str, Table]
) -> tuple[str | None, tuple[str, ...]]:
    """Table and columns of `table.column` or a list of those; no table where something in it is wrong."""
    parts = [each.rpartition(".") for each in ([stated] if isinstance(stated, str) else stated or [])]
    owners = {table for table, _, _ in parts}
    if len(owners) != 1 or "" in owners:
        document.fault(at, f"table.column is expected, or a list of such of one table; found {stated!r}")
        return None, ()
    owner = owners.pop()
    if owner not in tables:
        document.fault(
            at,
            f"there is no table {owner!r} in this contract{near(owner, tables)}; references stay within one contract",
        )
        return None, ()
    columns = tuple(column for _, _, column in parts)
    known = [column.name for column in tables[owner].columns]
    for column in columns:
        if column not in known:
            document.fault(at, f"the table {owner} has no column {column!r}{near(column, known)}")
            return None, ()
    return owner, columns
