"""What runs that are over have left at work in the cluster: jobs of theirs that still have pods, wherever those stand, and their end.

What belongs here: finding such jobs, and pods without one, by their labels, in every namespace that a run has used, and deleting them. What does not: when a run is given
up (`jobs.run_pods`), and the namespace of steps (`jobs.pods`, which writes it into the run).

A step that goes on after its run writes to tables that the next run thinks its own. Here, as only daemon and webservers may ask the cluster: a
code location, where a sensor would tick, has no token.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster_k8s.client import DagsterKubernetesClient

from jobs.cluster_client import UNANSWERED

STEPS_TAG = "plinth/steps_in"
"""Run tag: the namespace in which the pods of its steps are, where that is another one than the run's own."""
_RUN_LABEL = "dagster/run-id"
_LINGER_SECONDS = 120.0
"""For which the pods of a run that is over may still be ending by themselves."""
_SWEEP_SECONDS = 60.0


class Leftovers:
    """Looks for jobs of runs that are over, and ends them.

    Args:
        home: the namespace of runs that name none.
    """

    def __init__(self, api: DagsterKubernetesClient, home: str) -> None:
        self._api, self._home = api, home
        self._swept: float | None = None
        self._sweeping = threading.Lock()

    def end(self, instance: dg.DagsterInstance, run_id: str, namespace: str | None) -> list[str]:
        """Deletes the jobs that are at work for a run, and gives a line for each, and for each namespace that could not be searched.

        Args:
            namespace: the run's own; that of its steps, where it is another, stands in the run.
        """
        run = instance.get_run_by_id(run_id)
        own = namespace or self._home
        steps = run.tags.get(STEPS_TAG, own) if run is not None else own
        lines = []
        for each in dict.fromkeys((own, steps)):
            try:
                selector = f"{_RUN_LABEL}={run_id}"
                for kind, names in (("job", self._end_jobs(each, selector)), ("pod", self._end_pods(each, selector))):
                    lines += [f"The {kind} {name} was still at work for this run and is deleted." for name in names]
            except UNANSWERED as error:
                lines.append(f"The namespace {each} could not be searched for what is still at work for it: {error!r}")
        return lines

    def end_forgotten(self, instance: dg.DagsterInstance) -> None:
        """Ends the jobs of all runs that have been over for some time, at most once a minute; what cannot be asked now is asked the next time.

        That is what nobody gave up in an orderly way: runs that someone marked as over by force, and those that were given up while the
        cluster did not answer.
        """
        with self._sweeping:
            # The daemon's monitoring and its queue are two threads.
            now = time.monotonic()
            if self._swept is not None and now - self._swept < _SWEEP_SECONDS:
                return
            self._swept = now
        tagged = dict(instance.get_run_tags(tag_keys=[STEPS_TAG]))
        for namespace in {self._home, *tagged.get(STEPS_TAG, ())}:
            try:
                self._end_forgotten_in(instance, namespace)
            except UNANSWERED:
                # The look at a run, which comes next, tells of a cluster that does not answer; and the next sweep is soon.
                continue

    def _end_forgotten_in(self, instance: dg.DagsterInstance, namespace: str) -> None:
        at_work = self._at_work(namespace, _RUN_LABEL)
        if not at_work:
            return
        wanted = dg.RunsFilter(run_ids=sorted(set(at_work.values())))
        over = {
            record.dagster_run.run_id: record.dagster_run
            for record in instance.get_run_records(wanted)
            # Runs that this instance does not know are another's.
            if record.dagster_run.is_finished and time.time() - (record.end_time or time.time()) > _LINGER_SECONDS
        }
        for name, run_id in at_work.items():
            if run_id in over and self._delete(name, namespace):
                said = f"The job {name} was still at work for this run, which is over, and is deleted."
                instance.report_engine_event(said, over[run_id])

    def _at_work(self, namespace: str, selector: str) -> dict[str, str]:
        """The jobs that have pods at work, and for each its run."""
        jobs: Sequence[Any] = self._api.batch_api.list_namespaced_job(namespace, label_selector=selector).items
        return {each.metadata.name: each.metadata.labels[_RUN_LABEL] for each in jobs if each.status.active}

    def _end_jobs(self, namespace: str, selector: str) -> list[str]:
        return [name for name in self._at_work(namespace, selector) if self._delete(name, namespace)]

    def _end_pods(self, namespace: str, selector: str) -> list[str]:
        """Pods whose job somebody has deleted without them; those of the jobs that were just deleted are on their way."""
        pods = self._api.core_api.list_namespaced_pod(namespace, label_selector=selector).items
        names = [
            each.metadata.name
            for each in pods
            if each.status.phase in ("Pending", "Running") and each.metadata.deletion_timestamp is None
        ]
        for name in names:
            self._api.core_api.delete_namespaced_pod(name=name, namespace=namespace)
        return names

    def _delete(self, name: str, namespace: str) -> bool:
        return bool(self._api.delete_job(job_name=name, namespace=namespace))  # type: ignore[no-untyped-call]
