"""The jobs: all of the way, its first part, its second part."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

REFRESH, INGEST, TRANSFORM = "refresh", "ingest", "transform"

_TAGS = {"dagster/retry_on_asset_or_op_failure": "false"}
"""A run whose process died is started again; one with a failed asset is not: passing faults were retried by the asset itself."""


def asset_jobs() -> Sequence[UnresolvedAssetJobDefinition]:
    """Every job, each with the checks of its assets."""
    bronze = dg.AssetSelection.key_prefixes("bronze")
    return [
        dg.define_asset_job(
            REFRESH,
            dg.AssetSelection.all(),
            description="All of the way: reads what changed in the legacy systems, checks it, and builds silver and gold from it.",
            run_tags=_TAGS,
        ),
        dg.define_asset_job(
            INGEST,
            bronze,
            description="Brings bronze up to the legacy systems and checks it against the contracts.",
            run_tags=_TAGS,
        ),
        dg.define_asset_job(
            TRANSFORM,
            dg.AssetSelection.all() - bronze,
            description="Builds silver and gold from what bronze holds.",
            run_tags=_TAGS,
        ),
    ]
