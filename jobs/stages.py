"""The jobs: all of the way, and each of its parts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.models import WHEN_DUE, WHEN_TAG

REFRESH, INGEST, TRANSFORM, TRAIN, PUBLISH = "refresh", "ingest", "transform", "train", "publish"

_TAGS = {"dagster/retry_on_asset_or_op_failure": "false"}
"""A run whose process died is started again; one with a failed asset is not: passing faults were retried by the asset itself."""


_PARTS = {
    INGEST: (("bronze",), "Brings bronze up to the legacy systems and checks it against the contracts."),
    TRANSFORM: (("silver", "gold"), "Builds silver and gold from what bronze holds."),
    TRAIN: (
        ("features", "models"),
        "Makes the snapshots of features that are due, and trains and judges the models on what gold holds.",
    ),
    PUBLISH: (
        ("serving",),
        "Makes the serving tables from the champions, and publishes them to the online store as one version.",
    ),
}
"""Each part's job: the groups of assets that it works on, and what it does."""


def asset_jobs(groups: Collection[str]) -> Sequence[UnresolvedAssetJobDefinition]:
    """Every job, each with the checks of its assets; a part of which the project has no asset has no job.

    Args:
        groups: first parts of the keys of the project's assets.
    """
    refresh = dg.define_asset_job(
        REFRESH,
        dg.AssetSelection.all(),
        description="All of the way: reads what changed in the legacy systems, checks it, builds silver and gold from it, makes features, trains "
        "the models that are due, and publishes what the API serves.",
        run_tags={**_TAGS, WHEN_TAG: WHEN_DUE},
    )
    parts = [
        dg.define_asset_job(name, dg.AssetSelection.key_prefixes(*prefixes), description=description, run_tags=_TAGS)
        for name, (prefixes, description) in _PARTS.items()
        if any(prefix in groups for prefix in prefixes)
    ]
    return [refresh, *parts]
