"""What the serving assets say of themselves: the shape of a table before the first run, and what came of a run.

What belongs here: metadata. What does not: the assets (`assets.serving`) and the figures themselves (`plinth.serving`).
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
from dagster._core.definitions.metadata import RawMetadataValue

from assets.columns import CLASSIFICATION_TAG
from plinth.lakehouse.tables import Lakehouse
from plinth.online import OnlineVersion
from plinth.platform import Platform
from plinth.serving.publish import Published
from plinth.serving.tables import ServingTable
from plinth.serving.write import Served


def table_metadata(table: ServingTable, platform: Platform) -> dict[str, RawMetadataValue]:
    """What is known of a serving table before it was ever made: where it stands, and its columns with key and classification."""
    columns = [
        dg.TableColumn(
            column.name,
            column.type,
            column.comment,
            dg.TableColumnConstraints(
                nullable=column.name not in table.key,
                other=[f"key ({', '.join(table.key)})"] if column.name in table.key else [],
            ),
            {CLASSIFICATION_TAG: column.classification},
        )
        for column in table.columns
    ]
    return {
        "dagster/table_name": str(table.id).replace("/", "."),
        "dagster/storage_kind": "delta",
        "dagster/uri": Lakehouse(platform).uri_of(table.id),
        "dagster/column_schema": dg.TableSchema(columns),
    }


def served_metadata(served: Served) -> dict[str, RawMetadataValue]:
    """What the making of a serving table reports."""
    return {
        "dagster/row_count": served.version.rows,
        "changed": served.changed,
        "computed": served.computed,
        "delta_version": served.version.version,
        "content": served.version.content,
        "inserted": served.counts.inserted,
        "updated": served.counts.updated,
        "deleted": served.counts.deleted,
        "bytes": served.version.size,
        "seconds": served.seconds,
        "made_from": dg.MetadataValue.json(dict(served.version.state.inputs)),
        **({"known_until": until} if (until := served.version.state.watermark) is not None else {}),
    }


def published_metadata(outcome: Published) -> dict[str, RawMetadataValue]:
    """What a publish reports; the counts stand as numbers, so that the asset's page plots them over time."""
    version = outcome.version
    return {
        "version": version.id,
        "changed": outcome.changed,
        "changed_documents": version.changed if outcome.changed else 0,
        "documents": sum(version.documents.values()),
        **{f"documents/{kind}": count for kind, count in sorted(version.documents.items())},
        "published_at": dg.MetadataValue.timestamp(version.published_at),
        "versions_removed": outcome.pruned,
        "seconds": outcome.seconds,
        "made_from": _inputs(version),
    }


def _inputs(version: OnlineVersion) -> dg.TableMetadataValue:
    said: Mapping[str, str] = version.inputs
    return dg.MetadataValue.table(
        [dg.TableRecord({"input": name, "version": value}) for name, value in sorted(said.items())]
    )
