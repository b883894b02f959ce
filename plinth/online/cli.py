"""The commands `plinth online versions | rollback | withhold | show | prune | erase`.

What belongs here: arguments and printing. What does not: the work (`plinth.online.store`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table as Grid

from plinth.errors import PlinthError
from plinth.online.model import OnlineVersion
from plinth.platform import Platform, load_platform
from plinth.project import open_project

if TYPE_CHECKING:
    from plinth.online.store import OnlineStore

app = typer.Typer(
    no_args_is_help=True, help="What the API serves: the published versions, the way back, and single documents."
)

PlatformFile = Annotated[
    Path | None, typer.Option("--platform", help="Settings; by default the project's platform.yaml.")
]
Data = Annotated[Path | None, typer.Option(help="The store that was filled from this data file.")]


@app.command()
def versions(platform: PlatformFile = None, data: Data = None) -> None:
    """List the versions that are kept, the newest first; the one that readers see is marked."""
    with _opened(platform, data, read_only=True) as store:
        current, kept = store.current(), store.versions()
    grid = Grid("version", "published (UTC)", "confirmed (UTC)", "documents", "changed", "made from")
    for each in kept:
        mark = " ◀ served" if current is not None and each.id == current.id else ""
        grid.add_row(
            f"{each.id}{mark}", _time(each.published_at), _time(each.verified_at), _documents(each),
            f"{each.changed:,}", "\n".join(f"{name} {value}" for name, value in sorted(each.inputs.items())),
        )  # fmt: skip
    Console().print(grid if kept else "Nothing is published yet: materialise serving/online first (plinth run).")


@app.command()
def rollback(
    to: Annotated[int | None, typer.Argument(min=1, help="A version; by default the one before the current.")] = None,
    platform: PlatformFile = None,
    data: Data = None,
) -> None:
    """Serve an older version, from now on and until the next publish; its offers only for those who consent today."""
    with _opened(platform, data) as store:
        before = store.current()
        _withhold(_settings(platform, data), store)
        found = store.rollback(to)
    typer.echo(
        f"Version {found.id} of {_time(found.published_at)} UTC is served now"
        + (f", in the place of {before.id}." if before is not None else ".")
        + " The next publish ends that: pause it as long as its cause is not mended."
    )


@app.command()
def withhold(platform: PlatformFile = None, data: Data = None) -> None:
    """Hold the served offers against the newest silver/customers now; serving/withheld_offers does so in every run."""
    with _opened(platform, data) as store:
        store.set_up()
        _withhold(_settings(platform, data), store)


@app.command()
def show(
    kind: Annotated[str, typer.Argument(help="A kind of document, e.g. recommendations.")],
    key: Annotated[str | None, typer.Argument(help="Its key, e.g. a customer; without it the first keys.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="A version; by default the one that is served.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Keys to list.")] = 20,
    platform: PlatformFile = None,
    data: Data = None,
) -> None:
    """Print one document as the API would send it, or the first keys of a kind."""
    with _opened(platform, data, read_only=True) as store:
        if key is None:
            for name, found in store.scan(kind, None, limit, version):
                typer.echo(f"{name!r}: {len(found):,} bytes")
            return
        body = store.read(kind, key, version)
    if body is None:
        raise PlinthError(
            f"there is no document {kind} {key!r}",
            where=f"version {version}" if version else "the version that is served",
            remedy=f"`plinth online show {kind}` lists the first keys; `plinth online versions` counts the documents",
        )
    try:
        typer.echo(body.decode("utf-8"))
    except UnicodeDecodeError:
        typer.echo(f"{len(body):,} bytes, no text")


@app.command()
def prune(
    keep: Annotated[int, typer.Argument(min=1, help="How many of the newest versions stay.")],
    platform: PlatformFile = None,
    data: Data = None,
) -> None:
    """Take away old versions; the one that is served always stays."""
    with _opened(platform, data) as store:
        typer.echo(f"{store.prune(keep)} versions removed.")


@app.command()
def erase(
    customer: Annotated[str, typer.Argument(help="Whose events go: the number that the events name.")],
    platform: PlatformFile = None,
    data: Data = None,
) -> None:
    """Take all that a customer did out of the store's log and out of bronze/online_events: a part of an erasure request."""
    from plinth.lakehouse.tables import Lakehouse
    from plinth.online.erase import erase as work

    settings = _settings(platform, data)
    with _opened(platform, data) as store:
        found = work(Lakehouse(settings), store, customer)
    typer.echo(
        f"{found.in_store:,} events removed from the store, {found.in_bronze:,} from bronze/online_events. Older versions of the table keep "
        "their files until `plinth maintain --layer bronze --retention-hours 0`; docs/operations.md says what else an erasure takes."
    )


def _opened(platform: Path | None, data: Path | None, *, read_only: bool = False) -> OnlineStore:
    from plinth.online.store import OnlineStore

    return OnlineStore.of(_settings(platform, data), read_only=read_only)


def _settings(platform: Path | None, data: Path | None) -> Platform:
    return load_platform(platform) if platform is not None else open_project(data).platform


def _withhold(settings: Platform, store: OnlineStore) -> None:
    from plinth.lakehouse.tables import Lakehouse
    from plinth.serving.consents import withhold_offers

    found = withhold_offers(Lakehouse(settings), settings.profile(), store)
    why = "by today's silver/customers they do not consent" if found.known else "silver/customers was never made here"
    typer.echo(f"Offers of {found.customers:,} customers are shown to nobody: {why}.")


def _documents(version: OnlineVersion) -> str:
    return "\n".join(f"{kind} {count:,}" for kind, count in sorted(version.documents.items()))


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
