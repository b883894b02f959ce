"""What runs together, on which executor, and when.

What belongs here: jobs, schedules, the executor, and running a job from the command line (`jobs.console`). What does not: what an asset
does (`assets`), and what reacts to events (`sensors`). See https://docs.dagster.io/guides/build/jobs.
"""

from jobs.asset_jobs import asset_jobs
from jobs.execution import platform_executor
from jobs.schedules import schedules

__all__ = ["asset_jobs", "platform_executor", "schedules"]
