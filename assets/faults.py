"""The errors of `plinth` as Dagster understands them: passing faults are retried with growing waits, permanent ones are not.

Used by every asset: `with dagster_faults(context): ...`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from plinth.errors import PlinthError
from plinth.objects.faults import reading_faults

RETRIES = 3
FIRST_WAIT = 5.0
"""Seconds. 5, 20 and 80: a conflict of writers is over in seconds, a failover of a database in a minute or two."""

_NO_RUN_RETRY = "dagster/retry_on_asset_or_op_failure"


@contextmanager
def dagster_faults(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Iterator[None]:
    """Turns a `PlinthError` into a retry where it will pass, and into a failure that nothing retries where it will not.

    Raises:
        RetryRequested: the fault may pass by itself.
        Failure: it will not, or the retries are used up; the metadata says what was expected, found and can be done.
    """
    op = context.op_execution_context
    try:
        with reading_faults():
            yield
    except PlinthError as error:
        if error.transient and op.retry_number < RETRIES:
            wait = FIRST_WAIT * 4**op.retry_number
            context.log.warning(f"{error}\n  next attempt in {wait:.0f} s ({op.retry_number + 1} of {RETRIES})")
            raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=wait) from error
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
