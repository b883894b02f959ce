"""The `plinth` command: its subcommands are loaded when they are called, so that `plinth --help` and completion answer at once.

What belongs here: names, one line of help each, where each stands, and how an error is shown. What does not: what a subcommand does.

Exit codes: 0 it worked, 1 it did not and the message says why, 2 the command line was wrong.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from plinth.errors import PlinthError
from plinth.objects.faults import reading_faults

# Modules above this library are named, not imported: arrows run one way, and Dagster alone takes more than a second to load.
_ELSEWHERE = {
    "run": "jobs.cli:run",
    "ingest": "jobs.cli:ingest",
    "sample": "plinth.sample.cli:app",
    "contract": "plinth.contracts.cli:app",
    "quarantine": "plinth.ingest.quarantine_cli:app",
    "show": "plinth.lakehouse.cli:show",
    "maintain": "plinth.lakehouse.cli:maintain",
    "model": "plinth.registry.cli:app",
    "online": "plinth.online.cli:app",
    "serve": "api.cli:serve",
    "key": "api.keys.cli:app",
}


class LazyGroup(TyperGroup):
    """A group that imports a subcommand when it is asked for, and shows errors of the platform as text."""

    def list_commands(self, context: Any) -> list[str]:
        """The names in the order in which a newcomer needs them."""
        return [*_ELSEWHERE, *(name for name in super().list_commands(context) if name not in _ELSEWHERE)]

    def get_command(self, context: Any, name: str) -> Any:
        """The subcommand, imported now."""
        if name not in _ELSEWHERE:
            return super().get_command(context, name)
        module, _, attribute = _ELSEWHERE[name].partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if isinstance(found, typer.Typer):
            command = typer.main.get_command(found)
        else:
            alone = typer.Typer(add_completion=False)
            alone.command()(found)
            command = typer.main.get_command(alone)
        command.name = name
        return command

    def invoke(self, context: Any) -> Any:
        """Runs the subcommand; an error of the platform is printed in full and without a traceback."""
        try:
            with reading_faults():
                return super().invoke(context)
        except PlinthError as error:
            typer.echo(f"{type(error).__name__}: {error}", err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_show_locals=False,
    help="Plinth: from legacy warehouses to a governed lakehouse, models and APIs.",
)


@app.command()
def report(
    data: Annotated[Path | None, typer.Option(help="The report of this data file's project.")] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="That of the project itself, also where data were run last.")
    ] = False,
) -> None:
    """Print the report of the newest run once more."""
    from rich.console import Console

    from plinth.newest import newest_report, project_to_show
    from plinth.report import print_report

    project, other = project_to_show(data, itself=sample)
    found = newest_report(project)
    if other:
        typer.echo(f"Report of {project.called}, which was run last; of the project itself: plinth report --sample")
    print_report(found, Console(highlight=False, soft_wrap=True))


@app.command()
def ui(
    data: Annotated[Path | None, typer.Option(help="Show the project of this data file.")] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Show the project itself, also where data were run last.")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to listen on. Dagster has no login: keep it local.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
) -> None:
    """Open the Dagster UI, with schedules and sensors, on the instance of the newest run."""
    from plinth.listening import require_free
    from plinth.newest import project_to_show

    # Dagster's web server would end, and its daemon go on without anybody seeing it.
    require_free(
        host, port, remedy=f"perhaps the UI is open already at http://{host}:{port}; else make ui PORT=<another>"
    )
    project, other = project_to_show(data, itself=sample)
    if other:
        typer.echo(f"Showing {project.called}, which was run last; the project itself: plinth ui --sample")
    project.prepare()
    typer.echo(f"Dagster UI: http://{host}:{port} (ends with Ctrl-C)")
    # `dagster dev` warns that `dg dev` supersedes it, which the core install does not have, and of the dagster.yaml that it is started beside.
    os.environ["PYTHONWARNINGS"] = "ignore:Function `dev_command` is superseded"
    os.chdir(project.instance)
    workspace = str(project.home / "workspace.yaml")
    # In the place of this process, so that a signal to end reaches Dagster itself and leaves no server behind.
    os.execv(sys.executable, [sys.executable, "-m", "jobs.ui", "dev", "-w", workspace, "-h", host, "-p", str(port)])


if __name__ == "__main__":
    app()
