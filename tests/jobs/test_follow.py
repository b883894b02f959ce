"""What a run's report counts: failed checks, and not the challenges that most rounds end in."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from assets.model_checks import BEATS, LOST, OPEN, OUTCOME
from jobs.follow import Follower, Seen
from plinth.report import FailedCheck


@pytest.mark.parametrize("outcome", [LOST, OPEN])
def test_a_lost_challenge_is_told_and_only_an_open_one_counts_as_failed(outcome: str) -> None:
    @dg.asset(key=["models", "one"])
    def one() -> None: ...

    @dg.multi_asset_check(
        specs=[dg.AssetCheckSpec(BEATS, asset=one.key), dg.AssetCheckSpec("other", asset=one.key)],
        name="models__one__checks",
    )
    def checks() -> Iterator[dg.AssetCheckResult]:
        for name, facts in ((BEATS, {OUTCOME: outcome}), ("other", {})):
            yield dg.AssetCheckResult(
                asset_key=one.key, check_name=name, passed=False, severity=dg.AssetCheckSeverity.WARN,
                description=f"{name} says why", metadata=facts,
            )  # fmt: skip

    lines: list[str] = []
    seen = followed(dg.Definitions(assets=[one], asset_checks=[checks], executor=dg.in_process_executor), lines)
    other = FailedCheck("models/one", "other", "warning", "other says why")
    beats = FailedCheck("models/one", BEATS, "warning", f"{BEATS} says why")
    assert seen.failed_checks == ([other] if outcome == LOST else [beats, other])
    assert seen.decisions == ({"models/one": f"{BEATS} says why"} if outcome == LOST else {})
    assert any(f"{BEATS} says why" in line for line in lines)


def followed(definitions: dg.Definitions, lines: list[str]) -> Seen:
    job = definitions.resolve_implicit_global_asset_job_def()
    run = dg.DagsterRun(job_name=job.name).run_id
    with dg.DagsterInstance.ephemeral() as instance, Follower(instance, run, lines.append) as follower:
        job.execute_in_process(instance=instance, run_id=run)
    return follower.seen


def test_a_model_that_was_not_trained_says_why() -> None:
    @dg.asset(key=["models", "one"])
    def one() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"trained": False, "reason": "not due: nobody traded", "seconds": 0.1})

    lines: list[str] = []
    followed(dg.Definitions(assets=[one], executor=dg.in_process_executor), lines)
    assert any("models/one" in line and "(not due: nobody traded)" in line for line in lines)
