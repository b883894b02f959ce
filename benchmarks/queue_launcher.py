"""A run launcher that takes launches down instead of starting anything, for `benchmarks.queue`; it writes what the runs would.

A launch takes as long as a busy API server takes to answer, and writes what the launcher of Kubernetes writes; a run then starts and ends by
itself, without a process. The runs' own events are written by the daemon's process here, which burdens it a little more than a cluster would.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._serdes import ConfigurableClass, ConfigurableClassData

START, SUCCESS = DagsterEventType.RUN_START, DagsterEventType.RUN_SUCCESS


class RecordedLaunches(RunLauncher, ConfigurableClass):
    """Launches as events.

    Args:
        launch_seconds: of a launch, in the thread that the daemon launches in.
        look_seconds: of a look at a run, in that of its monitoring.
        run_seconds: between a run's start and its end.
    """

    def __init__(
        self,
        launch_seconds: float,
        look_seconds: float,
        run_seconds: float,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        self._launch_seconds, self._look_seconds, self._run_seconds = launch_seconds, look_seconds, run_seconds
        self._inst_data = inst_data
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """As Dagster keeps it."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Its settings in dagster.yaml."""
        return {"launch_seconds": float, "look_seconds": float, "run_seconds": float}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> RecordedLaunches:
        """Made of its settings."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Writes a launch, and has the run start and end later."""
        run = context.dagster_run
        self._instance.add_run_tags(run.run_id, {"docker/image": "none"})
        self._instance.report_engine_event("Creating a run worker", run)
        time.sleep(self._launch_seconds)
        self._instance.report_engine_event("The run worker is created", run)
        self._later(0.5, START, run)
        self._later(0.5 + self._run_seconds, SUCCESS, run)

    def _later(self, seconds: float, what: DagsterEventType, run: dg.DagsterRun) -> None:
        event = DagsterEvent(event_type_value=what.value, job_name=run.job_name)
        timer = threading.Timer(seconds, self._instance.report_dagster_event, (event, run.run_id))
        timer.daemon = True
        timer.start()

    def terminate(self, run_id: str) -> bool:
        """Nothing to end: False."""
        return False

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Looks at runs cost the monitoring time, as on a cluster."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Every run is well."""
        time.sleep(self._look_seconds)
        return CheckRunHealthResult(WorkerStatus.RUNNING)
