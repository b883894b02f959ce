"""The dbt project in its prepared form: what the definitions need to know of models and tests, without dbt.

dbt takes seconds to start and to parse, so that is done once for each state of the project's files and kept beside dbt's own output. Equal
files, told by a checksum of all of them, are never parsed again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plinth.errors import ConfigurationError
from plinth.transform.code import classification
from plinth.transform.model import model_of

PREPARED = "plinth.json"
_READ = (".sql", ".yml", ".yaml")


@dataclass(frozen=True)
class PreparedColumn:
    """A column as the project's YAML describes it; `type` is a Delta type."""

    name: str
    type: str
    description: str
    classification: str


@dataclass(frozen=True)
class PreparedModel:
    """A model: the table that it makes, the tables that it reads (as `<layer>/<name>`), and the fingerprint of its code."""

    name: str
    table: str
    description: str
    columns: tuple[PreparedColumn, ...]
    key: tuple[str, ...]
    inputs: tuple[str, ...]
    code: str
    strategy: str
    owner: str | None
    tags: tuple[str, ...]
    path: str


@dataclass(frozen=True)
class PreparedTest:
    """A test: the table that it is about, and whether a failure holds the table back."""

    name: str
    table: str
    description: str
    blocking: bool


@dataclass(frozen=True)
class PreparedProject:
    """Models in the order in which they can be made, and their tests."""

    folder: Path
    models: tuple[PreparedModel, ...]
    tests: tuple[PreparedTest, ...]


def prepare(folder: Path) -> PreparedProject:
    """The project in its prepared form, parsed now if its files have changed since it was last.

    Raises:
        ConfigurationError: dbt cannot parse the project; the message is dbt's.
    """
    checksum = _checksum(folder)
    kept = folder / "target" / PREPARED
    if kept.is_file():
        values = json.loads(kept.read_text(encoding="utf-8"))
        if values.get("checksum") == checksum:
            return _from_json(folder, values)
    values = {"checksum": checksum, **_extract(_parse(folder))}
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_name(f"{PREPARED}.{os.getpid()}")
    draft.write_text(json.dumps(values), encoding="utf-8")
    draft.replace(kept)
    return _from_json(folder, values)


def _checksum(folder: Path) -> str:
    digest = hashlib.sha256()
    own = (folder / "target", folder / "logs")
    for path in sorted(folder.rglob("*")):
        if path.suffix in _READ and path.is_file() and not any(path.is_relative_to(skipped) for skipped in own):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _parse(folder: Path) -> Mapping[str, Any]:
    from plinth.transform.run import invoke

    result = invoke(folder, ["parse"])
    if not result.success:
        raise ConfigurationError(
            "dbt cannot parse the project", found=result.exception, where=folder, remedy="mend what dbt names"
        )
    return result.result.to_dict(omit_none=False)  # type: ignore[no-any-return]


def _extract(manifest: Mapping[str, Any]) -> dict[str, Any]:
    nodes = {**manifest["nodes"], **manifest["sources"]}
    relations = {name: node for name, node in nodes.items() if node["resource_type"] in ("model", "source")}
    models = [node for node in relations.values() if node["resource_type"] == "model"]
    read = {node["unique_id"]: model_of(node, relations, manifest["macros"]) for node in models}
    tests = [node for node in nodes.values() if node["resource_type"] == "test"]
    return {
        "models": [asdict(_model(node, read[node["unique_id"]])) for node in _in_order(models, relations)],
        "tests": [asdict(_test(node, read)) for node in tests],
    }


def _in_order(models: Sequence[Mapping[str, Any]], relations: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    from graphlib import TopologicalSorter

    inputs = {node["unique_id"]: [name for name in node["depends_on"]["nodes"] if name in relations] for node in models}
    order = list(TopologicalSorter(inputs).static_order())
    return sorted(models, key=lambda node: order.index(node["unique_id"]))


def _model(node: Mapping[str, Any], model: Any) -> PreparedModel:
    meta = {**node.get("meta", {}), **(node["config"].get("meta") or {})}
    columns = tuple(
        PreparedColumn(column.name, column.type, column.comment, classification(node["columns"][column.name]))
        for column in model.columns
    )
    return PreparedModel(
        name=node["name"],
        table=str(model.table),
        description=" ".join(str(node["description"]).split()),
        columns=columns,
        key=model.key,
        inputs=tuple(dict.fromkeys(str(table) for table in model.inputs)),
        code=model.code,
        strategy=model.strategy,
        owner=meta.get("owner"),
        tags=tuple(node.get("tags", ())),
        path=node["original_file_path"],
    )


def _test(node: Mapping[str, Any], models: Mapping[str, Any]) -> PreparedTest:
    about = node.get("attached_node") or next(name for name in node["depends_on"]["nodes"] if name in models)
    column = f" of {node['column_name']}" if node.get("column_name") else ""
    kind = (node.get("test_metadata") or {}).get("name", node["name"])
    described = " ".join(str(node.get("description") or "").split())
    return PreparedTest(
        name=node["name"],
        table=str(models[about].table),
        description=described or f"The dbt test {kind}{column}.",
        blocking=str(node["config"]["severity"]).lower() == "error",
    )


def _from_json(folder: Path, values: Mapping[str, Any]) -> PreparedProject:
    models = tuple(
        PreparedModel(
            **{
                **entry,
                "columns": tuple(PreparedColumn(**column) for column in entry["columns"]),
                **{name: tuple(entry[name]) for name in ("key", "inputs", "tags")},
            }
        )
        for entry in values["models"]
    )
    return PreparedProject(folder, models, tuple(PreparedTest(**entry) for entry in values["tests"]))
