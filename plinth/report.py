"""The report of a run: what the lakehouse holds afterwards, what the checks said, what it took.

What belongs here: gathering, writing, reading and printing it. What does not: running (`jobs`). The file is read by people, tests and
benchmarks: names of its keys stay.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plinth.errors import TableMissing
from plinth.figures import size_for_people
from plinth.platform import Layer, Platform

if TYPE_CHECKING:
    from rich.console import Console

    from plinth.lakehouse.tables import Lakehouse

LAYERS: tuple[Layer, ...] = ("bronze", "silver", "gold", "features", "serving")
SUCCEEDED, FAILED, UNCHANGED = "succeeded", "failed", "unchanged"


@dataclass(frozen=True)
class TableLine:
    """One table after the run; `changed` tells whether this run gave it new content."""

    layer: str
    table: str
    rows: int
    version: int
    bytes: int
    changed: bool


@dataclass(frozen=True)
class FailedCheck:
    """A check that did not pass; `severity` is `error` or `warning`."""

    asset: str
    check: str
    severity: str
    found: str


@dataclass(frozen=True)
class DriftLine:
    """One difference between a legacy table and its contract that the contract's policy let pass."""

    asset: str
    difference: str


@dataclass(frozen=True)
class QuarantineLine:
    """Rows held back for one rule of one table, or refused with their whole load; `status` is `held` or `refused`."""

    table: str
    rule: str
    rows: int
    status: str = "held"


@dataclass(frozen=True)
class ModelLine:
    """The champion of a model: its version, and the figure that decides between versions, as it was measured at its training."""

    model: str
    version: int
    metric: str
    value: float


@dataclass(frozen=True)
class OnlineLine:
    """The version of the online store that is served: its documents by kind, some customers to ask about, and why nobody has an offer if so."""

    version: int
    published_at: str
    documents: Mapping[str, int]
    customers: Sequence[str]
    no_offers: str = ""


@dataclass(frozen=True)
class Failure:
    """A step that failed, with its error in full."""

    step: str
    error: str


_INTERRUPTED = "DagsterExecutionInterruptedError"
"""In the error of a step that Ctrl-C ended."""


def is_interrupted(failures: Iterable[Failure]) -> bool:
    """Whether a person ended the run."""
    return any(_INTERRUPTED in failure.error for failure in failures)


@dataclass(frozen=True)
class Report:
    """What one `plinth run` came to.

    Attributes:
        dataset: `sample`, or the name of the data that were loaded.
        status: `succeeded`, `failed`, or `unchanged` where there was nothing to do.
        started_at: ISO 8601, UTC.
        seconds: wall time from the command to the report; `job_seconds` of the Dagster job alone.
        peak_memory_mb: highest resident set of the largest process, in MiB (2^20 bytes) despite its name, which stays.
        run_id: the Dagster run, None where there was none.
        drift: differences between legacy tables and their contracts that passed; what did not pass stands in `failures`.
        models: the champions.
        decisions: why a newer version of a model is not its champion, by `models/<name>`; a challenge that was lost is no failed check.
        online: what is served; None where nothing is.
        checks: how many checks passed; those that did not stand in `failed_checks`.
        instance: folder of the Dagster instance that knows the run.
        overlay: the overlay of `platform.yaml` that was in force.
        roots: where the tables of each zone were, see `Project.roots`: what tells of which lakehouse the report is.
    """

    dataset: str
    status: str
    started_at: str
    seconds: float
    job_seconds: float
    peak_memory_mb: float
    run_id: str | None = None
    tables: Sequence[TableLine] = ()
    checks_passed: int = 0
    failed_checks: Sequence[FailedCheck] = ()
    quarantine: Sequence[QuarantineLine] = ()
    drift: Sequence[DriftLine] = ()
    models: Sequence[ModelLine] = ()
    decisions: Mapping[str, str] = field(default_factory=dict)
    online: OnlineLine | None = None
    failures: Sequence[Failure] = ()
    instance: str | None = None
    overlay: str | None = None
    roots: Mapping[str, str] = field(default_factory=dict)
    next: Sequence[str] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Writes the report as JSON; a reader sees the old one or the new one, never half."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        draft.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        os.replace(draft, path)


def read_report(path: Path) -> Report:
    """The newest report.

    Raises:
        TableMissing: there is none yet.
    """
    if not path.exists():
        raise TableMissing("there is no report yet", where=path, remedy="run `make run` (or `plinth run`) first")
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    parts = {
        **{"tables": TableLine, "failed_checks": FailedCheck, "quarantine": QuarantineLine, "drift": DriftLine},
        **{"failures": Failure, "models": ModelLine},
    }
    for name, kind in parts.items():
        values[name] = [kind(**each) for each in values.get(name, ())]
    if values.get("online") is not None:
        values["online"] = OnlineLine(**values["online"])
    return Report(**values)


