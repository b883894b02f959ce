"""Parsing and compiling the dbt project, in a process of its own: `python -m plinth.transform.parse PROJECT DRAFT`.

In its own process because whoever loads definitions should not have to carry dbt. Compiled offline every model reads all rows, which is
the SQL whose lineage holds for every run. What belongs here: from dbt's manifest to the prepared form. What does not: its shape and where
it is kept (`plinth.transform.project`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from plinth.errors import ConfigurationError, PlinthError
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import TableId
from plinth.lineage import LineageUnknown, sources_of
from plinth.transform.invoke import PARSED, invoke
from plinth.transform.model import PSEUDONYMISED, Model, model_meta, model_of, relations_of, table_of
from plinth.transform.project import PREPARED, PreparedColumn, PreparedModel, PreparedTest


def main() -> int:
    """Parses a project into a draft folder; says on standard error why it cannot."""
    project, draft = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        parse(project, draft)
    except PlinthError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def parse(project: Path, draft: Path) -> None:
    """Writes dbt's parsed manifest and our prepared form of it.

    Raises:
        ConfigurationError: dbt cannot parse or compile the project, or a model breaks a rule of ours.
    """
    draft.mkdir(parents=True, exist_ok=True)
    parsed = invoke(project, ["parse"], target=draft)
    if not parsed.success:
        raise ConfigurationError("dbt cannot parse the project", found=parsed.exception, where=project)
    (draft / PARSED).write_bytes((draft / "partial_parse.msgpack").read_bytes())
    manifest = parsed.result.to_dict(omit_none=False)
    compiled = invoke(
        project, ["compile", "--no-introspect", "--no-populate-cache"], target=draft, manifest=parsed.result
    )
    if not compiled.success:
        messages = [
            entry.message for entry in getattr(compiled.result, "results", None) or () if entry.status == "error"
        ]
        raise ConfigurationError(
            "dbt cannot compile the project", found=compiled.exception or "; ".join(messages), where=project
        )
    sql = {entry.node.unique_id: entry.node.compiled_code for entry in compiled.result.results}
    (draft / PREPARED).write_text(json.dumps(_extract(manifest, sql)), encoding="utf-8")


def _extract(manifest: Mapping[str, Any], sql: Mapping[str, str]) -> dict[str, Any]:
    nodes = {**manifest["nodes"], **manifest["sources"]}
    relations = relations_of(nodes)
    models = {name: node for name, node in relations.items() if node["resource_type"] == "model"}
    read = {name: model_of(node, nodes, manifest["macros"]) for name, node in models.items()}
    order = TopologicalSorter({name: node["depends_on"]["nodes"] for name, node in models.items()}).static_order()
    columns = {model.table: model.columns for model in read.values()}
    return {
        "models": [
            asdict(_model(models[name], read[name], sql[name], columns, _tests_of(name, nodes)))
            for name in order
            if name in models
        ],
        "tests": [asdict(_test(node, read, relations)) for node in nodes.values() if node["resource_type"] == "test"],
    }


def _tests_of(model: str, nodes: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The blocking tests attached to a model."""
    return [
        node
        for node in nodes.values()
        if node.get("attached_node") == model and str(node["config"]["severity"]).lower() == "error"
    ]


def _model(
    node: Mapping[str, Any],
    model: Model,
    sql: str,
    columns: Mapping[TableId, Sequence[DeltaColumn]],
    tests: Sequence[Mapping[str, Any]],
) -> PreparedModel:
    meta = model_meta(node)
    # Sources have their columns in contracts, which the project does not know; sqlglot needs them for `select *` only.
    known = {
        str(table): {column.name: column.duckdb_type for column in columns.get(table, ()) if column.type}
        for table in model.inputs
    }
    return PreparedModel(
        name=node["name"],
        table=str(model.table),
        description=" ".join(str(node["description"]).split()),
        columns=tuple(
            PreparedColumn(
                name=column.name,
                type=column.type,
                description=column.comment,
                classification=column.classification,
                pseudonymised=column.metadata.get(PSEUDONYMISED),
                required=_holds(column.name, tests, {"not_null", "filled"}),
                unique=_holds(column.name, tests, {"unique", "number_unique"}),
            )
            for column in model.columns
        ),
        key=model.key,
        inputs=tuple(str(table) for table in model.inputs),
        code=model.code,
        strategy=model.strategy,
        owner=meta.get("owner"),
        profile=meta.get("profile"),
        tags=tuple(node.get("tags", ())),
        path=node["original_file_path"],
        lineage=_lineage(model, sql, known),
    )


def _holds(column: str, tests: Sequence[Mapping[str, Any]], kinds: set[str]) -> bool:
    """Whether a test of one of these kinds is about a column, by itself or among others."""
    for test in tests:
        asked = test.get("test_metadata") or {}
        about = [test.get("column_name"), *(asked.get("kwargs") or {}).get("columns", ())]
        if asked.get("name") in kinds and column in about:
            return True
    return False


def _lineage(
    model: Model, sql: str, known: Mapping[str, Mapping[str, str]]
) -> dict[str, tuple[tuple[str, str], ...]] | None:
    try:
        found = sources_of(sql, known)
    except LineageUnknown as error:
        print(f"{model.table}: {error}", file=sys.stderr)
        return None
    return {name: tuple(columns) for name, columns in found.items()}


def _test(node: Mapping[str, Any], models: Mapping[str, Model], relations: Mapping[str, Any]) -> PreparedTest:
    about = next((name for name in (node.get("attached_node"), *node["depends_on"]["nodes"]) if name in models), None)
    if about is None:
        raise ConfigurationError(
            f"the dbt test {node['name']} is about no model",
            expected="a test of a model",
            where=node["original_file_path"],
            remedy="take it out; what rows of a legacy table must hold is a rule of its contract, which becomes a check of the bronze table",
        )
    column = f" of {node['column_name']}" if node.get("column_name") else ""
    kind = (node.get("test_metadata") or {}).get("name", node["name"])
    described = " ".join(str(node.get("description") or "").split())
    return PreparedTest(
        name=node["name"],
        table=str(models[about].table),
        description=described or f"The dbt test {kind}{column}.",
        blocking=str(node["config"]["severity"]).lower() == "error",
        reads=tuple(str(table_of(relations[name])) for name in node["depends_on"]["nodes"] if name in relations),
    )


if __name__ == "__main__":
    sys.exit(main())
