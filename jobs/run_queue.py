"""The queue of runs on a cluster: Dagster's own, by whose rounds the daemon also looks for what runs that are over have left at work.

What belongs here: when that is looked for while nothing runs. What does not: the looking (`jobs.leftovers`), and the looks at runs that do
(`jobs.run_pods`). Named in `deploy/dagster-kubernetes.yaml`.

Dagster's monitoring asks the launcher about runs in progress, and where there are none it asks nothing. The rounds of the queue go on every few
seconds all the same, in the daemon, which may ask the cluster; a sensor would tick in a code location, which has no token and should get none.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator


@runtime_checkable
class EndsForgotten(Protocol):
    """A launcher that can end what nobody gave up in an orderly way; it bounds by itself how often it looks."""

    def end_forgotten(self) -> None:
        """Looks for it, and ends it."""


class RunQueue(QueuedRunCoordinator[dg.DagsterInstance]):
    """Dagster's queue, with one duty more; on a launcher that makes no pods it is nothing but that."""

    @property
    def dequeue_use_threads(self) -> bool:
        """What the daemon reads once in each round, also in one that finds no run, and nobody else ever (dagster 1.13).

        `get_run_queue_config` would look like the place, but runs ask for it too, at each claim of a pool.
        """
        launcher = self._instance.run_launcher
        if isinstance(launcher, EndsForgotten):
            launcher.end_forgotten()
        return super().dequeue_use_threads
