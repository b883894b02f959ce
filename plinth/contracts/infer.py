"""A first draft of a contract from what a live database says of its tables.

What belongs here: the draft as YAML text with comments, in the order in which a person reads it. What does not: reading the catalogue
(`plinth.sources`) and the guesses (`guess`).

The text is written line by line, as no YAML library writes comments beside values; every scalar goes through `_scalar`, and the tests load
each draft again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from plinth.contracts.document import ContractLoader
from plinth.contracts.guess import GUESSED, guess_classification, guess_cursor
from plinth.contracts.naming import lakehouse_names, snake
from plinth.contracts.physical import PhysicalType, parse_physical_type
from plinth.sources.catalogue import ForeignKey, SourceColumn, SourceTable

_MOST_DIGITS = 38
"""Of a decimal in the lakehouse (Delta's and DuckDB's limit)."""


def infer(
    tables: Sequence[SourceTable],
    *,
    source: str,
    dialect: str = "",
    origin: str = "",
    home: str | None = None,
    prefix: str = "",
) -> str:
    """Drafts a contract, as YAML text that `load_contract` reads.

    Args:
        tables: what the database's catalogue says, at least one, e.g. from `open_url(url).describe("sales.*")`.
        source: name of the source in `platform.yaml`; it becomes the contract's id.
        dialect: database by SQLAlchemy's name (`postgresql`, `mysql`, `sqlite`, `mssql`, `oracle`); some type names differ by it.
        origin: where the tables were found, for the comment at the top; never with a password.
        home: the schema that a name without one means (`Source.home_schema`). It is left out of the draft, so that one contract serves
            the test database and the real one.
        prefix: goes before the name of each table in the lakehouse.
    """
    plans = _plan([table for table in tables if table.columns], home, prefix)
    lines = list(_head(source, origin, plans))
    lines.append("schema:")
    for plan in plans:
        lines += [*_table(plan, plans, dialect), ""]
    lines += [f"# {_comment(table.name)} has no columns and was left out." for table in tables if not table.columns]
    return "\n".join(lines).rstrip() + "\n"


@dataclass(frozen=True)
class _Plan:
    """A table with the names that it and its columns get in the lakehouse, and the one that it goes by in the database."""

    table: SourceTable
    name: str
    columns: dict[str, str]
    physical_name: str

    @property
    def key(self) -> tuple[str, ...]:
        """Physical names of the key: the primary one, or the smallest unique set of columns that are never null."""
        if self.table.key:
            return self.table.key
        required = {column.name for column in self.table.columns if not column.nullable}
        return min(
            (unique for unique in self.table.unique if unique and set(unique) <= required),
            key=len,
            default=(),
        )


def _plan(tables: list[SourceTable], home: str | None, prefix: str) -> list[_Plan]:
    """Names for all tables; where two schemas have a table of one name, the schema goes before it, and the prefix before all."""
    counts = Counter(snake(table.name) for table in tables)
    wanted = [
        f"{table.schema} {table.name}" if table.schema and counts[snake(table.name)] > 1 else table.name
        for table in tables
    ]
    # What stays of a name in another script is its place, also behind a prefix.
    named = [each if snake(each) else f"table {place}" for place, each in enumerate(wanted, start=1)]
    names = lakehouse_names([f"{prefix} {each}".strip() for each in named], "table")
    return [
        _Plan(table, name, _column_names(table), _physical_name(table, home))
        for table, name in zip(tables, names, strict=True)
    ]


def _physical_name(table: SourceTable, home: str | None) -> str:
    schema = None if table.schema == home else table.schema
    return ".".join(_name_part(part) for part in (schema, table.name) if part)


def _column_names(table: SourceTable) -> dict[str, str]:
    physical = [column.name for column in table.columns]
    return dict(zip(physical, lakehouse_names(physical, "column"), strict=True))


def _head(source: str, origin: str, plans: list[_Plan]) -> Iterator[str]:
    yield f"# A draft, written by `plinth contract infer`{f' from {_comment(origin)}' if origin else ''}: {len(plans)} table{'' if len(plans) == 1 else 's'}."
    yield "# Before it is used: read the guesses (marked as such), name the owner, write descriptions where there are none,"
    yield "# and drop tables and columns that nobody needs. docs/contracts.md describes every key."
    yield ""
    yield "apiVersion: v3.2.0"
    yield "kind: DataContract"
    yield f"id: {_scalar(source)}"
    yield "version: 0.1.0"
    yield "status: draft"
    yield ""
    yield "# team:"
    yield "#   name: the team that answers for this system"
    yield ""
    yield "customProperties:  # of all tables; a table may set its own"
    yield "  - {property: drift, value: evolve}  # evolve | freeze | discard: what happens when the database changes"
    yield "  - {property: quarantineShare, value: 0}  # share of rows that may break a rule before a load fails"
    yield ""
    yield "# slaProperties:"
    yield "#   - {property: freshness, value: 26, unit: h}  # add `element: table` where they differ"
    yield ""


def _table(plan: _Plan, plans: list[_Plan], dialect: str) -> Iterator[str]:
    table = plan.table
    yield f"  - name: {plan.name}"
    yield f"    physicalName: {_scalar(plan.physical_name)}"
    yield f"    physicalType: {'view' if table.view else 'table'}"
    yield "    logicalType: object"
    if table.comment:
        yield f"    description: {_scalar(table.comment)}"
    if table.row_estimate is not None:
        yield f"    # about {table.row_estimate:,} rows by the database's own estimate"
    yield from _reading(plan)
    composite = [foreign for foreign in table.foreign_keys if len(foreign.columns) > 1]
    yield from _table_relationships(plan, composite, plans)
    yield "    properties:"
    for column in table.columns:
        yield from _column(plan, column, plans, dialect)


def _reading(plan: _Plan) -> Iterator[str]:
    """The settings that say how the table is read, with the reasons."""
    table, guess = plan.table, guess_cursor(plan.table)
    if not plan.key:
        yield "    # The database states no key: all rows are read and replace the table. If some columns are a key,"
        yield "    # give them primaryKey: true."
    elif not table.key:
        yield f"    # No primary key; ({_comment(', '.join(plan.key))}) is unique and never null, and is taken for the key."
    elif not table.key_enforced:
        yield "    # The database states the key but does not enforce it: its uniqueness is checked at each load."
    yield "    customProperties:"
    if guess is None:
        yield "      - {property: mode, value: snapshot}"
        return
    yield "      # A guess: " + _comment(guess.reason) + "."
    for sentence in _comment(guess.check).split("; "):
        yield f"      # Check: {sentence}."
    yield "      - {property: mode, value: incremental}"
    yield f"      - {{property: cursor, value: {plan.columns[guess.column]}}}"
    yield "      - {property: lookback, value: P1D}  # how late a row may appear behind the newest one"
    yield "      - {property: reconcileEvery, value: P1D}  # how often deleted rows are looked for, by comparing all keys"


def _column(plan: _Plan, column: SourceColumn, plans: list[_Plan], dialect: str) -> Iterator[str]:
    kind = parse_physical_type(column.physical_type, dialect)
    name = plan.columns[column.name]
    yield f"      - name: {name}"
    if name != column.name:
        yield f"        physicalName: {_scalar(column.name)}"
    yield f"        physicalType: {_scalar(column.physical_type)}"
    yield f"        logicalType: {kind.logical}"
    if kind.zoned is not None:
        yield f"        logicalTypeOptions: {{timezone: {str(kind.zoned).lower()}}}"
    if column.comment:
        yield f"        description: {_scalar(column.comment)}"
    if column.name in plan.key:
        yield "        primaryKey: true"
        yield f"        primaryKeyPosition: {plan.key.index(column.name) + 1}"
    if not column.nullable:
        yield "        required: true"
    if (column.name,) in plan.table.unique and plan.key != (column.name,):
        yield "        unique: true"
    yield from _classification(plan.table.name, column.name)
    yield from _enum(column, kind)
    yield from _column_relationships(plan, column, plans)
    yield from _delta_type(kind, dialect)


def _classification(table: str, column: str) -> Iterator[str]:
    level = guess_classification(table, column)
    if level is not None:
        yield f"        classification: {level}  # a guess from the name: confirm it and drop the tag, or correct it"
        yield f"        tags: [{GUESSED}]"


def _enum(column: SourceColumn, kind: PhysicalType) -> Iterator[str]:
    if not column.enum_values:
        return
    if kind.base.startswith("set"):  # a row may hold several of the values: ODCS has no key for that
        yield f"        # any of: {_comment(', '.join(column.enum_values))}"
        return
    yield "        enum:"
    for value in column.enum_values:
        yield f"          - {{value: {_scalar(value, inline=True)}}}"


def _delta_type(kind: PhysicalType, dialect: str) -> Iterator[str]:
    """SQLite keeps a type per value, so the draft says what to cast to; elsewhere the database's own type decides."""
    if dialect == "sqlite" and kind.delta not in (None, "string"):
        yield f'        customProperties: [{{property: deltaType, value: "{kind.delta}"}}]'
    elif kind.delta is None and kind.logical in ("number", "integer"):
        yield (
            "        # More than 38 digits, so it is read as text. If its values are shorter, add"
            if kind.arguments and kind.arguments[0] > _MOST_DIGITS
            else "        # The type does not say how many digits it holds. If you know, add"
        )
        yield '        # customProperties: [{property: deltaType, value: "decimal(18,4)"}]'


