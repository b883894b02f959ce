"""`plinth sample`: the command line of the sample warehouse.

What belongs here: options, the progress bar, the report for people. What does not: any work.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from plinth.errors import PlinthError
from plinth.sample.spec import FIRST_DAY, AdvanceReport, SampleError, SampleReport, SampleSpec

DEFAULT_URL = "sqlite:///data/legacy/erp.sqlite"  # where platform.yaml looks for the system "erp"

app = typer.Typer(help="The sample legacy warehouse: write it, and move it on by days.", invoke_without_command=True)

To = Annotated[str, typer.Option("--to", help="sqlite:///path, postgresql://user@host/db or mysql://user@host/db")]


@app.callback()
def sample(
    context: typer.Context,
    to: To = DEFAULT_URL,
    customers: Annotated[int, typer.Option(help="customers on the last day")] = 2000,
    days: Annotated[int, typer.Option(help="calendar days of trade")] = 540,
    seed: Annotated[int, typer.Option(help="the same seed gives the same rows")] = 7,
    lines: Annotated[
        int | None, typer.Option(help="about how many invoice lines; decides the number of customers")
    ] = None,
    start: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help=f"first day [{FIRST_DAY}]")] = None,
    real: Annotated[
        Path | None, typer.Option("--from", help="online_retail_ii.parquet: load the real transactions")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="drop an older sample in this database first")] = False,
) -> None:
    """Writes a realistic legacy warehouse of a gift retailer into a database."""
    if context.invoked_subcommand is not None:
        context.obj = to
        return
    console = Console(stderr=True)
    try:
        if real is not None:
            _refuse_sizes(context)
            report = _load(console, to, real, seed, replace)
        else:
            spec = SampleSpec(customers, days, seed, start.date() if start else FIRST_DAY, lines)
            report = _write(console, to, spec, replace)
    except PlinthError as error:
        _fail(console, error)
    _show(report)


@app.command("advance")
def advance_command(
    context: typer.Context,
    days: Annotated[int, typer.Option(help="how many days to apply")] = 1,
    to: Annotated[str | None, typer.Option("--to", help=f"the warehouse's URL [{DEFAULT_URL}]")] = None,
) -> None:
    """Applies the next days to a sample warehouse: inserts, updates and deletes."""
    from plinth.sample.advancing import advance

    console = Console(stderr=True)
    try:
        with _Bar(console) as bar:
            report = advance(to or context.obj or DEFAULT_URL, days, progress=bar.show)
    except PlinthError as error:
        _fail(console, error)
    _show_changes(report)


def _refuse_sizes(context: typer.Context) -> None:
    options = ("customers", "days", "lines", "start")
    given = [
        name for name in options if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    ]
    if given:
        raise SampleError(
            "the real transactions have their own size",
            expected="--from without " + ", ".join(f"--{name}" for name in given),
            remedy="leave out either; `plinth sample advance` adds generated days to the real ones",
        )


def _write(console: Console, to: str, spec: SampleSpec, replace: bool) -> SampleReport:
    from plinth.sample.write import write_sample

    with _Bar(console) as bar:
        return write_sample(to, spec, replace=replace, progress=bar.show)


def _load(console: Console, to: str, parquet: Path, seed: int, replace: bool) -> SampleReport:
    from plinth.sample.retail import load_online_retail

    with _Bar(console) as bar:
        return load_online_retail(to, parquet, seed=seed, replace=replace, progress=bar.show)


def _fail(console: Console, error: PlinthError) -> None:
    console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)


class _Bar:
    """One line of progress per stage; on a terminal only, so that logs stay short."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, stage: str, done: int, total: int) -> None:
        """The progress callback."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)


def _show(report: SampleReport) -> None:
    table = Table()
    table.add_column("table")
    table.add_column("rows", justify="right")
    for each in report.tables:
        table.add_row(each.table, f"{each.rows:,}")
    _print(f"{report.address}: {report.first_day} to {report.last_day}, written in {report.seconds:.1f} s", table)


def _show_changes(report: AdvanceReport) -> None:
    table = Table()
    table.add_column("table")
    for name in ("inserted", "updated", "deleted"):
        table.add_column(name, justify="right")
    for each in report.tables:
        table.add_row(each.table, f"{each.inserted:,}", f"{each.updated:,}", f"{each.deleted:,}")
    _print(f"{report.address}: {report.days} days more, to {report.last_day}, in {report.seconds:.1f} s", table)


def _print(line: str, table: Table) -> None:
    console = Console()
    console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(table)
