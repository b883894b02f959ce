"""The commands `plinth run` and `plinth ingest`: arguments, the sample warehouse when it is missing, progress, and the report.

What belongs here: the order of things for one command. What does not: running a job (`jobs.launch`) and what the report says
(`plinth.report`).
"""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from plinth.options import Data, Itself, project_of
from plinth.platform import OVERLAY_VARIABLE
from plinth.project import SAMPLE_SOURCE, Project, open_project

if TYPE_CHECKING:
    from jobs.follow import Tell
    from jobs.launch import Ran
    from plinth.report import Report

run = typer.Typer(help="Run the main job: from the legacy systems to gold.")
ingest = typer.Typer(help="Bring one bronze table up to its legacy table.")


@run.command()
def run_refresh(
    data: Annotated[
        Path | None,
        typer.Option(help="online_retail_ii.parquet: load these real transactions instead of the sample, beside it."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run the job also where nothing has changed.")] = False,
) -> None:
    """Run the main job: read what changed in the legacy systems, check it, build all that follows up to the published serving tables, and report.

    Without a legacy system of your own, a sample of one is written first.
    """
    started, at = time.monotonic(), datetime.now(UTC)
    console = Console(highlight=False, soft_wrap=True)
    project = open_project(data)
    project.prepare()
    write_legacy(project, data, console)
    report = refresh(project, console, started, at, force=force)
    report.write(project.last_report)
    report.write(project.report)
    from plinth.report import FAILED, is_interrupted, print_report

    if is_interrupted(report.failures):
        console.print("Interrupted. What was published stays; run again to go on.", style="bold")
        raise typer.Exit(130)
    print_report(report, console)
    if report.status == FAILED:
        raise typer.Exit(1)


@ingest.command()
def ingest_table(
    table: Annotated[str, typer.Argument(help="A table of a contract, e.g. customer.")],
    full: Annotated[
        bool, typer.Option("--full", help="Read every row, also where the cursor would allow less.")
    ] = False,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Bring one bronze table up to its legacy table, and check it."""
    console = Console(highlight=False, soft_wrap=True)
    project = project_of(data, sample)
    project.prepare()
    from plinth.catalogue import find_table, load_contracts

    wanted = find_table(load_contracts(project.platform), table)
    import dagster as dg

    from jobs.launch import load_repository, run_job
    from jobs.stages import INGEST

    config = {"ops": {f"bronze__{wanted.name}": {"config": {"full": full}}}}
    with dg.DagsterInstance.get() as instance:
        ran = run_job(
            load_repository(project.home),
            instance,
            INGEST,
            console.print,
            assets=[dg.AssetKey(["bronze", wanted.name])],
            config=config,
        )
    for failure in ran.seen.failures:
        console.print(failure.error, markup=False)
    if not ran.success:
        raise typer.Exit(1)


def write_legacy(project: Project, data: Path | None, console: Console) -> None:
    """Writes the sample's warehouse, or loads the data file into one, where the source that stands for it is a file that is not there yet."""
    source = project.platform.sources.get(SAMPLE_SOURCE)
    if source is None or source.url is None or not source.url.startswith("sqlite:///"):
        return
    url = project.platform.source_url(SAMPLE_SOURCE)
    file = Path(url.removeprefix("sqlite:///"))
    if file.exists():
        return
    from plinth.sample.retail import load_online_retail
    from plinth.sample.spec import SampleSpec
    from plinth.sample.write import write_sample

    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.draft")
    draft.unlink(missing_ok=True)
    shown = Stages(console)
    if data is None:
        console.print(f"There is no legacy system yet: writing a sample of one to {file} …")
        made = write_sample(f"sqlite:///{draft}", SampleSpec(), progress=shown)
    else:
        console.print(f"Loading {data} into the schema of the sample's legacy system at {file} …")
        made = load_online_retail(f"sqlite:///{draft}", data, progress=shown)
    draft.rename(file)  # a warehouse that was cut off while it was written is not taken for one
    rows = sum(each.rows for each in made.tables)
    console.print(
        f"{rows:,} rows in {len(made.tables)} tables, {made.first_day} to {made.last_day}, {made.seconds:.1f} s"
    )


class Stages:
    """The progress of the sample's writer: one line for each stage as it begins."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self._stage = stage
            self._console.print(f"  {stage} …")


def refresh(project: Project, console: Console, started: float, at: datetime, *, force: bool) -> Report:
    """Runs the refresh job unless nothing has changed, and gathers what it came to."""
    import dagster as dg

    from jobs.due import reasons_to_run
    from jobs.launch import load_repository, run_on
    from jobs.stages import REFRESH

    console.print("Loading the definitions …")
    repository = load_repository(project.home)
    if not force:
        reasons = reasons_to_run(project, repository)
        if not reasons:
            return gathered(project, started, at, None, 0.0)
        console.print(
            f"To do: {'; '.join(reasons[:4])}" + (f" and {len(reasons) - 4} more" if len(reasons) > 4 else "")
        )
    began = time.monotonic()
    with dg.DagsterInstance.get() as instance:
        ran = run_on(repository, instance, REFRESH, progress(console, began))
    return gathered(project, started, at, ran, time.monotonic() - began)


def progress(console: Console, began: float) -> Tell:
    """Prints a line with the seconds since the job began."""
    return lambda line: console.print(f"{time.monotonic() - began:6.1f} s  {line}", markup=False)


def gathered(project: Project, started: float, at: datetime, ran: Ran | None, job_seconds: float) -> Report:
    """The report of a run, or of the finding that none is needed (`ran` is None)."""
    from plinth.lakehouse.tables import Lakehouse
    from plinth.report import FAILED, SUCCEEDED, UNCHANGED, Report, quarantine_lines, read_report, table_lines
    from plinth.serving.report import champion_lines, online_line

    lakehouse = Lakehouse(project.platform)
    status = UNCHANGED if ran is None else SUCCEEDED if ran.success else FAILED
    # A run that was not needed has no results of its own: the checks of the content that is held are those of the run before.
    checks = ran.seen if ran is not None else read_report(project.last_report)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Report(
        dataset=project.dataset,
        status=status,
        started_at=at.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - started, 2),
        job_seconds=round(job_seconds, 2),
        peak_memory_mb=round(peak / 1024, 1),
        run_id=ran.run_id if ran is not None else None,
        tables=table_lines(lakehouse, ran.runs if ran is not None else ()),
        checks_passed=checks.checks_passed,
        failed_checks=list(checks.failed_checks),
        quarantine=quarantine_lines(lakehouse),
        drift=list(checks.drift),
        models=champion_lines(project.platform),
        decisions=dict(checks.decisions),
        online=online_line(project.platform),
        failures=ran.seen.failures if ran is not None else (),
        instance=str(project.instance),
        overlay=str(project.overlay) if project.overlay is not None else None,
        roots=project.roots,
        next=next_steps(status, project),
    )


def next_steps(status: str, project: Project) -> list[str]:
    """What to open or do after a run."""
    from plinth.report import FAILED

    if status == FAILED:
        return [
            "mend what is named above and run again: what was published stays, the rest is taken up where it stopped"
        ]
    # An overlay that the environment named for one command has to be named for the next one too; `--data` is remembered by the report.
    prefix = f"{OVERLAY_VARIABLE}={_shown(project.overlay)} " if project.overlay and project.dataset == "sample" else ""
    steps = [
        (f"{prefix}make ui", "the assets, their checks, models and this run in Dagster, at the address that it prints"),
        (f"{prefix}make serve", "the API on what this run published, with a key to try it and a request to begin with"),
    ]
    advance = _advance(project)
    if advance:
        steps.append(
            (f"{advance} && {prefix}make run", "a day of trade in the legacy system, and what follows from it")
        )
    report = f"this report again; as JSON in {_shown(project.report)}"
    steps.append((f"{prefix}{command_name()} report", report))
    return [f"{command:<55} {what}" for command, what in steps]


def _advance(project: Project) -> str | None:
    """The command that applies a day to the sample's warehouse; None where the project has none."""
    source = project.platform.sources.get(SAMPLE_SOURCE)
    if project.dataset != "sample" or source is None or not (source.url or "").startswith("sqlite:///"):
        return None
    file = Path(project.platform.source_url(SAMPLE_SOURCE).removeprefix("sqlite:///"))
    from plinth.sample.cli import DEFAULT_URL

    usual = file == Path(DEFAULT_URL.removeprefix("sqlite:///")).resolve()
    return f"{command_name()} sample advance --days 1" + ("" if usual else f" --to sqlite:///{_shown(file)}")


def _shown(path: Path) -> str:
    """A path as one would type it here."""
    return shlex.quote(os.path.relpath(path))


def command_name() -> str:
    """How to call `plinth` from here: by its name where the environment is active, else by its path."""
    beside = Path(sys.executable).with_name("plinth")
    return "plinth" if shutil.which("plinth") == str(beside) else os.path.relpath(beside)
