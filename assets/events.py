"""`bronze/online_events`: what the API took from its callers, back in the lakehouse.

What belongs here: what Dagster is told of it, and what a copy reports. What does not: the copy (`plinth.online.archive`).
"""

# No `from __future__ import annotations` here: Dagster does not resolve the texts that it makes of a step's parameters.
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.columns import CLASSIFICATION_TAG
from assets.faults import dagster_faults
from assets.profiles import profile_tags
from plinth.lakehouse.tables import Lakehouse
from plinth.online.archive import COLUMNS, DESCRIPTION, PARTITION, TABLE, archive
from plinth.platform import Platform
from plinth.serving.catalogue import OWNER
from resources import LakehouseResource, OnlineStoreResource

KEPT_DAYS = 35
"""Longer than the API may ask for (`api.session_hours` is at most 31 days), and than any sender goes on to send an event again."""


class CopyConfig(dg.Config):
    """How a copy is to be done; the default is what schedules do."""

    forget_after_days: int = KEPT_DAYS
    """Take events out of the online store that are here and older than this; 0 keeps them. Their ids would be taken as new again."""


EVENTS = dg.AssetKey([TABLE.layer, TABLE.name])


def event_assets(platform: Platform) -> Sequence[dg.AssetsDefinition]:
    """The table of events; each run appends what is new. No sensor is needed for its safety: what one run misses, the next brings."""

    @dg.asset(
        key=EVENTS,
        description=f"{DESCRIPTION}\n\nEach run appends what the online store's log has beyond the last number that the table holds, "
        f"and takes out of the store what is older than {KEPT_DAYS} days and here.",
        group_name=TABLE.layer,
        owners=[OWNER],
        kinds={"deltalake", "duckdb"},
        tags={"plinth/zone": platform.layers["bronze"], CLASSIFICATION_TAG: "confidential"},
        metadata={
            "dagster/table_name": str(TABLE).replace("/", "."),
            "dagster/storage_kind": "delta",
            "dagster/uri": Lakehouse(platform).uri_of(TABLE),
            "dagster/column_schema": dg.TableSchema(
                [
                    dg.TableColumn(
                        column.name, column.type, column.comment, tags={CLASSIFICATION_TAG: column.classification}
                    )
                    for column in COLUMNS
                ]
            ),
            "partitioned_by": PARTITION,
        },
        pool=str(TABLE),
        op_tags=profile_tags(platform),
    )
    def copied(
        context: dg.AssetExecutionContext, config: CopyConfig, lakehouse: LakehouseResource, online: OnlineStoreResource
    ) -> dg.MaterializeResult[None]:
        forgotten = 0
        with dagster_faults(context), online.store() as store:
            outcome = archive(lakehouse.tables(), store, run=context.run.run_id, tell=context.log.info)
            if config.forget_after_days > 0:
                old = datetime.now(UTC) - timedelta(days=config.forget_after_days)
                forgotten = store.forget_events(up_to=outcome.watermark, before=old)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": outcome.version.rows,
                "changed": outcome.added > 0,
                "inserted": outcome.added,
                "watermark": outcome.watermark,
                "commits": outcome.commits,
                "forgotten_by_the_store": forgotten,
                "delta_version": outcome.version.version,
                "content": outcome.version.content,
                "bytes": outcome.version.size,
                "seconds": outcome.seconds,
            },
            data_version=dg.DataVersion(outcome.version.content),
        )

    return [copied]
