"""The pod of a run on Kubernetes: dagster-k8s's launcher, which also says why a run's pod ended, and gives more memory after a kill for want of it.

What belongs here: when a run is given up, and what is done with it before Dagster's own run retries take it up: why its pod ended, and the end of
what it left behind. What does not: finding that (`jobs.leftovers`), pods of steps (`jobs.pods`), and what a pod's status means
(`plinth.pod_status`). Named in `deploy/dagster-kubernetes.yaml`; webserver and daemon load it too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.launcher import LaunchRunContext
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._utils.merger import deep_merge_dicts
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import get_job_name_from_run_id
from kubernetes.client import ApiException

from assets.profiles import POD_TAG
from jobs.cluster_client import UNANSWERED, ending_client
from jobs.leftovers import Leftovers
from plinth.errors import OutOfMemory
from plinth.pod_status import end_of

ENDED_TAG = "plinth/run_pod_ended"
"""Run tag: why the pod of a run ended before the run did."""
NO_RETRY = {"dagster/max_retries": "0"}
"""Run tags that Dagster's run retries heed."""


UNANSWERED_SECONDS = 600
"""A control plane that is upgraded in place is away for minutes, and its runs work on."""


class RunPods(K8sRunLauncher):
    """`K8sRunLauncher` with two settings more.

    Args:
        after_out_of_memory: the configuration (as `run_k8s_config`) of a run that is begun once more after such a kill.
        unanswered_seconds: for which looks at a run's job may get no answer before the run is given up.
    """

    def __init__(
        self,
        after_out_of_memory: Mapping[str, Any] | None = None,
        unanswered_seconds: int = UNANSWERED_SECONDS,
        **settings: Any,
    ) -> None:
        self._after_out_of_memory = after_out_of_memory
        self._unanswered_seconds = unanswered_seconds
        self._unanswered_since: dict[str, float] = {}
        super().__init__(**settings)
        self._api_client = ending_client()
        self._leftovers = Leftovers(self._api_client, self.job_namespace)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """The keys of `K8sRunLauncher`, and ours."""
        return {
            **super().config_type(),  # type: ignore[no-untyped-call]
            "after_out_of_memory": dg.Field(dict, is_required=False),
            "unanswered_seconds": dg.Field(int, default_value=UNANSWERED_SECONDS),
        }

    def launch_run(self, context: LaunchRunContext) -> None:
        """Starts a run's pod; where the run is another one once more, what that left at work is ended first."""
        parent_id = context.dagster_run.parent_run_id
        parent = self._instance.get_run_by_id(parent_id) if parent_id is not None else None
        if parent is not None and parent.is_finished:
            for said in self._leftovers.end(self._instance, parent.run_id, self._namespace_of(parent)):
                self._instance.report_engine_event(said, parent)
        super().launch_run(context)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """How a run's pod is; a look without an answer says nothing of it, until there has been none for `unanswered_seconds`.

        Dagster fails a run whose health is `UNKNOWN`, at the first such look and without asking what it left behind; so that is never told.
        """
        job = self._job_of(run)
        try:
            self._api_client.batch_api.read_namespaced_job_status(job, self._namespace_of(run))
        except ApiException as error:
            if error.status != 404:
                return self._unanswered(run, error)
            return CheckRunHealthResult(WorkerStatus.FAILED, f"The job {job} is gone: somebody has deleted it")
        except UNANSWERED as error:
            return self._unanswered(run, error)
        self._unanswered_since.pop(run.run_id, None)
        self.end_forgotten()
        health: CheckRunHealthResult = super().check_run_worker_health(run)
        if health.status is WorkerStatus.UNKNOWN:
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"asked again at the next look: {health.msg}")
        return health

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """What Dagster's monitoring writes into a run that it gives up, which it asks for just before.

        The run's tags then say why its pod ended, and with what the run is begun once more; and what is still at work for the run is ended.
        """
        self._unanswered_since.pop(run.run_id, None)
        try:
            told = self._told_of_end(run, include_container_logs)
        except UNANSWERED as error:
            told = f"Why its pod ended could not be asked: {error!r}"
        return "\n".join([told, *self._leftovers.end(self._instance, run.run_id, self._namespace_of(run))])

    def end_forgotten(self) -> None:
        """Ends what runs that are over have left at work, at most once a minute; called also while nothing runs (`jobs.run_queue`)."""
        self._leftovers.end_forgotten(self._instance)

    def _told_of_end(self, run: dg.DagsterRun, include_container_logs: bool | None) -> str:
        told = super().get_run_worker_debug_info(run, include_container_logs) or ""
        job, namespace = self._job_of(run), self._namespace_of(run)
        status = self._api_client.get_job_status(job, namespace)
        if status is None or not status.failed:
            return told
        end = end_of(self._api_client.get_pods_in_job(job, namespace), job, status)
        self._instance.add_run_tags(run.run_id, {ENDED_TAG: type(end).__name__, **self._what_next(run, end)})
        return f"{end}\n{told}"

    def _unanswered(self, run: dg.DagsterRun, error: Exception) -> CheckRunHealthResult:
        waited = time.monotonic() - self._unanswered_since.setdefault(run.run_id, time.monotonic())
        said = f"the cluster has given no answer about the job {self._job_of(run)} for {waited:.0f} s: {error!r}"
        given_up = waited >= self._unanswered_seconds
        return CheckRunHealthResult(WorkerStatus.FAILED if given_up else WorkerStatus.RUNNING, said)

    def _what_next(self, run: dg.DagsterRun, end: Exception) -> dict[str, str]:
        if not isinstance(end, OutOfMemory):
            return {}
        if self._after_out_of_memory is None or run.tags.get(ENDED_TAG) == OutOfMemory.__name__:
            return NO_RETRY
        # The run may ask for more than memory in a tag of its own: a node, a toleration.
        own = json.loads(run.tags.get(POD_TAG, "{}"))
        return {POD_TAG: json.dumps(deep_merge_dicts(own, dict(self._after_out_of_memory)))}

    def _job_of(self, run: dg.DagsterRun) -> str:
        resumed = self._get_resume_attempt_number(run)
        name: str = get_job_name_from_run_id(run.run_id, resume_attempt_number=resumed)  # type: ignore[no-untyped-call]
        return name

    def _namespace_of(self, run: dg.DagsterRun) -> str:
        return str(self.get_container_context_for_run(run).namespace)
