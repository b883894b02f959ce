"""The pod of a run on Kubernetes: dagster-k8s's launcher, which also says why a run's pod ended, and gives more memory after a kill for want of it.

What belongs here: what is done with a run that is given up, before Dagster's own run retries take it up: why its pod ended, and the end of what
it left behind. What does not: pods of steps (`jobs.pods`), and what a pod's status means (`plinth.pod_status`). Named in
`deploy/dagster-kubernetes.yaml`; webserver and daemon load it too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._utils.merger import deep_merge_dicts
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import get_job_name_from_run_id

from assets.profiles import POD_TAG
from plinth.errors import OutOfMemory
from plinth.pod_status import end_of

ENDED_TAG = "plinth/run_pod_ended"
"""Run tag: why the pod of a run ended before the run did."""
NO_RETRY = {"dagster/max_retries": "0"}
"""Run tags that Dagster's run retries heed."""


class RunPods(K8sRunLauncher):
    """`K8sRunLauncher` with `after_out_of_memory`: the configuration (as `run_k8s_config`) of a run that is begun once more after such a kill."""

    def __init__(self, after_out_of_memory: Mapping[str, Any] | None = None, **settings: Any) -> None:
        self._after_out_of_memory = after_out_of_memory
        super().__init__(**settings)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """The keys of `K8sRunLauncher`, and ours."""
        return {**super().config_type(), "after_out_of_memory": dg.Field(dict, is_required=False)}  # type: ignore[no-untyped-call]

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """What Dagster's monitoring writes into a run that it gives up, which it asks for just before.

        The run's tags then say why its pod ended, and with what the run is begun once more; and what is still at work for the run is ended.
        """
        told = super().get_run_worker_debug_info(run, include_container_logs) or ""
        job = _job_of(run, self._get_resume_attempt_number(run))
        namespace = self.get_container_context_for_run(run).namespace
        status = self._api_client.get_job_status(job, namespace)
        if status is not None and status.failed:
            end = end_of(self._api_client.get_pods_in_job(job, namespace), job, status)
            self._instance.add_run_tags(run.run_id, {ENDED_TAG: type(end).__name__, **self._what_next(run, end)})
            told = f"{end}\n{told}"
        ended = self._end_leftovers(run.run_id, namespace)
        return "\n".join([told, *(f"The job {name} was still at work for this run and is deleted." for name in ended)])

    def _end_leftovers(self, run_id: str, namespace: str | None) -> list[str]:
        """Deletes the jobs that are still at work for a run, and gives their names.

        A run that is given up while its pod waits for a node, and the steps of one whose own pod was killed: nobody else ends those, and a step
        that goes on writes to tables that the next run thinks its own. Here, as only daemon and webservers may ask the cluster: a code location,
        where a sensor would tick, has no token.
        """
        ended = []
        api = self._api_client
        jobs = api.batch_api.list_namespaced_job(namespace, label_selector=f"dagster/run-id={run_id}")
        for job in jobs.items:
            if job.status.active:
                api.delete_job(job_name=job.metadata.name, namespace=namespace)
                ended.append(job.metadata.name)
        return ended

    def _what_next(self, run: dg.DagsterRun, end: Exception) -> dict[str, str]:
        if not isinstance(end, OutOfMemory):
            return {}
        if self._after_out_of_memory is None or run.tags.get(ENDED_TAG) == OutOfMemory.__name__:
            return NO_RETRY
        # The run may ask for more than memory in a tag of its own: a node, a toleration.
        own = json.loads(run.tags.get(POD_TAG, "{}"))
        return {POD_TAG: json.dumps(deep_merge_dicts(own, dict(self._after_out_of_memory)))}


def _job_of(run: dg.DagsterRun, resumed: int | None) -> str:
    name: str = get_job_name_from_run_id(run.run_id, resume_attempt_number=resumed)  # type: ignore[no-untyped-call]
    return name
