"""The commands `plinth model list | show | rollback | promote`.

What belongs here: arguments and printing. What does not: the rules of what may be served (`plinth.registry.champions`).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from plinth.options import Data, Itself, PlatformFile, project_of, settings_of
from plinth.project import Project
from plinth.registry.errors import ModelMissing
from plinth.registry.registry import Registry
from plinth.registry.version import RegisteredVersion

app = typer.Typer(
    no_args_is_help=True, help="Trained models: which versions there are, which one is served, and the way back."
)

ModelName = Annotated[str, typer.Argument(help="A model, e.g. recommender.")]
Publish = Annotated[
    bool, typer.Option(help="Publish at once what the champion says; else the next run or the sensor does.")
]
Version = Annotated[int, typer.Argument(min=1, help="A version of `plinth model list`.")]
_SHORT = 12
_HIDDEN = ("plinth.contents",)  # for comparing, not for reading


@app.command("list")
def list_(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    platform: PlatformFile = None,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Show the versions of every model, the newest first, and what was decided about each."""
    registry = _opened(platform, data, sample)
    names = [model] if model else registry.models()
    console = Console(highlight=False)
    found = {name: registry.versions(name) for name in names}
    if model and not found[model]:
        raise _unknown(registry, model)
    if not any(found.values()):
        console.print("No model is registered yet: materialise models/… first (plinth run).")
    for each in (version for versions in found.values() for version in versions):
        # Two lines a version and no grid: in 80 columns, and in a pipe, every word of a grid of seven columns is cut.
        alias = f"  {', '.join(each.aliases)}" if each.aliases else ""
        figure = f"  {_figure(each)}" if _figure(each) else ""
        console.print(
            Text(f"{each}{alias}  {each.created_at:%Y-%m-%d %H:%M} UTC{figure}  digest {each.digest[:_SHORT]}")
        )
        console.print(Padding(Text(_said(each)), (0, 0, 0, 4)))


@app.command()
def show(
    model: ModelName,
    version: Annotated[int | None, typer.Argument(min=1, help="A version; by default the champion.")] = None,
    platform: PlatformFile = None,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Show all that is known of a version: figures, settings, the tables it was made from, and the decision."""
    registry = _opened(platform, data, sample)
    found = registry.champion(model) if version is None else registry.version(model, version)
    if found is None:
        raise _unknown(registry, model, version)
    console = Console()
    facts = {
        "model": str(found), "alias": ", ".join(found.aliases) or "none", "registered": f"{found.created_at:%Y-%m-%d %H:%M:%S} UTC",
        "digest": found.digest, "seed": str(found.seed), "code": found.code or "not recorded",
        "snapshot of the figures": found.evaluated_on or "not recorded", "decision": _said(found),
        **{name.removeprefix("plinth."): value for name, value in found.tags.items() if value and name not in _HIDDEN},
    }  # fmt: skip
    console.print(_pairs("", "", facts))
    console.print(_pairs("figure", "value", {name: f"{value:,.4f}" for name, value in found.metrics.items()}))
    console.print(_pairs("setting", "value", found.parameters))
    console.print(_pairs("table read", "Delta version", {name: str(number) for name, number in found.inputs.items()}))
    console.print(_pairs("file", "sha256", found.files))


@app.command()
def rollback(
    model: ModelName,
    to: Annotated[
        int | None, typer.Option(min=1, help="The version to return to; by default the champion before.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    publish: Publish = True,
    platform: PlatformFile = None,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Put an earlier champion back, and publish what it says; the version that is taken out comes back by hand only."""
    project = project_of(data, sample) if platform is None else None
    registry = Registry.of(project.platform if project is not None else settings_of(platform, data, sample))
    before = registry.champion(model)
    _follow(before, registry.rollback(model, to, reason=reason), project if publish else None)


@app.command()
def promote(
    model: ModelName,
    version: Version,
    publish: Publish = True,
    platform: PlatformFile = None,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Make a version the champion by hand, whatever its figures, and publish what it says."""
    project = project_of(data, sample) if platform is None else None
    registry = Registry.of(project.platform if project is not None else settings_of(platform, data, sample))
    before = registry.champion(model)
    _follow(before, registry.promote(model, version), project if publish else None)


def _opened(platform: Path | None, data: Path | None, sample: bool) -> Registry:
    return Registry.of(settings_of(platform, data, sample))


def _unknown(registry: Registry, model: str, version: int | None = None) -> ModelMissing:
    known = {name: [str(each.version) for each in registry.versions(name)] for name in registry.models()}
    if known.get(model):
        what = f"{model} has no version {version}" if version else f"{model} has no champion"
        expected = f"one of its versions {', '.join(known[model])}"
    else:
        what, expected = f"there is no model {model!r}", f"one of {', '.join(known) or 'none is registered yet'}"
    return ModelMissing(
        what, expected=expected, found=version or model, remedy="`plinth model list` shows what there is"
    )


def _follow(before: RegisteredVersion | None, now: RegisteredVersion, project: Project | None) -> None:
    """Says what changed, and brings it to what is served where there is a project to do that in."""
    if before is not None and before.version == now.version:
        # What it says is published all the same: a publish that failed after an earlier change is made up for so.
        typer.echo(f"{now} is the champion already.")
    else:
        typer.echo(f"{now} is the champion" + (f", in the place of version {before.version}." if before else "."))
    if project is None:
        typer.echo(
            "What is served stays as it is until the next publish: the job publish, `plinth run`, or the sensor champion_changes."
        )
        return
    # Named, not imported: jobs stand above this library, and Dagster alone takes more than a second to load.
    if not importlib.import_module("jobs.publishing").publish_champions(project):
        raise typer.Exit(1)


def _figure(version: RegisteredVersion) -> str:
    metric = version.decision.metric if version.decision else ""
    return f"{metric} {version.metrics[metric]:.4f}" if metric in version.metrics else ""


def _said(version: RegisteredVersion) -> str:
    if version.rolled_back is not None:
        return f"rolled back {version.rolled_back}"
    if version.decision is None:
        return "not compared yet"
    return ("promoted: " if version.decision.promoted else "kept out: ") + version.decision.reason


def _pairs(left: str, right: str, values: Mapping[str, str]) -> Grid:
    grid = Grid(left, right, show_header=bool(left))
    for name, value in values.items():
        grid.add_row(name, value)
    return grid
