"""The errors of `plinth` as Dagster understands them: passing faults are retried with growing waits, permanent ones are not.

Used by every asset: `with dagster_faults(context): ...`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from plinth.errors import OutOfMemory, PlinthError
from plinth.objects.faults import reading_faults
from plinth.profile import GRANTED_VARIABLE

RETRIES = 3
FIRST_WAIT = 5.0
"""Seconds. 5, 20 and 80: a conflict of writers is over in seconds, a failover of a database in a minute or two."""

INTERRUPTIONS = 3
"""Attempts at a step that may be lost with their pods, because a node was taken away, before one more would be for nothing."""
LOST_VARIABLE = "PLINTH_LOST_ATTEMPTS"
"""In a pod: how many attempts at its step were lost with their pods. They are no attempts at what may pass by itself."""
CHOSEN_VARIABLE = "PLINTH_CHOSEN_PROFILE"
"""In a pod whose size was chosen when its step was launched: what was chosen. The executor has a larger one, for one attempt more."""
_NO_RUN_RETRY = "dagster/retry_on_asset_or_op_failure"


@contextmanager
def dagster_faults(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Iterator[None]:
    """Turns a `PlinthError` into a retry where it will pass, and into a failure that nothing retries where it will not.

    Raises:
        RetryRequested: the fault may pass by itself, or the pod is to end and its run is not, or a larger pod is to be had.
        Failure: it will not, or the retries are used up; the metadata says what was expected, found and can be done.
    """
    op = context.op_execution_context
    lost = int(os.environ.get(LOST_VARIABLE) or 0)
    attempt = max(0, op.retry_number - lost)
    try:
        with reading_faults():
            yield
    except DagsterExecutionInterruptedError as end:
        # A node that is taken away tells its pods first. A step that then fails, as Dagster's own would, is not tried again by anybody.
        run = op.instance.get_run_by_id(op.run_id)
        going_on = run is not None and run.status is dg.DagsterRunStatus.STARTED
        if GRANTED_VARIABLE not in os.environ or not going_on or lost >= INTERRUPTIONS:
            raise
        context.log.warning(f"the pod is to end, and its run is not; next attempt in {FIRST_WAIT:.0f} s")
        raise dg.RetryRequested(max_retries=RETRIES + INTERRUPTIONS + 1, seconds_to_wait=FIRST_WAIT) from end
    except PlinthError as error:
        if isinstance(error, OutOfMemory) and CHOSEN_VARIABLE in os.environ:
            context.log.warning(f"{error}\n  once more with a larger profile")
            raise dg.RetryRequested(max_retries=RETRIES + INTERRUPTIONS + 1, seconds_to_wait=0) from error
        if error.transient and attempt < RETRIES:
            wait = FIRST_WAIT * 4**attempt
            context.log.warning(f"{error}\n  next attempt in {wait:.0f} s ({attempt + 1} of {RETRIES})")
            raise dg.RetryRequested(max_retries=RETRIES + lost, seconds_to_wait=wait) from error
        # Failure(allow_retries=False) holds for the step alone; run retries heed this tag only (TRAPS; tried with 1.13.27).
        op.instance.add_run_tags(op.run_id, {_NO_RUN_RETRY: "false"})
        raise dg.Failure(str(error), metadata=_facts(error), allow_retries=False) from error


def _facts(error: PlinthError) -> dict[str, dg.MetadataValue]:
    facts = {
        "error": type(error).__name__,
        "expected": error.expected,
        "found": error.found,
        "where": error.where,
        "what to do": error.remedy,
    }
    return {name: dg.MetadataValue.text(str(value)) for name, value in facts.items() if value is not None}
