"""Which columns of which tables a model's columns are made from, read from its SQL by sqlglot.

What belongs here: parsing SQL as it ran and following each output column to the tables. What does not: how lineage is shown (`assets`).
dagster-dbt's own column lineage asks the database, which for us is an in-memory DuckDB that is gone when the build ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from plinth.lakehouse.schema import duckdb_type
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.platform import Layer

if TYPE_CHECKING:
    from plinth.transform.project import PreparedModel, PreparedProject

ColumnSources = dict[str, list[tuple[str, str]]]
"""For each output column the (table, column) pairs that it is made from; tables as `<layer>/<name>`."""


def column_lineage(
    project: PreparedProject, compiled: Mapping[str, str], lakehouse: Lakehouse
) -> dict[str, ColumnSources]:
    """The sources of every column of the models that ran; kept by the code's fingerprint, since equal SQL has equal lineage.

    Args:
        compiled: each model's SQL as it ran, by table.
    """
    return {
        model.table: _of_model(model, compiled[model.table], lakehouse)
        for model in project.models
        if model.table in compiled
    }


_kept: dict[str, ColumnSources] = {}


def _of_model(model: PreparedModel, sql: str, lakehouse: Lakehouse) -> ColumnSources:
    if model.code not in _kept:
        _kept[model.code] = sources_of(sql, {table: _columns(table, lakehouse) for table in model.inputs})
    return _kept[model.code]


def _columns(table: str, lakehouse: Lakehouse) -> dict[str, str]:
    layer, _, name = table.partition("/")
    found = lakehouse.find(TableId(cast(Layer, layer), name))
    return {column.name: duckdb_type(column.type) for column in found.columns} if found is not None else {}


def sources_of(sql: str, tables: Mapping[str, Mapping[str, str]]) -> ColumnSources:
    """The sources of each column that a query yields.

    Args:
        sql: a DuckDB query.
        tables: columns with their DuckDB types of every table that may be read, by `<layer>/<name>`. Other relations (the run's own, which
            say what changed) are no sources.
    """
    from sqlglot import exp, parse_one
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    schema: dict[str, dict[str, dict[str, str]]] = {}
    for table, columns in tables.items():
        layer, _, name = table.partition("/")
        schema.setdefault(layer, {})[name] = dict(columns)
    tree = parse_one(sql, dialect="duckdb")
    for table_node in tree.find_all(exp.Table):
        table_node.set("catalog", None)
    qualified = qualify(tree, schema=schema, dialect="duckdb", validate_qualify_columns=False, quote_identifiers=False)
    scope = build_scope(qualified)
    if scope is None:
        return {}
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
    if isinstance(scope.expression, exp.SetOperation):
        position = [select.alias_or_name for select in scope.expression.selects].index(column)
        for branch in scope.set_operation_scopes:
            found |= _trace(branch, branch.expression.selects[position].alias_or_name, tables, memory)
    else:
        select = next((each for each in scope.expression.selects if each.alias_or_name == column), None)
        for used in select.find_all(exp.Column) if select is not None else ():
            source = scope.sources.get(used.table)
            if isinstance(source, exp.Table):
                name = f"{source.db}/{source.name}"
                if name in tables:
                    found.add((name, used.name))
            elif isinstance(source, Scope):
                found |= _trace(source, used.name, tables, memory)
    memory[place] = frozenset(found)
    return memory[place]
