"""Which columns of which tables a model's columns are made from, read from its SQL by sqlglot.

What belongs here: parsing SQL and following each output column to the tables. The source of a value counts; columns that only decide about
rows (joins, filters, orders) are none. What does not: how lineage is shown (`assets`). dagster-dbt's own column lineage asks the database,
which for us is an in-memory DuckDB that is gone when the build ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from plinth.errors import PlinthError

ColumnSources = dict[str, list[tuple[str, str]]]
"""For each output column the (table, column) pairs that it is made from; tables as `<layer>/<name>`."""


class LineageUnknown(PlinthError):
    """It cannot be told from which columns a query's columns are made."""


def sources_of(sql: str, tables: Mapping[str, Mapping[str, str]]) -> ColumnSources:
    """The sources of each column that a query yields.

    Args:
        sql: a DuckDB query.
        tables: columns with their DuckDB types of every table that may be read, by `<layer>/<name>`; none where they are not known, which
            does as long as the query names its columns. Other relations (the run's own, which say what changed) are no sources.

    Raises:
        LineageUnknown: sqlglot does not understand the query; DuckDB may all the same.
    """
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    schema: dict[str, Any] = {}
    for table, columns in tables.items():
        layer, _, name = table.partition("/")
        if columns:
            schema.setdefault(layer, {})[name] = dict(columns)
    try:
        tree = parse_one(sql, dialect="duckdb")
    except SqlglotError as error:
        raise LineageUnknown("a query cannot be parsed for its lineage", found=error) from error
    for table_node in tree.find_all(exp.Table):
        table_node.set("catalog", None)
    try:
        qualified = qualify(
            tree,
            schema=schema,
            dialect="duckdb",
            validate_qualify_columns=False,
            quote_identifiers=False,
            # An alias can only be told from a column of the same name where the columns are known.
            expand_alias_refs=all(tables.values()),
        )
    except SqlglotError as error:
        raise LineageUnknown("the lineage of a query cannot be told", found=error) from error
    scope = build_scope(qualified)
    assert isinstance(qualified, exp.Query)
    names = [select.alias_or_name for select in qualified.selects]
    memory: dict[tuple[int, str], frozenset[tuple[str, str]]] = {}
    return {name: sorted(_trace(scope, name, set(tables), memory)) for name in names}


def _trace(
    scope: object, column: str, tables: set[str], memory: dict[tuple[int, str], frozenset[tuple[str, str]]]
) -> frozenset[tuple[str, str]]:
    """Follows one output column of a scope down to the tables; each scope and column once."""
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope

    assert isinstance(scope, Scope)
    place = (id(scope), column)
    if place in memory:
        return memory[place]
    memory[place] = frozenset()
    found: set[tuple[str, str]] = set()
    if not isinstance(scope.expression, exp.Query):
        return frozenset()  # VALUES, UNNEST and table functions hold no column of a table
    if isinstance(scope.expression, exp.SetOperation):
        position = [select.alias_or_name for select in scope.expression.selects].index(column)
        for branch in scope.set_operation_scopes:
            found |= _trace(branch, cast(exp.Query, branch.expression).selects[position].alias_or_name, tables, memory)
    else:
        select = next((each for each in scope.expression.selects if each.alias_or_name == column), None)
        for used in select.find_all(exp.Column) if select is not None else ():
            # A column without its table, where the tables' columns are not known, may be any one's.
            named = [used.table] if used.table else list(scope.sources)
            for source in (scope.sources.get(name) for name in named):
                if isinstance(source, exp.Table) and f"{source.db}/{source.name}" in tables:
                    found.add((f"{source.db}/{source.name}", used.name))
                elif isinstance(source, Scope):
                    found |= _trace(source, used.name, tables, memory)
    memory[place] = frozenset(found)
    return memory[place]
