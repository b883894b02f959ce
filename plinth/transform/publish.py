"""The end of a run: what was staged and passed its tests is published, everything else stays as it was.

All commits of a run happen here, within a second or so of each other, so that readers see tables that belong together. A model is
withheld when a test of it failed or could not run, or when an input of it is withheld: nothing is ever published that was made from rows
which nobody will see.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plinth.errors import PlinthError
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.spark_door import SparkWrite, replace_by_spark
from plinth.lakehouse.staged_apart import remove_folder
from plinth.lakehouse.staging import discard
from plinth.lakehouse.tables import TableVersion
from plinth.masked import without_values
from plinth.transform.pending import Held, Pending
from plinth.transform.session import Session
from plinth.transform.work import Decision, Mode, ModelOutcome, Status, Work

_UNDECIDED = Decision(Mode.NOTHING, "it did not run")


@dataclass(frozen=True)
class NodeResult:
    """What dbt says of one model or test: `guards` are the models that a test is about."""

    unique_id: str
    status: str
    seconds: float
    guards: tuple[str, ...] = ()
    message: str = ""


_GOOD = ("success", "pass", "warn", "no-op")
_FILE = re.compile(r"""["'][^"']*/(\w+)/(\w+)/(?:split=\w+/)?part-[\w-]+\.parquet["']""")


def publish(session: Session, results: Sequence[NodeResult]) -> tuple[ModelOutcome, ...]:
    """Commits what may be published, in the order in which it was made; gives the outcome of every model of the run.

    A commit that fails is noted in `session.failures`, and what was made from that table is withheld.
    """
    seconds = {result.unique_id: result.seconds for result in results}
    broken = {result.unique_id: _why(result) for result in results if not result.guards and result.status not in _GOOD}
    for result in results:
        if result.guards and result.status not in _GOOD:
            for model in result.guards:
                broken.setdefault(model, f"the test {result.unique_id.split('.')[2]} {_said(result.status)}")
    outcomes = []
    # A test may fail over a table that another build has published: what is made from it here goes no further.
    withheld = {
        str(table): broken[name]
        for name, table in session.read.items()
        if name in broken and name not in session.works and name.startswith("model.")
    }
    for name, work in session.works.items():
        table = str(work.model.table)
        blocked = [withheld[str(other)] for other in work.model.inputs if str(other) in withheld]
        reason = broken.get(name) or (blocked[0] if blocked else None)
        if name not in seconds:
            reason = reason or "it did not run"
        outcome = _settle(session, work, reason, seconds.get(name, 0.0))
        if outcome.status in (Status.WITHHELD, Status.FAILED):
            withheld[table] = reason or f"{table} could not be published"
        outcomes.append(outcome)
    return tuple(outcomes)


def _why(result: NodeResult) -> str:
    """What the engine said of a model that failed, without values: reasons stand in the run's history, which is cleared for less than tables."""
    lines = [line.strip() for line in result.message.splitlines() if line.strip()]
    # dbt puts a line of its own before the engine's words.
    said = next((line for line in lines if "Error:" in line), lines[0] if lines else "")
    # Where a file cannot be read its table is named: it is that one which has to be made anew.
    said = _FILE.sub(r"of \1/\2", said)
    masked = without_values(said)
    return f"it failed: {masked}" if masked else "it failed"


def _said(status: str) -> str:
    return "failed" if status == "fail" else "could not be run"


def _settle(session: Session, work: Work, reason: str | None, seconds: float) -> ModelOutcome:
    held = session.held[work.model.table]
    decision = work.decision or _UNDECIDED
    if reason is not None or held.pending is None:
        if held.pending is not None:
            discard(held.pending.rewrite.staged)
            if held.pending.folder is not None:
                remove_folder(held.pending.folder)
        failed = work.model.unique_id in session.failures
        status = Status.UNCHANGED if reason is None else Status.FAILED if failed else Status.WITHHELD
        return _outcome(work, status, decision, reason or decision.reason, held.base, seconds)
    try:
        version = _commit(session, held)
    except PlinthError as error:
        session.failures[work.model.unique_id] = error
        return _outcome(work, Status.FAILED, decision, error.what, held.base, seconds)
    changed = held.base is None or held.pending.rewrite.changed
    status = Status.PUBLISHED if changed else Status.UNCHANGED
    return _outcome(work, status, decision, decision.reason, version, seconds, held)


def _commit(session: Session, held: Held) -> TableVersion:
    pending = held.pending
    assert pending is not None
    if pending.folder is not None and (held.base is None or pending.rewrite.add or pending.rewrite.remove):
        try:
            return replace_by_spark(session.lakehouse, held.table, _spark_write(session, held, pending, pending.folder))
        finally:
            remove_folder(pending.folder)
    write = Write(
        held.base,
        pending.columns,
        pending.state,
        pending.rewrite.add,
        pending.rewrite.remove,
        pending.partition_by,
        feed=pending.rewrite.feed,
    )
    return commit(session.lakehouse, held.table, write)


def _spark_write(session: Session, held: Held, pending: Pending, folder: str) -> SparkWrite:
    rows = sum(file.rows for file in pending.rewrite.add)
    frame = session.spark.staged(folder, pending.columns)
    return SparkWrite(held.base, pending.columns, pending.state, rows, frame, pending.partition_by)


def _outcome(
    work: Work,
    status: Status,
    decision: Decision,
    reason: str,
    version: TableVersion | None,
    seconds: float,
    held: Held | None = None,
) -> ModelOutcome:
    rewrite = held.pending.rewrite if held is not None and held.pending is not None else None
    return ModelOutcome(
        table=work.model.table,
        status=status,
        mode=decision.mode,
        reason=reason,
        version=version.version if version is not None else None,
        content=version.content if version is not None else None,
        rows=version.rows if version is not None else 0,
        size=version.size if version is not None else 0,
        inserted=rewrite.inserted if rewrite is not None else 0,
        updated=rewrite.updated if rewrite is not None else 0,
        deleted=rewrite.deleted if rewrite is not None else 0,
        seconds=round(seconds, 3),
        columns=version.columns if version is not None else (),
        **_by_what(work, decision),
    )


def _by_what(work: Work, decision: Decision) -> dict[str, str]:
    """Engine, profile and reason of what was computed."""
    if decision.mode is Mode.NOTHING:
        return {}
    choice = work.choice
    if decision.mode is Mode.SCOPES and choice.engine != "duckdb":
        reason = f"touched scopes are DuckDB's; all rows: {choice.reason}"
        return {"engine": "duckdb", "profile": choice.profile, "engine_reason": reason}
    return {"engine": choice.engine, "profile": choice.profile, "engine_reason": choice.reason}


def results_from(entries: Sequence[Mapping[str, object]]) -> tuple[NodeResult, ...]:
    """The results as the macro of the `on-run-end` hook hands them over."""
    return tuple(
        NodeResult(
            unique_id=str(entry["unique_id"]),
            status=str(entry["status"]),
            seconds=float(str(entry["seconds"])),
            guards=tuple(str(name) for name in entry["guards"]),  # type: ignore[attr-defined]
            message=str(entry.get("message") or ""),
        )
        for entry in entries
    )
