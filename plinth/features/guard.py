"""What a view's SQL may read, which columns its features come from, and how sensitive they therefore are.

What belongs here: looking at the SQL of a declaration with sqlglot. What does not: running it. The time rule is put around the sources by
`query`; a view that read a table by itself, or asked for the time of day, would step around it, and that is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from plinth.catalogue import strictest
from plinth.contracts.naming import near
from plinth.engine import quote
from plinth.features.declare import AS_OF, FILE, KNOWN_AT, SNAPSHOT, FeatureView, FeatureViewError
from plinth.features.query import source_rows, sql_of
from plinth.features.rows import Inputs
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import TableId
from plinth.lineage import LineageUnknown, sources_of
from plinth.platform import Platform

if TYPE_CHECKING:
    from sqlglot import exp

Lineage = dict[str, list[tuple[str, str]]]
"""For each column the (table, column) pairs that it is made from."""
Columns = Mapping[TableId, Sequence[DeltaColumn]]
"""The columns of each table that a view reads, with their classification."""

_SOME_INSTANT = datetime(2020, 1, 6)
_LEVELS = ("public", "internal", "confidential", "restricted")
# Functions whose answer is not the rows' alone: the clock, chance, the session, files and other tables.
_WORDS = (
    "now today current_date current_time current_timestamp get_current_timestamp transaction_timestamp localtime localtimestamp age rand random "
    "uuid gen_random_uuid uuidv4 uuidv7 nextval currval setseed getvariable getenv query query_table read_text read_blob glob"
)
_FORBIDDEN = frozenset(_WORDS.split())
# Aggregates that take one of several rows, or put them one after the other: threads give them another order than one entity's rows have.
_PICKS = "first last any_value arbitrary arg_max arg_min arg_max_null arg_min_null mode approx_quantile approx_top_k reservoir_quantile"
_PICKING = frozenset(_PICKS.split())
_LISTING = frozenset(("group_concat", "array_agg"))


def check_sql(view: FeatureView) -> None:
    """Refuses SQL that could see more than the rows that count at the instant.

    Raises:
        FeatureViewError: a piece of the declaration is no SQL, reads something that is no source or query before it, or calls a function
            whose answer does not follow from the rows.
    """
    for name, source in view.sources.items():
        for part, sql in (
            ("where", source.where),
            ("event_time", source.event_time),
            ("known_time", source.known),
            *source.columns.items(),
        ):
            _check(view, f"sources.{name}.{part}", f"SELECT {sql}", ())
        for part, sql in (("event_time", source.event_time), ("known_time", source.known)):
            _check_time(view, f"sources.{name}.{part}", sql)
    known = list(view.sources)
    for name, sql in view.queries.items():
        _check(view, f"queries.{name}", sql, known)
        known.append(name)
    for name, feature in view.features.items():
        _check(view, f"features.{name}.expression", f"SELECT {feature.expression}", ())


def columns_read(inputs: Inputs, platform: Platform) -> Columns:
    """The columns of a view's tables as they are stored; those of bronze at least as sensitive as the contract says now."""
    return {table: strictest(platform, table, version.columns) for table, version in inputs.versions.items()}


def lineage_of(view: FeatureView, read: Columns) -> Lineage:
    """Where each column comes from; empty where sqlglot cannot tell."""
    rows = {}
    for name, source in view.sources.items():
        table = source.table_id
        rows[name] = f"({source_rows(source, f'{quote(table.layer)}.{quote(table.name)}')})"
    tables = {str(table): {column.name: column.duckdb_type for column in columns} for table, columns in read.items()}
    try:
        found = sources_of(sql_of(view, rows, _SOME_INSTANT), tables)
    except LineageUnknown:
        return {}
    return {name: found[name] for name in (*view.keys, *view.features) if name in found}


def classified(columns: Sequence[DeltaColumn], lineage: Lineage, read: Columns) -> tuple[DeltaColumn, ...]:
    """The columns with the highest classification of what they are made from; of all that the tables hold where that is not known."""
    levels = {(str(table), each.name): each.classification for table, found in read.items() for each in found}
    own = {SNAPSHOT, AS_OF, KNOWN_AT}
    return tuple(
        column
        if column.name in own
        else replace(column, classification=_highest(_levels_of(column.name, lineage, levels)))
        for column in columns
    )


def _levels_of(name: str, lineage: Lineage, levels: Mapping[tuple[str, str], str]) -> Iterator[str]:
    if name in lineage:
        return (levels[pair] for pair in lineage[name] if pair in levels)
    return iter(levels.values())


def _highest(levels: Iterator[str]) -> str:
    return max(("internal", *levels), key=_LEVELS.index)


def _check(view: FeatureView, where: str, sql: str, known: Sequence[str]) -> None:
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError

    place = f"{FILE}, views.{view.name}.{where}"
    try:
        trees = parse(sql, dialect="duckdb")
    except SqlglotError as error:
        raise FeatureViewError("a feature view's SQL cannot be parsed", found=error, where=place) from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise FeatureViewError("a feature view's SQL is no single query", found=sql, where=place)
    own = {cte.alias for cte in trees[0].find_all(exp.CTE)}
    for table in trees[0].find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier) or table.db or table.name not in {*known, *own}:
            allowed = [*known] or ["no table: it is an expression over the rows"]
            raise FeatureViewError(
                "a feature view reads what is none of its sources, so the time rule would not hold for it",
                expected=", ".join(allowed) + near(table.name, known),
                found=table.sql(dialect="duckdb"),
                where=place,
                remedy="declare it under sources, with its times",
            )
    for function in trees[0].find_all(exp.Func):
        if (called := _name(function)) in _FORBIDDEN:
            raise FeatureViewError(
                f"a feature view calls {called}(), whose answer does not follow from the rows",
                expected="$as_of for the instant; the column age for the days since a row",
                found=function.sql(dialect="duckdb"),
                where=place,
            )
        if called in _PICKING or (called in _LISTING and function.find(exp.Order) is None):
            raise FeatureViewError(
                f"a feature view calls {called}(), whose answer depends on the order of the rows",
                expected="an aggregate of all rows, or a list with ORDER BY",
                found=function.sql(dialect="duckdb"),
                where=place,
                remedy="for the value of the newest row take max(struct_pack(t := event_time, v := value)).v",
            )
    _check_choice(trees[0], place)


def _check_choice(tree: exp.Query, place: str) -> None:
    """Refuses taking some rows by chance or by the order that they happen to have."""
    from sqlglot import exp

    unordered = [
        limit for limit in tree.find_all(exp.Limit) if limit.parent is None or not limit.parent.args.get("order")
    ]
    for choice in (*unordered, *tree.find_all(exp.TableSample)):
        raise FeatureViewError(
            "a feature view takes some of its rows by no rule",
            expected="all rows, or LIMIT after an ORDER BY by columns that tell them apart",
            found=choice.sql(dialect="duckdb"),
            where=place,
        )


def _check_time(view: FeatureView, where: str, sql: str) -> None:
    """Refuses a time that is the same for every row: the rule would let all of them count, or none."""
    from sqlglot import exp, parse_one

    if parse_one(f"SELECT {sql}", dialect="duckdb").find(exp.Column) is None:
        raise FeatureViewError(
            "a time of a feature view's source does not come from its rows",
            expected="a column of the table, or an expression over one",
            found=sql,
            where=f"{FILE}, views.{view.name}.{where}",
        )


def _name(function: exp.Func) -> str:
    from sqlglot import exp

    return (function.name if isinstance(function, exp.Anonymous) else function.sql_name()).lower()