def table_lines(lakehouse: Lakehouse, runs: Collection[str]) -> list[TableLine]:
    """Every table of the layers that people look at, as it stands, and whether one of these runs changed it."""
    lines = []
    for layer in LAYERS:
        if layer not in lakehouse.platform.layers:
            continue
        for each in lakehouse.tables(layer):
            version = lakehouse.open(each)
            changed = version.state.changed_by in runs
            lines.append(TableLine(layer, each.name, version.rows, version.version, version.size, changed))
    return lines


def quarantine_lines(lakehouse: Lakehouse) -> list[QuarantineLine]:
    """Rows that are held back or refused now, by table and rule."""
    from plinth.engine import connect
    from plinth.lakehouse.quarantine import kept_by_rule

    kept = [each for each in lakehouse.tables("ops") if each.name.startswith("quarantine_")]
    if not kept:
        return []
    con = connect(lakehouse.platform.profile(), extensions=("delta",), scratch=_scratch(lakehouse.platform))
    try:
        return [
            QuarantineLine(each.name.removeprefix("quarantine_"), rule, rows, status)
            for each in kept
            for status, rule, rows in kept_by_rule(con, lakehouse.open(each))
        ]
    finally:
        con.close()


def _scratch(platform: Platform) -> Path:
    return platform.path(platform.stores.scratch)


def print_report(report: Report, console: Console) -> None:
    """Prints a report for people."""
    _print_tables(report, console)
    _print_checks(report, console)
    _print_served(report, console)
    if report.quarantine:
        held = sum(line.rows for line in report.quarantine if line.status == "held")
        console.print(f"Quarantine: {held:,} rows")
        for each in report.quarantine:
            refused = ", and their load was refused" if each.status == "refused" else ""
            console.print(f"  {each.table}: {each.rows:,} broke {each.rule}{refused}", highlight=False)
    else:
        console.print("Quarantine: empty")
    if report.drift:
        console.print("Drift: legacy tables are not what their contracts say (`plinth contract check`):")
        for line in report.drift:
            console.print(f"  {line.asset}: {line.difference}", markup=False, highlight=False)
    if report.status == UNCHANGED:
        console.print(f"Nothing has changed since the last run: nothing to do ({report.seconds:.1f} s).", style="bold")
    else:
        took = f"{report.seconds:.1f} s, {report.job_seconds:.1f} s of it the job"
        console.print(f"Time: {took}; memory: {report.peak_memory_mb:,.0f} MiB at the peak")
    for failure in report.failures:
        console.print(f"{failure.step} failed:", style="bold red")
        console.print(failure.error, markup=False, highlight=False)
    console.print("Next:", style="bold")
    for step in report.next:
        console.print(f"  {step}", markup=False, highlight=False)


def _print_tables(report: Report, console: Console) -> None:
    from rich.table import Table as Grid

    grid = Grid(box=None, pad_edge=False, header_style="bold")
    for name, align in (
        ("layer", "left"),
        ("table", "left"),
        ("rows", "right"),
        ("version", "right"),
        ("size", "right"),
        ("", "left"),
    ):
        grid.add_column(name, justify=align, no_wrap=True)  # type: ignore[arg-type]
    for line in report.tables:
        mark = "new content" if line.changed else "as it was"
        grid.add_row(line.layer, line.table, f"{line.rows:,}", str(line.version), size_for_people(line.bytes), mark)
    console.print()
    console.print(grid)
    console.print()


def _print_served(report: Report, console: Console) -> None:
    for model in report.models:
        console.print(f"Model {model.model}: version {model.version} is champion, {model.metric} {model.value:.3f}")
    for name, said in report.decisions.items():
        console.print(f"  {name}: {said}", markup=False, highlight=False)
    if report.online is not None:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in report.online.documents.items())
        console.print(f"Served: version {report.online.version} of the online store: {counts}")
        if report.online.customers:
            console.print(f"  customers to ask about: {', '.join(report.online.customers)}")
        if report.online.no_offers:
            console.print(f"  no offers: {report.online.no_offers}", markup=False, highlight=False)


def _print_checks(report: Report, console: Console) -> None:
    failed = len(report.failed_checks)
    console.print(f"Checks: {report.checks_passed} passed, {failed} failed" + (":" if failed else ""))
    for check in report.failed_checks:
        console.print(f"  {check.asset} {check.check} ({check.severity}): {check.found}", markup=False, highlight=False)
