"""Goes on with what a failed run left undone although nothing that it reads has failed, in a run of its own.

What belongs here: the tick. What does not: which assets those are (`assets.unharmed`), and the same for a run of the command line (`jobs.launch`).
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.unharmed import unharmed

AFTER_TAG = "plinth/goes_on_after"
"""Run tag: the run after whose failure this one goes on."""


def going_on_sensor(jobs: Sequence[UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """After a failed run of one of these jobs. It is off until someone turns it on, beside the schedule whose runs it takes up."""

    @dg.run_failure_sensor(
        name="goes_on_after_failure",
        monitored_jobs=list(jobs),
        request_jobs=list(jobs),
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="After a failed run: starts a run for what it left undone and what reads nothing that failed.",
    )
    def goes_on(context: dg.RunFailureSensorContext) -> dg.RunRequest | dg.SkipReason:
        run, repository = context.dagster_run, context.repository_def
        assert repository is not None, "Dagster gives every tick its repository"
        left = unharmed(context.instance, run.run_id, repository.asset_graph)
        if not left:
            return dg.SkipReason(f"all that run {run.run_id} left undone stands behind what failed")
        return dg.RunRequest(
            run_key=run.run_id,
            job_name=run.job_name,
            asset_selection=sorted(left),
            tags={AFTER_TAG: run.run_id, "plinth/asked_by": "goes_on_after_failure"},
        )

    return goes_on
