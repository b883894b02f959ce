"""A run's events as lines that a person can follow, and the counts that its report needs.

What belongs here: turning events into words. What does not: starting the run (`jobs.launch`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType

from assets.model_checks import BEATS, LOST, OUTCOME
from plinth.report import DriftLine, FailedCheck, Failure

Tell = Callable[[str], None]

_POLL = 0.2
"""Seconds between two looks at the event log: soon enough for a person, and nothing beside a step's work."""

_SILENCE = 3.0
"""Seconds without a line after which a step's own words are told too: they show that long work goes on, and would bury short work."""


@dataclass
class Seen:
    """What the events said so far."""

    checks_passed: int = 0
    failed_checks: list[FailedCheck] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    drift: list[DriftLine] = field(default_factory=list)
    materialized: list[str] = field(default_factory=list)
    decisions: dict[str, str] = field(default_factory=dict)

    def with_later(self, later: Seen) -> Seen:
        """Both, where a second run went on with what the first had left."""
        return Seen(
            self.checks_passed + later.checks_passed,
            self.failed_checks + later.failed_checks,
            self.failures + later.failures,
            self.drift + later.drift,
            self.materialized + later.materialized,
            self.decisions | later.decisions,
        )


class Follower(AbstractContextManager["Follower"]):
    """Reads the events of one run while it goes on, from the instance that every process of the run writes to."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str, tell: Tell) -> None:
        self.seen = Seen()
        self._instance = instance
        self._run_id = run_id
        self._tell = tell
        self._cursor: str | None = None
        self._started: dict[str, float] = {}
        self._words = ""
        self._told_at = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow-run", daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._done.wait(_POLL):
            self._read()
            if self._words and time.monotonic() - self._told_at > _SILENCE:
                self._say(self._words)
        self._read()

    def _say(self, line: str) -> None:
        self._words, self._told_at = "", time.monotonic()
        self._tell(line)

    def _read(self) -> None:
        while True:
            found = self._instance.get_records_for_run(self._run_id, self._cursor, limit=200)
            self._cursor = found.cursor
            for record in found.records:
                entry = record.event_log_entry
                if entry.dagster_event is not None:
                    self._event(entry.dagster_event, entry.timestamp)
                elif entry.step_key and int(entry.level) >= logging.INFO:
                    self._words = f"{_name(entry.step_key)}: {entry.user_message}"
            if not found.has_more:
                return

    def _event(self, event: DagsterEvent, at: float) -> None:
        kind, step = event.event_type, event.step_key or ""
        if kind is DagsterEventType.STEP_START:
            self._started[step] = at
            if not step.endswith("__checks"):
                self._say(f"{_name(step)} …")
        elif kind is DagsterEventType.ASSET_MATERIALIZATION:
            self._materialized(event, at)
        elif kind is DagsterEventType.ASSET_CHECK_EVALUATION:
            self._checked(event)
        elif kind is DagsterEventType.STEP_UP_FOR_RETRY:
            self._say(f"{_name(step)}: will be tried again: {_first_cause(event)}")
        elif kind is DagsterEventType.STEP_FAILURE:
            self.seen.failures.append(Failure(_name(step), _first_cause(event)))
            self._say(f"{_name(step)} FAILED: {_first_cause(event).splitlines()[0]}")
        elif kind is DagsterEventType.STEP_SKIPPED:
            self._say(f"{_name(step)} skipped: something before it failed")
        elif kind is DagsterEventType.ENGINE_EVENT and "blocked by" in (event.message or "").lower():
            self._say(f"{_name(step)} waits: another run writes the same table")

    def _materialized(self, event: DagsterEvent, at: float) -> None:
        if event.materialization.partition is not None:
            # The asset says once what all of its partitions came to.
            return
        said = event.materialization.metadata
        key = event.materialization.asset_key.to_user_string()
        self.seen.materialized.append(key)
        facts = []
        if "dagster/row_count" in said:
            facts.append(f"{said['dagster/row_count'].value:,} rows")
        changes = [
            f"{said[name].value:,} {name}"
            for name in ("inserted", "updated", "deleted", "quarantined")
            if name in said and said[name].value
        ]
        if "rows_before" in said and "inserted" not in said:
            # Which of a table's rows are new cannot be told without a key.
            changes = [f"all replaced, {said['rows_before'].value:,} before", *changes]
        if changes:
            facts.append(f"({', '.join(changes)})")
        elif "changed" in said and not said["changed"].value:
            facts.append("(as before)")
        if "trained" in said and "reason" in said and not said["trained"].value:
            facts.append(f"({said['reason'].value})")
        seconds = next((said[name].value for name in ("seconds", "Execution Duration") if name in said), None)
        facts.append(f"{seconds if seconds is not None else at - self._started.get(event.step_key or '', at):.1f} s")
        self._say(f"{key:<32} {'  '.join(facts)}")
        if "drift" in said:
            found = [line.removeprefix("- ") for line in str(said["drift"].value).splitlines()]
            self.seen.drift += [DriftLine(key, line) for line in found]
            self._say(f"{key:<32} drift: {'; '.join(found)}")

    def _checked(self, event: DagsterEvent) -> None:
        result = event.asset_check_evaluation_data
        if result.passed:
            self.seen.checks_passed += 1
            return
        if result.check_name == BEATS and OUTCOME in result.metadata and result.metadata[OUTCOME].value == LOST:
            self.seen.decisions[result.asset_key.to_user_string()] = result.description or ""
            self._say(f"{result.asset_key.to_user_string()}: the champion stays: {result.description}")
            return
        severity = "error" if result.severity is dg.AssetCheckSeverity.ERROR else "warning"
        failed = FailedCheck(
            result.asset_key.to_user_string(), result.check_name, severity, result.description or "failed"
        )
        self.seen.failed_checks.append(failed)
        self._say(f"{failed.asset}: check {failed.check} failed ({severity}): {failed.found}")


def _name(step: str) -> str:
    return step.removesuffix("__checks").replace("__", "/", 1)


def _first_cause(event: DagsterEvent) -> str:
    """The message of the innermost error, in full: that of a `PlinthError` says what to do."""
    data = event.event_specific_data
    error = getattr(data, "error", None)
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return event.message or "failed"
    text = str(error.message).strip()
    return text.split(": ", 1)[1] if text.startswith(("plinth.", "dagster.")) and ": " in text else text
