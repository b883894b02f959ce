"""A dbt model as this package sees it, read from dbt's manifest and checked.

A model's table is `<schema>/<alias>`. `strategy` says how its rows come about: `full` computes all of them, `scope` only those of the
scopes (customers, days, partitions) that a change of its inputs touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from plinth.errors import ConfigurationError
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import TableId
from plinth.platform import Layer
from plinth.transform.code import classification, column_meta, fingerprint

FULL, SCOPE = "full", "scope"
PSEUDONYMISED = "plinth.pseudonymised"
"""Key of a column's metadata: how it was made fit for a lower classification than its sources have."""


@dataclass(frozen=True)
class Model:
    """One model of the dbt project.

    Attributes:
        unique_id: dbt's name of it.
        table: the Delta table that it makes.
        strategy: `full` or `scope`.
        scope: columns that say to which scope a row belongs.
        derived: SQL over the table's columns for columns of `scope` that it does not have.
        key: columns that identify a row; without them a changed table is replaced as a whole.
        partition_by: columns by whose values the table's files are split.
        columns: what the YAML says of the columns: name, Delta type (empty where it does not say), classification and description.
        inputs: tables that the SQL reads.
        code: its fingerprint, see `plinth.transform.code`. Its profile is no part of it: another engine makes the same rows.
        profile: what its `meta` asks for; None means the platform's default.
    """

    unique_id: str
    table: TableId
    strategy: str
    scope: tuple[str, ...]
    key: tuple[str, ...]
    partition_by: tuple[str, ...]
    columns: tuple[DeltaColumn, ...]
    inputs: tuple[TableId, ...]
    code: str
    profile: str | None = None
    derived: Mapping[str, str] = field(default_factory=dict)


def table_id(text: str) -> TableId:
    """A table's name from its text, `silver/items`."""
    layer, _, name = text.partition("/")
    return TableId(cast(Layer, layer), name)


def table_of(node: Mapping[str, Any]) -> TableId:
    """The table of a model or source of the manifest."""
    name = node["identifier"] if node["resource_type"] == "source" else node["alias"]
    return TableId(cast(Layer, node["schema"]), name)


def relations_of(nodes: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The models and sources among the nodes of the manifest."""
    return {name: node for name, node in nodes.items() if node["resource_type"] in ("model", "source")}


def model_of(node: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]], macros: Mapping[str, Any]) -> Model:
    """Reads a model of the manifest.

    Args:
        nodes: models, sources and tests of the manifest by unique id.
        macros: macros of the manifest by unique id.

    Raises:
        ConfigurationError: the model's config does not fit together.
    """
    tests = [other for other in nodes.values() if other.get("attached_node") == node["unique_id"]]
    config = node["config"]
    scope, key = _names(config.get("scope")), _names(config.get("key"))
    partition_by = _names(config.get("partition_by"))
    strategy = config.get("strategy") or FULL
    if strategy not in (FULL, SCOPE):
        raise _wrong(node, "strategy", f"{FULL} or {SCOPE}", strategy)
    if strategy == SCOPE and not (scope and key):
        raise _wrong(node, "strategy scope", "scope=[…] and key=[…] beside it", f"scope={scope}, key={key}")
    strange = set(config.get("scope_of") or {}) - set(scope)
    if strange:
        raise _wrong(node, "scope_of", f"SQL for columns of scope ({', '.join(scope)})", ", ".join(sorted(strange)))
    return Model(
        unique_id=node["unique_id"],
        table=table_of(node),
        strategy=strategy,
        scope=scope,
        key=key,
        partition_by=partition_by,
        columns=tuple(_column(entry) for entry in node["columns"].values()),
        inputs=tuple(dict.fromkeys(table_of(nodes[name]) for name in node["depends_on"]["nodes"] if name in nodes)),
        code=fingerprint(node, tests, macros),
        profile=model_meta(node).get("profile"),
        derived=dict(config.get("scope_of") or {}),
    )


def model_meta(node: Mapping[str, Any]) -> dict[str, Any]:
    """The `meta` of a model of the manifest, wherever it stands."""
    return {**node.get("meta", {}), **(node["config"].get("meta") or {})}


def _column(entry: Mapping[str, Any]) -> DeltaColumn:
    how = column_meta(entry).get("pseudonymised")
    return DeltaColumn(
        entry["name"],
        str(entry.get("data_type") or "").replace(" ", ""),
        classification(entry),
        " ".join(str(entry.get("description") or "").split()),
        {PSEUDONYMISED: str(how)} if how else {},
    )


def _names(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _wrong(node: Mapping[str, Any], key: str, expected: str, found: object) -> ConfigurationError:
    return ConfigurationError(
        f"the model {node['name']} cannot be stored as it says",
        expected=f"{key}: {expected}",
        found=found,
        where=node["original_file_path"],
        remedy="mend its config(…)",
    )


def settle_columns(model: Model, found: Sequence[DeltaColumn]) -> tuple[DeltaColumn, ...]:
    """The columns to store: names and types as the query yields them, the rest as the YAML says.

    Raises:
        ConfigurationError: the YAML and the query differ in columns or types. What is not described has no classification, and so may
            not be stored.
    """
    described = {column.name: column for column in model.columns}
    names = {column.name for column in found}
    lines = [f"{column.name} is not in the YAML" for column in found if column.name not in described]
    lines += [f"{name} is in the YAML only" for name in described if name not in names]
    lines += [
        f"{column.name} is {column.type}, the YAML says {described[column.name].type}"
        for column in found
        if column.name in described and described[column.name].type not in ("", column.type)
    ]
    if lines:
        raise ConfigurationError(
            f"the columns of {model.table} are not those that its YAML describes",
            expected="every column with its description, data_type and classification",
            found="; ".join(lines),
            where=f"dbt_project/models/{model.table.layer}",
            remedy="describe the columns that the model yields, in its YAML",
        )
    return tuple(replace(described[column.name], type=column.type) for column in found)
