"""Options that commands share, and the one rule by which a command that is not told finds its project: the one that was run last.

What belongs here: `--data`, `--sample`, `--platform`, and what they lead to. What does not: which project that is (`plinth.newest`). The rule holds
for every command that looks at, serves or changes what runs have made. `run` does what it is told, since a run must not depend on the one before;
`sample`, `contract` and `dbt` are about the project's own files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plinth.newest import project_to_show
from plinth.platform import Platform, load_platform
from plinth.project import Project

PlatformFile = Annotated[
    Path | None, typer.Option("--platform", help="Settings; by default those of the project that was run last.")
]
Data = Annotated[Path | None, typer.Option(help="The project of this data file; by default the one that was run last.")]
Itself = Annotated[bool, typer.Option("--sample", help="The project itself, also where data were run last.")]


def project_of(data: Path | None, sample: bool) -> Project:
    """The project that a command is about; says so on the standard error where that is not the project itself.

    Raises:
        ConfigurationError: as `open_project`.
    """
    project, other = project_to_show(data, itself=sample)
    if other:
        typer.echo(f"Of {project.called}, which was run last; of the project itself: --sample", err=True)
    return project


def settings_of(platform: Path | None, data: Path | None, sample: bool) -> Platform:
    """The settings that a command goes by.

    Raises:
        ConfigurationError: as `load_platform` and `open_project`.
    """
    return load_platform(platform) if platform is not None else project_of(data, sample).platform
