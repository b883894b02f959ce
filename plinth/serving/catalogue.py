"""The catalogue as documents: of each table its schema, owner and freshness, for the API.

What belongs here: what is said of a table. What does not: its values, of which nothing comes in here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from plinth.catalogue import load_contracts
from plinth.features.declare import load_views
from plinth.lakehouse.tables import Lakehouse, TableVersion
from plinth.online import Document
from plinth.platform import Platform
from plinth.serving.tables import TABLES
from plinth.transform.project import prepare

KIND = "table"
OWNER = "team:data-science"
"""Of the serving tables."""


@dataclass(frozen=True)
class Said:
    """What is declared of a table."""

    description: str = ""
    owner: str | None = None
    columns: Mapping[str, str] | None = None


def catalogue_documents(lakehouse: Lakehouse) -> Iterator[Document]:
    """One document for each table that exists, by its name."""
    platform = lakehouse.platform
    declared = _declared(platform)
    for layer in sorted(platform.layers):
        for table in lakehouse.tables(layer):
            version = lakehouse.find(table)
            if version is not None:
                said = _describe(lakehouse, version, declared.get(str(table), Said()))
                yield Document(KIND, str(table), compact(said))


def compact(values: Mapping[str, Any]) -> bytes:
    """JSON without spaces, keys in alphabetical order: equal values give equal bytes."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def _describe(lakehouse: Lakehouse, version: TableVersion, said: Said) -> dict[str, Any]:
    zone = lakehouse.platform.zones[version.zone]
    comments = said.columns or {}
    return {
        "table": str(version.id),
        "layer": version.id.layer,
        "name": version.id.name,
        "description": said.description,
        "owner": said.owner,
        "zone": version.zone,
        "cleared_for": list(zone.clearance),
        "rows": version.rows,
        "version": version.version,
        "updated_at": _written_at(version),
        "columns": [
            {
                "name": column.name,
                "type": column.type,
                "description": column.comment or comments.get(column.name, ""),
                "classification": column.classification,
            }
            for column in version.columns
        ],
    }


def _written_at(version: TableVersion) -> str | None:
    for commit in version.delta.history(1):
        at = datetime.fromtimestamp(int(commit["timestamp"]) / 1000, UTC)
        return at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return None


def _declared(platform: Platform) -> dict[str, Said]:
    found: dict[str, Said] = {}
    for contract in load_contracts(platform):
        for table in contract.tables:
            columns = {column.name: column.description or "" for column in table.columns}
            found[f"bronze/{table.name}"] = Said(table.description or "", table.owner, columns)
    if platform.path("dbt_project").is_dir():
        for model in prepare(platform.path("dbt_project")).models:
            columns = {column.name: column.description for column in model.columns}
            found[model.table] = Said(model.description, model.owner, columns)
    for view in load_views(platform).views.values():
        columns = {name: feature.description for name, feature in view.features.items()}
        found[str(view.table)] = Said(view.description, view.owner, columns)
    for served in TABLES:
        found[str(served.id)] = Said(served.description, OWNER)
    return found
