"""The controllers of the cluster: they make pods of jobs, put them on nodes, start them, count how they end, and clear up.

What belongs here: what a real cluster does by itself, in the order of a pod's life, twenty times a second. What does not: the objects
(`tests.kubernetes.cluster`) and the processes (`tests.kubernetes.kubelet`).
"""

from __future__ import annotations

import copy
import secrets
import threading
from datetime import UTC, datetime

from tests.kubernetes.cluster import Cluster, Node, Object, now, quantity
from tests.kubernetes.kubelet import Kubelet


class Controllers:
    """A thread that works on a cluster from `start` to `stop`."""

    def __init__(self, cluster: Cluster, kubelet: Kubelet) -> None:
        self.cluster, self.kubelet = cluster, kubelet
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._control, daemon=True)

    def start(self) -> None:
        """Lets the controllers work."""
        self._thread.start()

    def stop(self) -> None:
        """Ends them, and every process that they have started."""
        self._stopping.set()
        self._thread.join(10)
        self.kubelet.end_all()

    def _control(self) -> None:
        while not self._stopping.wait(0.05):
            with self.cluster.changed:
                for step in (self._jobs, self._schedule, self._run, self._finished, self._expired, self._ownerless):
                    step()

    def _jobs(self) -> None:
        for job in self.cluster.all("Job"):
            status, spec = job["status"], job["spec"]
            pods = [pod for _, pod in self.cluster.owned(job["metadata"]["uid"])]
            for pod in pods:
                if pod["status"]["phase"] in ("Succeeded", "Failed") and not pod.get("counted"):
                    pod["counted"] = True
                    ended = "succeeded" if pod["status"]["phase"] == "Succeeded" else "failed"
                    status[ended] = status.get(ended, 0) + 1
            status["active"] = sum(pod["status"]["phase"] in ("Pending", "Running") for pod in pods)
            if status.get("conditions"):
                continue
            deadline = spec.get("activeDeadlineSeconds")
            started = status.setdefault("startTime", now())
            if status.get("succeeded"):
                self._end_job(job, "Complete", "", "")
            elif status.get("failed", 0) > spec.get("backoffLimit", 6):
                self._end_job(job, "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
            elif deadline is not None and _age(started) > deadline:
                self._end_job(job, "Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
                status["failed"] = status.get("failed", 0) + 1
                for pod in pods:
                    self.cluster.delete("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], "Background")
            elif status["active"] == 0:
                self._make_pod(job)

    def _make_pod(self, job: Object) -> None:
        meta, template = job["metadata"], copy.deepcopy(job["spec"]["template"])
        labels = {**(template["metadata"].get("labels") or {}), "job-name": meta["name"], "controller-uid": meta["uid"]}
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
        name = f"{meta['name']}-{secrets.token_hex(3)[:5]}"
        own = {
            "name": name,
            "labels": labels,
            "annotations": template["metadata"].get("annotations"),
            "ownerReferences": [owner],
        }
        self.cluster.create("Pod", meta["namespace"], {"metadata": own, "spec": template["spec"]})

    def _end_job(self, job: Object, kind: str, reason: str, message: str) -> None:
        job["status"]["conditions"] = [{"type": kind, "status": "True", "reason": reason, "message": message}]
        job["status"]["completionTime"] = now()
        self.cluster.note("MODIFIED", "Job", job)

    def _schedule(self) -> None:
        for pod in self.cluster.all("Pod"):
            if (
                pod["status"]["phase"] != "Pending"
                or pod["spec"].get("nodeName")
                or "deletionTimestamp" in pod["metadata"]
            ):
                continue
            refused = {node.name: self._refuses(node, pod) for node in self.cluster.nodes}
            free = [name for name, why in refused.items() if why is None]
            if free:
                pod["spec"]["nodeName"] = free[0]
                self.cluster.condition(pod, "PodScheduled", "True", "", "")
                continue
            why = ", ".join(sorted({f"1 {reason}" for reason in refused.values() if reason}))
            message = f"0/{len(self.cluster.nodes)} nodes are available: {why or 'there are none'}."
            if self.cluster.condition(pod, "PodScheduled", "False", "Unschedulable", message):
                self.cluster.event(pod, "FailedScheduling", message)

    def _refuses(self, node: Node, pod: Object) -> str | None:
        spec = pod["spec"]
        if any(node.labels.get(name) != value for name, value in (spec.get("nodeSelector") or {}).items()):
            return "node(s) didn't match Pod's node affinity/selector"
        for taint in node.taints:
            if not any(_tolerates(each, taint) for each in spec.get("tolerations") or []):
                return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        for name, wanted in _requests(pod).items():
            there = [each for each in self.cluster.all("Pod") if each["spec"].get("nodeName") == node.name]
            used = sum(
                _requests(each).get(name, 0) for each in there if each["status"]["phase"] in ("Pending", "Running")
            )
            if used + wanted > node.capacity.get(name, 0):
                return f"Insufficient {name}"
        return None

    def _run(self) -> None:
        for pod in self.cluster.all("Pod"):
            meta, status = pod["metadata"], pod["status"]
            if status["phase"] == "Pending" and pod["spec"].get("nodeName") and "deletionTimestamp" not in meta:
                container = pod["spec"]["containers"][0]
                self.kubelet.start(pod, self._environment(container))
                running = {"name": container["name"], "ready": True, "state": {"running": {"startedAt": now()}}}
                status |= {"phase": "Running", "startTime": now(), "containerStatuses": [_whole(running, container)]}
                self.cluster.note("MODIFIED", "Pod", pod)

    def _environment(self, container: Object) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in container.get("envFrom") or []:
            kept = (
                self.cluster.secrets[each["secretRef"]["name"]]
                if "secretRef" in each
                else self.cluster.config_maps[each["configMapRef"]["name"]]
            )
            found |= kept
        for each in container.get("env") or []:
            reference = (each.get("valueFrom") or {}).get("secretKeyRef")
            found[each["name"]] = (
                self.cluster.secrets[reference["name"]][reference["key"]] if reference else each.get("value", "")
            )
        return found

    def _finished(self) -> None:
        for pod in self.cluster.all("Pod"):
            meta, status = pod["metadata"], pod["status"]
            end = self.kubelet.end_of(meta["uid"])
            if status["phase"] == "Running" and end is not None:
                container = pod["spec"]["containers"][0]
                reason = "OOMKilled" if end.out_of_memory else "Completed" if end.code == 0 else "Error"
                terminated = {
                    "exitCode": end.code,
                    "reason": reason,
                    "startedAt": status["startTime"],
                    "finishedAt": now(),
                }
                ended = {"name": container["name"], "ready": False, "state": {"terminated": terminated}}
                status |= {
                    "phase": "Succeeded" if end.code == 0 else "Failed",
                    "containerStatuses": [_whole(ended, container)],
                }
                self.cluster.note("MODIFIED", "Pod", pod)
            elif "deletionTimestamp" in meta and (
                status["phase"] == "Pending" or pod.get("counted") or not self._owner(pod)
            ):
                self.cluster.drop("Pod", pod, "Background")

    def _owner(self, pod: Object) -> Object | None:
        """The job that still has to count a pod before it may go."""
        uids = [owner["uid"] for owner in pod["metadata"].get("ownerReferences") or []]
        return next((job for job in self.cluster.all("Job") if job["metadata"]["uid"] in uids), None)

    def _expired(self) -> None:
        for job in self.cluster.all("Job"):
            keep, ended = job["spec"].get("ttlSecondsAfterFinished"), job["status"].get("completionTime")
            if keep is not None and ended is not None and _age(ended) > keep:
                self.cluster.delete("Job", job["metadata"]["namespace"], job["metadata"]["name"], "Background")

    def _ownerless(self) -> None:
        """Deletes what names owners of which none is in its own namespace: owners elsewhere do not count."""
        there = {(each["metadata"]["namespace"], each["metadata"]["uid"]) for each in self.cluster.objects.values()}
        for kind in ("Job", "Pod"):
            for each in self.cluster.all(kind):
                meta = each["metadata"]
                owners = [(meta["namespace"], owner["uid"]) for owner in meta.get("ownerReferences") or []]
                gone = owners and not there & set(owners) and "deletionTimestamp" not in meta
                if gone and (kind, meta["namespace"], meta["name"]) in self.cluster.objects:
                    self.cluster.delete(kind, meta["namespace"], meta["name"], "Background")


def _whole(status: Object, container: Object) -> Object:
    return {"image": container["image"], "imageID": container["image"], "restartCount": 0, **status}


def _tolerates(toleration: Object, taint: dict[str, str]) -> bool:
    if toleration.get("key") not in (None, taint["key"]):
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value") == taint.get("value")


def _requests(pod: Object) -> dict[str, float]:
    asked = (pod["spec"]["containers"][0].get("resources") or {}).get("requests") or {}
    return {name: quantity(value) for name, value in asked.items()}


def _age(stamp: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(stamp.replace("Z", "+00:00"))).total_seconds()
