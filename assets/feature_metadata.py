"""What feature assets tell Dagster: description, columns with their classification, lineage and figures.

What belongs here: putting what `plinth.features` found into Dagster's forms. What does not: the assets (`assets.features`).
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.metadata import RawMetadataValue

from assets.columns import CLASSIFICATION_TAG, LEVELS
from plinth.features.declare import FILE, FeatureView
from plinth.features.query import columns_of
from plinth.features.store import Materialised, SnapshotOutcome
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform


def description_of(view: FeatureView) -> str:
    """What a view is about, of what it has a row, and where it is declared."""
    keys = ", ".join(f"`{key}`" for key in view.keys)
    return (
        f"{view.description}\n\nOne row for each {keys} and Monday, computed from what happened and was known before the Monday. "
        f"Declared in `{FILE}`. A run without partitions makes the newest {_weeks(view.refresh_weeks)} and what changed inputs reach."
    )


def _weeks(number: int) -> str:
    return "week" if number == 1 else f"{number} weeks"


def classification_tags(columns: Sequence[DeltaColumn]) -> dict[str, str]:
    """The tag by which assets of other layers say how sensitive they are at most."""
    found = max((column.classification for column in columns), key=LEVELS.index, default=None)
    return {} if found is None else {CLASSIFICATION_TAG: found}


def declared_metadata(
    view: FeatureView, platform: Platform, columns: Sequence[DeltaColumn]
) -> dict[str, RawMetadataValue]:
    """What is known of a view's table before it was ever made; `columns` are those whose classification is."""
    file = platform.path(FILE)
    where = dg.LocalFileCodeReference(file_path=str(file), line_number=view.line, label=f"view {view.name}")
    return {
        "dagster/table_name": str(view.table).replace("/", "."),
        "dagster/storage_kind": "delta",
        "dagster/uri": Lakehouse(platform).uri_of(view.table),
        "dagster/column_schema": _column_schema(view, columns),
        "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[where]),
    }


def made_metadata(made: Materialised) -> dict[str, RawMetadataValue]:
    """What came of a run, with the columns as it stored them."""
    lineage = {
        column: [dg.TableColumnDep(asset_key=dg.AssetKey(table.split("/")), column_name=name) for table, name in found]
        for column, found in made.lineage.items()
    }
    version = made.version
    return {
        "dagster/row_count": version.rows,
        "dagster/column_schema": _column_schema(made.view, version.columns),
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
        "changed": made.changed,
        "reason": made.reason,
        "engine": made.engine,
        "snapshots": len(made.there),
        "snapshots_computed": len(made.snapshots),
        "snapshots_changed": sum(snapshot.changed for snapshot in made.snapshots),
        "first_snapshot": str(made.there[0]) if made.there else "",
        "last_snapshot": str(made.there[-1]) if made.there else "",
        "delta_version": version.version,
        "content": version.content,
        "bytes": version.size,
        "seconds": made.seconds,
        "peak_memory_mb": round(made.peak_memory / 2**20, 1),
    }


def snapshot_metadata(snapshot: SnapshotOutcome | None) -> dict[str, RawMetadataValue]:
    """Of one snapshot as the partition that it is; nothing of one that an earlier run made."""
    return {} if snapshot is None else {"dagster/partition_row_count": snapshot.rows, "changed": snapshot.changed}


def _column_schema(view: FeatureView, given: Sequence[DeltaColumn]) -> dg.TableSchema:
    """The columns as declared, with the classifications of those that are given: by their descent from what is declared, or as a run stored them."""
    levels = {column.name: column.classification for column in given}
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                column.type,
                column.comment,
                dg.TableColumnConstraints(nullable=column.name not in view.keys, other=_said_of(column.name, view)),
                {CLASSIFICATION_TAG: levels[column.name]} if column.name in levels else None,
            )
            for column in columns_of(view)
        ],
        dg.TableConstraints([f"one row for each ({', '.join(view.keys)}, as_of)"]),
    )


def _said_of(column: str, view: FeatureView) -> list[str]:
    if column in view.keys:
        return [f"key ({', '.join(view.keys)})"]
    feature = view.features.get(column)
    if feature is None:
        return []
    window = f" of at most {feature.window.days} days" if feature.window is not None else ""
    return [f"{feature.expression} over {feature.rows}{window}"]
