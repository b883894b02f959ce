"""Attempts that were lost with their pods do not use up those of a fault that may pass."""

# No `from __future__ import annotations` here: Dagster does not resolve the texts that it makes of a step's parameters.

import dagster as dg
import pytest

import assets.faults as faults
from plinth.errors import SourceUnavailable


@pytest.mark.parametrize("lost", [0, 2])
def test_a_passing_fault_has_its_three_attempts_after_those_that_were_lost(
    monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance, lost: int
) -> None:
    monkeypatch.setattr(faults, "FIRST_WAIT", 0.001)
    monkeypatch.setenv(faults.LOST_VARIABLE, str(lost))
    attempts = []

    @dg.asset
    def away(context: dg.AssetExecutionContext) -> None:
        attempts.append(context.op_execution_context.retry_number)
        with faults.dagster_faults(context):
            raise SourceUnavailable("the legacy system does not answer")

    assert not dg.materialize([away], instance=instance, raise_on_error=False).success
    assert len(attempts) == 1 + faults.RETRIES + lost
