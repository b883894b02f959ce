"""What the status of a pod says of its end: out of memory, interrupted, without a place, or ended by itself.

What belongs here: reading the status that Kubernetes keeps, in the form of the official client's objects. What does not: asking for it, and what
follows from it (`jobs.pods`, `jobs.run_pods`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from plinth.errors import OutOfMemory, PlinthError, PodFailed, PodUnplaced, WorkInterrupted

_INTERRUPTED = {"Evicted", "NodeLost", "NodeShutdown", "Preempted", "Preempting", "Shutdown", "Terminated"}
"""Reasons of a failed pod that name its node and not its work: `Terminated` is that of a kubelet whose node shuts down."""
_OWN_DISK = "ephemeral"
"""In the message of an eviction because the pod wrote more than its own limit, which the next node would not change."""


def end_of(pods: list[Any], job: str, status: Any) -> PlinthError:
    """Why the work of a job that failed has ended.

    Args:
        pods: the job's pods that are still there.
        job: its name.
        status: its status.
    """
    late = (
        next((each for each in status.conditions or [] if each.reason == "DeadlineExceeded"), None) if status else None
    )
    if late is not None:
        return PodFailed(
            "the pod took longer than it may",
            found=late.message,
            where=f"job {job}",
            remedy="find out what it waits for, or raise execution.kubernetes.step_seconds",
        )
    if not pods:
        # Code that fails leaves its pod; what takes a pod away is an eviction, a preemption, or the removal of its node.
        return WorkInterrupted(
            f"the pod of {job} is gone", found="a failed job without a pod: evicted, preempted, or its node was removed"
        )
    pod = max(pods, key=lambda each: each.metadata.creation_timestamp or datetime.min.replace(tzinfo=UTC))
    where = f"pod {pod.metadata.name} on node {pod.spec.node_name or 'none'}"
    killed = out_of_memory(pod)
    if killed is not None:
        return killed
    reason, message = pod.status.reason or "", pod.status.message or ""
    disrupted = condition(pod, "DisruptionTarget")
    if reason == "Evicted" and _OWN_DISK in message and disrupted is None:
        return PodFailed(
            "the pod wrote more to its disk than its profile has",
            found=message,
            where=where,
            remedy="give the profile more scratch, or the asset a profile with more",
        )
    if disrupted is not None or reason in _INTERRUPTED:
        found = f"{disrupted.reason}: {disrupted.message}" if disrupted is not None else f"{reason}: {message}"
        return WorkInterrupted("the node was taken away from the pod", found=found, where=where)
    ended = [
        f"exit code {each.state.terminated.exit_code} ({each.state.terminated.reason})"
        for each in pod.status.container_statuses or []
        if each.state and each.state.terminated
    ]
    return PodFailed(
        "the pod ended without a word of its work",
        found="; ".join(ended) or f"{pod.status.phase} {reason} {message}".strip(),
        where=where,
        remedy=f"look at its log: kubectl logs {pod.metadata.name}",
    )


def out_of_memory(pod: Any) -> OutOfMemory | None:
    """The kill for want of memory of one of the pod's containers, if it was one."""
    for status in pod.status.container_statuses or []:
        ended = status.state.terminated if status.state else None
        if ended is not None and ended.reason == "OOMKilled":
            limits = next((each.resources.limits for each in pod.spec.containers if each.name == status.name), None)
            return OutOfMemory(
                "the pod was killed for want of memory",
                expected=f"at most {(limits or {}).get('memory', 'what the node has')} bytes",
                found=f"{ended.reason}, exit code {ended.exit_code}",
                where=f"container {status.name} of pod {pod.metadata.name}",
            )
    return None


def unplaced(pod: Any, after: float) -> PodUnplaced | None:
    """Why a pod that waits for longer than `after` seconds does not start; None where it has started or may still."""
    created = pod.metadata.creation_timestamp
    if pod.status.phase != "Pending" or created is None or (datetime.now(UTC) - created).total_seconds() < after:
        return None
    scheduled = condition(pod, "PodScheduled")
    waiting = [
        f"{each.state.waiting.reason}: {each.state.waiting.message or ''}"
        for each in pod.status.container_statuses or []
        if each.state and each.state.waiting
    ]
    if scheduled is not None and scheduled.status == "False":
        waiting.insert(0, f"{scheduled.reason}: {scheduled.message}")
    return PodUnplaced(
        f"the pod did not start within {after:.0f} s",
        expected=f"a node with {_wanted(pod)}",
        found="; ".join(waiting) or "Pending without a reason",
        where=f"pod {pod.metadata.name}",
        remedy="give the cluster such nodes, mend the profile or the image, or raise execution.kubernetes.pending_seconds",
    )


def condition(pod: Any, kind: str) -> Any:
    """The condition of a pod of one kind, where it holds or is spoken of; None where it is not there."""
    for each in pod.status.conditions or []:
        if each.type == kind and (kind == "PodScheduled" or each.status == "True"):
            return each
    return None


def _wanted(pod: Any) -> str:
    resources = pod.spec.containers[0].resources
    asked = ", ".join(f"{name} {value}" for name, value in ((resources and resources.requests) or {}).items())
    labels = ", ".join(f"{name}={value}" for name, value in (pod.spec.node_selector or {}).items())
    return " and labels ".join(part for part in (asked or "any size", labels) if part)
