"""What runs together, on which executor, and when.

What belongs here: jobs, schedules, the executor, and running a job from the command line (`cli`, `launch`, `follow`, `due`). What does not:
what an asset does (`assets`), and what reacts to events (`sensors`). See https://docs.dagster.io/guides/build/jobs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.execution import platform_executor
    from jobs.nightly import schedules
    from jobs.stages import asset_jobs

__all__ = ["asset_jobs", "platform_executor", "schedules"]


def __getattr__(name: str) -> object:
    # The command line stands in this room too, and `plinth --help` should not wait for Dagster.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from jobs.execution import platform_executor
    from jobs.nightly import schedules
    from jobs.stages import asset_jobs

    return {"asset_jobs": asset_jobs, "platform_executor": platform_executor, "schedules": schedules}[name]
