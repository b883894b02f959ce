"""A cluster in one process: what the API server keeps, and what tests do to it.

What belongs here: objects as JSON. What does not: what happens to them by itself (`tests.kubernetes.controllers`), running a pod's command
(`tests.kubernetes.kubelet`) and the HTTP protocol (`tests.kubernetes.server`). Jobs, pods, events and nodes are known; volumes, networks and probes are not.
"""

from __future__ import annotations

import copy
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.kubernetes.kubelet import Kubelet

Object = dict[str, Any]
_UNITS = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "": 1.0}


def quantity(text: str | int | float) -> float:
    """A quantity of Kubernetes (`500m`, `2Gi`) as a number."""
    digits = str(text).rstrip("mkMGKi")
    return float(digits) * _UNITS[str(text)[len(digits) :]]


def now() -> str:
    """The time as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Node:
    """A node: its labels and taints, and what it can hold."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[dict[str, str]] = field(default_factory=list)
    capacity: dict[str, float] = field(
        default_factory=lambda: {"cpu": 64, "memory": 64 * 2**30, "ephemeral-storage": 2**40}
    )


class Cluster:
    """The state, guarded by one lock."""

    def __init__(self, kubelet: Kubelet) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.nodes = [Node("node-1")]
        self.secrets: dict[str, dict[str, str]] = {}
        self.config_maps: dict[str, dict[str, str]] = {}
        self.log: list[tuple[int, str, str, Object]] = []  # version, kind, type of the event, object
        self.history: list[Object] = []  # every pod as it was made
        self.deleted: list[str] = []  # kind/name of everything that was deleted, in order
        self._kubelet = kubelet

    # Objects

    def create(self, kind: str, namespace: str, body: Object) -> Object:
        """Keeps a new object; a `KeyError` where the name is taken."""
        with self.changed:
            meta = body.setdefault("metadata", {})
            if "name" not in meta:
                meta["name"] = meta.get("generateName", "made-") + secrets.token_hex(3)
            if (kind, namespace, meta["name"]) in self.objects:
                raise KeyError(meta["name"])
            meta |= {"namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": now()}
            body["status"] = {"phase": "Pending", "conditions": []} if kind == "Pod" else {}
            self.objects[kind, namespace, meta["name"]] = body
            self.note("ADDED", kind, body)
            if kind == "Pod":
                self.history.append(copy.deepcopy(body))
            return body

    def all(self, kind: str, namespace: str | None = None) -> list[Object]:
        """The objects of a kind."""
        with self.lock:
            return [each for (k, ns, _), each in self.objects.items() if k == kind and namespace in (None, ns)]

    def delete(self, kind: str, namespace: str, name: str, propagation: str, grace: float | None = None) -> Object:
        """Deletes an object, and what it owns as the propagation says; a `KeyError` where there is none."""
        with self.changed:
            found = self.objects[kind, namespace, name]
            self.deleted.append(f"{kind}/{name}")
            if kind == "Pod" and found["status"].get("phase") in ("Pending", "Running"):
                if "deletionTimestamp" not in found["metadata"]:
                    found["metadata"]["deletionTimestamp"] = now()
                    self._kubelet.terminate(found["metadata"]["uid"], 30.0 if grace is None else grace)
                    self.note("MODIFIED", kind, found)
                return found
            self.drop(kind, found, propagation)
            return found

    def drop(self, kind: str, found: Object, propagation: str) -> None:
        meta = found["metadata"]
        del self.objects[kind, meta["namespace"], meta["name"]]
        self.note("DELETED", kind, found)
        for other_kind, other in self.owned(meta["uid"]):
            if propagation == "Orphan":
                other["metadata"].pop("ownerReferences")
            else:
                with_meta = other["metadata"]
                self.delete(other_kind, with_meta["namespace"], with_meta["name"], propagation)

    def owned(self, uid: str) -> list[tuple[str, Object]]:
        return [
            (kind, each)
            for (kind, _, _), each in self.objects.items()
            if uid in [owner["uid"] for owner in each["metadata"].get("ownerReferences") or []]
        ]

    def note(self, what: str, kind: str, found: Object) -> None:
        found["metadata"]["resourceVersion"] = str(len(self.log) + 1)
        self.log.append((len(self.log) + 1, kind, what, copy.deepcopy(found)))
        self.changed.notify_all()

    def event(self, about: Object, reason: str, message: str) -> None:
        """Notes an event about a pod."""
        meta = about["metadata"]
        involved = {"kind": "Pod", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
        body = {
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": "Warning",
            "lastTimestamp": now(),
        }
        self.create("Event", meta["namespace"], {"metadata": {"generateName": f"{meta['name']}."}, **body})

    # What tests do to it

    def disrupt(self, pod: str, reason: str, message: str, grace: float = 30.0) -> None:
        """Takes a pod's place away, as the scheduler or the eviction API does: a condition, a signal, and the pod is deleted."""
        with self.changed:
            found = next(each for each in self.all("Pod") if each["metadata"]["name"] == pod)
            self.condition(found, "DisruptionTarget", "True", reason, message)
            self.delete("Pod", found["metadata"]["namespace"], pod, "Background", grace)

    def shut_down(self, node: str) -> None:
        """Ends a node as the owner of spot capacity does: its kubelet kills its pods, says why, and the node is gone."""
        with self.changed:
            self.nodes = [each for each in self.nodes if each.name != node]
            for pod in self.all("Pod"):
                if pod["spec"].get("nodeName") == node and pod["status"]["phase"] == "Running":
                    self._kubelet.kill(pod["metadata"]["uid"])
                    pod["status"] |= {
                        "reason": "Terminated",
                        "message": "Pod was terminated in response to imminent node shutdown.",
                    }

    def condition(self, pod: Object, kind: str, status: str, reason: str, message: str) -> bool:
        """Sets a condition; whether that changed anything."""
        made = {"type": kind, "status": status, "reason": reason, "message": message}
        others = [each for each in pod["status"]["conditions"] if each["type"] != kind]
        if made in pod["status"]["conditions"]:
            return False
        pod["status"]["conditions"] = [*others, made]
        self.note("MODIFIED", "Pod", pod)
        return True

    # For those who wait

    def wait(self, what: Callable[[], Any], seconds: float = 60.0) -> Any:
        """What `what` gives once it gives something."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            # Not under the lock: what is asked may itself ask the API.
            if found := what():
                return found
            time.sleep(0.05)
        raise AssertionError(
            f"nothing came within {seconds} s; pods: {[(p['metadata']['name'], p['status']) for p in self.all('Pod')]}"
        )

    def changes(self, kind: str, after: int, seconds: float) -> Iterator[tuple[str, Object]]:
        """What happened to objects of a kind after a version, and for some seconds more what happens."""
        until = time.monotonic() + seconds
        seen = after
        while True:
            with self.changed:
                fresh = [entry for entry in self.log if entry[0] > seen]
                if (
                    not fresh
                    and not self.changed.wait(max(0.0, min(0.2, until - time.monotonic())))
                    and time.monotonic() >= until
                ):
                    return
            for version, of, what, found in fresh:
                seen = version
                if of == kind:
                    yield what, found