def _column_relationships(plan: _Plan, column: SourceColumn, plans: list[_Plan]) -> Iterator[str]:
    single = [foreign for foreign in plan.table.foreign_keys if foreign.columns == (column.name,)]
    targets = [(foreign, _targets(plan, foreign, plans)) for foreign in single]
    if any(found for _, found in targets):
        yield "        relationships:"
    for foreign, found in targets:
        yield (
            f"          - {{to: {found[0]}}}"
            if found
            else f"        # points at {_comment(foreign.to_table)}, which is not in this contract"
        )


def _table_relationships(plan: _Plan, composite: list[ForeignKey], plans: list[_Plan]) -> Iterator[str]:
    resolved = [(foreign, found) for foreign in composite if (found := _targets(plan, foreign, plans))]
    if resolved:
        yield "    relationships:"
    for foreign, found in resolved:
        own = ", ".join(f"{plan.name}.{plan.columns[column]}" for column in foreign.columns)
        yield f"      - from: [{own}]"
        yield f"        to: [{', '.join(found)}]"


def _targets(plan: _Plan, foreign: ForeignKey, plans: list[_Plan]) -> list[str]:
    """`table.column` for each column that a foreign key points at; empty where the draft has no such table."""
    schema = foreign.to_schema or plan.table.schema
    for other in plans:
        if other.table.name == foreign.to_table and other.table.schema in (schema, foreign.to_schema):
            names = [other.columns.get(column) for column in foreign.to_columns]
            return [f"{other.name}.{name}" for name in names] if None not in names else []
    return []


def _name_part(part: str) -> str:
    return '"' + part.replace('"', '""') + '"' if "." in part or '"' in part else part


def _scalar(text: str, *, inline: bool = False) -> str:
    """`text` as a YAML scalar: plain where it reads back as itself, else in double quotes. `inline`: within `{…}`."""
    signs = ("#", ": ", ",", "[", "]", "{", "}", ":") if inline else ("#", ": ")
    if text and text == text.strip() and text.isprintable() and not any(sign in text for sign in signs):
        try:
            if yaml.load(text, ContractLoader) == text:
                return text
        except yaml.YAMLError:
            pass  # it means something else to YAML, so it is quoted
    return yaml.dump(text, default_style='"', allow_unicode=True, width=float("inf")).strip()


def _comment(text: str) -> str:
    """`text` on one line, for a comment."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
