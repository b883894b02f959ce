"""What Dagster is told of a model: its specification before the first run, and what a build of it came to.

What belongs here: specs and metadata. What does not: the steps that build models and their results as events (`assets.transform`).
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from dagster._core.definitions.metadata import RawMetadataValue

from assets.automation import downstream_condition
from assets.columns import CLASSIFICATION_TAG, LEVELS, tag_key
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.transform.model import table_id
from plinth.transform.project import PreparedColumn, PreparedModel, PreparedProject
from plinth.transform.work import ModelOutcome, Status


def model_key(table: str) -> dg.AssetKey:
    """The asset key of a model's table, `<layer>/<name>`."""
    return dg.AssetKey(table.split("/"))


def model_spec(model: PreparedModel, project: PreparedProject, platform: Platform) -> dg.AssetSpec:
    """A model as an asset."""
    table = table_id(model.table)
    uri = Lakehouse(platform).uri_of(table)
    highest = max((column.classification for column in model.columns), key=LEVELS.index, default="internal")
    return dg.AssetSpec(
        model_key(model.table),
        deps=[model_key(each) for each in model.inputs],
        description=model.description,
        group_name=table.layer,
        owners=[model.owner] if model.owner else [],
        kinds={"dbt", "deltalake"},
        tags={
            "plinth/zone": platform.layers[table.layer],
            "plinth/strategy": model.strategy,
            CLASSIFICATION_TAG: highest,
            **{tag_key(tag): "" for tag in model.tags},
        },
        metadata=_metadata(model, project.folder, uri),
        code_version=model.code,
        automation_condition=downstream_condition(),
        skippable=True,
    )


def _metadata(model: PreparedModel, folder: Path, uri: str) -> dict[str, RawMetadataValue]:
    columns = [
        dg.TableColumn(
            column.name,
            column.type or "as the query yields",
            column.description,
            dg.TableColumnConstraints(
                nullable=not column.required, unique=column.unique, other=_said_of(column, model)
            ),
            {CLASSIFICATION_TAG: column.classification},
        )
        for column in model.columns
    ]
    where = dg.LocalFileCodeReference(file_path=str(folder / model.path), line_number=1, label=f"model {model.name}")
    return {
        "dagster/table_name": model.table.replace("/", "."),
        "dagster/storage_kind": "delta",
        "dagster/uri": uri,
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[where]),
    }


def _said_of(column: PreparedColumn, model: PreparedModel) -> list[str]:
    key = [f"key ({', '.join(model.key)})"] if column.name in model.key else []
    return key + ([f"pseudonymised: {column.pseudonymised}"] if column.pseudonymised else [])


def build_metadata(outcome: ModelOutcome, model: PreparedModel) -> dict[str, RawMetadataValue]:
    """What a build of a model came to."""
    lineage = {
        column: [dg.TableColumnDep(asset_key=model_key(table), column_name=name) for table, name in found]
        for column, found in (model.lineage or {}).items()
    }
    return {
        "dagster/row_count": outcome.rows,
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
        "changed": outcome.status is Status.PUBLISHED,
        "mode": outcome.mode.value,
        "reason": outcome.reason,
        "delta_version": outcome.version or 0,
        "content": outcome.content or "",
        "inserted": outcome.inserted,
        "updated": outcome.updated,
        "deleted": outcome.deleted,
        "bytes": outcome.size,
        "seconds": outcome.seconds,
        **_by_what(outcome),
    }


def _by_what(outcome: ModelOutcome) -> dict[str, RawMetadataValue]:
    """Engine and profile of what was computed, and why."""
    if outcome.engine is None:
        return {}
    return {"engine": outcome.engine, "profile": outcome.profile or "", "engine_reason": outcome.engine_reason}
