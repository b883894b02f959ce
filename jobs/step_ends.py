"""What the event log tells of a step's attempts, which outlives the process of the run."""

from __future__ import annotations

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import DagsterEvent, DagsterEventType

from plinth.errors import OutOfMemory, WorkInterrupted

_LOST = {OutOfMemory.__name__, WorkInterrupted.__name__, DagsterExecutionInterruptedError.__name__}
"""In the error of an attempt: it was lost with its pod, or with the room that it had."""
_ENDS = {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_UP_FOR_RETRY}


def told_ends(instance: dg.DagsterInstance, run: str, step: str) -> list[DagsterEvent]:
    """The ends of a step's attempts, in order."""
    records = instance.get_records_for_run(run, of_type=_ENDS, limit=10_000).records
    events = (each.event_log_entry.dagster_event for each in records)
    return [event for event in events if event is not None and event.step_key == step]


def lost_attempts(instance: dg.DagsterInstance, run: str, step: str) -> int:
    """How many attempts at a step were lost."""
    return sum(bool(named & _LOST) for named in _errors(instance, run, step))


def ran_out_of_memory(instance: dg.DagsterInstance, run: str, step: str) -> bool:
    """Whether the last attempt at a step, which is to be repeated, had too little memory."""
    errors = _errors(instance, run, step)
    return bool(errors) and OutOfMemory.__name__ in errors[-1]


def _errors(instance: dg.DagsterInstance, run: str, step: str) -> list[set[str | None]]:
    """The names of the error of each attempt that was followed by another, and of its cause."""
    retried = [event for event in told_ends(instance, run, step) if event.is_step_up_for_retry]
    errors = [event.step_retry_data.error for event in retried]
    return [{each.cls_name, each.cause.cls_name if each.cause else None} if each else set() for each in errors]
