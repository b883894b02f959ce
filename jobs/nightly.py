"""When jobs run by the clock."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from jobs.stages import REFRESH


def schedules() -> Sequence[dg.ScheduleDefinition]:
    """The nightly refresh. It is off until someone turns it on."""
    return [
        dg.ScheduleDefinition(
            name="nightly",
            job_name=REFRESH,
            cron_schedule="30 2 * * *",
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="Every night at 02:30 UTC, whether the sensors have seen a change or not: a cheap look can miss an update of a table "
            "that has no cursor, a load does not.",
        )
    ]
