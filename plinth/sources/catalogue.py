"""What a legacy database says about its own tables, as frozen dataclasses.

What belongs here: the shape in which every source describes a table, whatever its engine. What does not: the queries that fill it
(each source has its own) and what is made of it (`plinth.contracts.infer` drafts a contract, `plinth.contracts.drift` compares).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceColumn:
    """One column as the database's catalogue has it; `physical_type` is the database's own spelling, with length and precision."""

    name: str
    physical_type: str
    nullable: bool
    comment: str | None = None
    enum_values: tuple[str, ...] = ()
    default: str | None = None


@dataclass(frozen=True)
class ForeignKey:
    """`columns` of a table point at `to_columns` of another, in the same order."""

    columns: tuple[str, ...]
    to_schema: str | None
    to_table: str
    to_columns: tuple[str, ...]


@dataclass(frozen=True)
class SourceTable:
    """One table or view as the database's catalogue has it; all names are physical names.

    Attributes:
        schema: the schema it stands in, None where the engine has none (SQLite).
        key: the columns of the primary key in its order; empty where there is none.
        key_enforced: whether the database refuses duplicates of the key.
        unique: the column sets of unique constraints and indexes besides the key.
        indexed: the column sets of all indexes, in their order.
        row_estimate: what the planner believes the table to hold, in rows; None where it does not say.
        view: whether it is a view, materialised or not.
    """

    schema: str | None
    name: str
    columns: tuple[SourceColumn, ...]
    key: tuple[str, ...]
    key_enforced: bool
    unique: tuple[tuple[str, ...], ...]
    indexed: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[ForeignKey, ...]
    comment: str | None
    row_estimate: int | None
    view: bool = False
