"""The command `plinth dbt`: dbt on the project's models, with the platform's settings, from any folder.

What belongs here: arguments and environment. What does not: what dbt then does (`plinth.dbt_plugin`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import typer

app = typer.Typer(help="Run dbt on silver and gold: plinth dbt build --select items, plinth dbt prepare.")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def dbt(context: typer.Context) -> None:
    """Run a dbt command on the project's models, stored through the platform; `prepare` parses the project for the definitions."""
    from plinth.project import open_project
    from plinth.transform.invoke import settings_of
    from plinth.transform.project import prepare

    project = open_project()
    folder = project.platform.path("dbt_project")
    if context.args == ["prepare"]:
        prepared = prepare(folder)
        typer.echo(f"{len(prepared.models)} models and {len(prepared.tests)} tests are prepared in {prepared.parsed}")
        return
    environment = {
        **os.environ,
        **project.environment(),
        **settings_of(project.platform),
        "PLINTH_PLATFORM_FILE": str(project.home / "platform.yaml"),
    }
    where = ["--project-dir", str(folder), "--profiles-dir", str(folder)]
    tool = str(Path(sys.executable).with_name("dbt"))
    raise typer.Exit(subprocess.run([tool, *context.args, *where], env=environment, check=False).returncode)
