"""The commands `plinth online setup | versions | rollback | withhold | show | prune | erase`.

What belongs here: arguments and printing. What does not: the work (`plinth.online.store`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from plinth.errors import PlinthError
from plinth.options import Data, Itself, PlatformFile, settings_of
from plinth.platform import Platform

if TYPE_CHECKING:
    from plinth.online.store import OnlineStore

app = typer.Typer(
    no_args_is_help=True, help="What the API serves: the published versions, the way back, and single documents."
)


@app.command()
def setup(platform: PlatformFile = None, data: Data = None, sample: Itself = False) -> None:
    """Make the store's tables where they are missing; the first publish does it by itself, and a deployment does it before."""
    with _opened(settings_of(platform, data, sample)) as store:
        store.set_up()
    typer.echo("The tables of the online store are there.")


@app.command()
def versions(platform: PlatformFile = None, data: Data = None, sample: Itself = False) -> None:
    """List the versions that are kept, the newest first; the one that readers see is marked."""
    with _opened(settings_of(platform, data, sample), read_only=True) as store:
        current, kept = store.current(), store.versions()
    console = Console(highlight=False)
    if not kept:
        console.print("Nothing is published yet: materialise serving/online first (plinth run).")
    for each in kept:
        # Some lines a version and no grid: in 80 columns, and in a pipe, a grid cuts the names of what a version was made from.
        mark = "  ◀ served" if current is not None and each.id == current.id else ""
        confirmed = f", confirmed {_time(each.verified_at)}" if each.verified_at > each.published_at else ""
        console.print(Text(f"version {each.id}{mark}  published {_time(each.published_at)} UTC{confirmed}"))
        documents = ", ".join(f"{count:,} {kind}" for kind, count in sorted(each.documents.items()))
        made = ", ".join(f"{name} {value}" for name, value in sorted(each.inputs.items()))
        for line in (f"{documents}; {each.changed:,} documents changed", f"made from {made}"):
            console.print(Padding(Text(line), (0, 0, 0, 4)))


@app.command()
def rollback(
    to: Annotated[int | None, typer.Argument(min=1, help="A version; by default the one before the current.")] = None,
    platform: PlatformFile = None,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Serve an older version, from now on and until the next publish; its offers only for those who consent today."""
    settings = settings_of(platform, data, sample)
    with _opened(settings) as store:
        before = store.current()
        _withhold(settings, store)
        found = store.rollback(to)
    typer.echo(
        f"Version {found.id} of {_time(found.published_at)} UTC is served now"
        + (f", in the place of {before.id}." if before is not None else ".")
        + " The next publish ends that: pause it as long as its cause is not mended."
    )


@app.command()
def withhold(platform: PlatformFile = None, data: Data = None, sample: Itself = False) -> None:
    """Hold the served offers against the newest silver/customers now; serving/withheld_offers does so in every run."""
    settings = settings_of(platform, data, sample)
    with _opened(settings) as store:
        store.set_up()
        _withhold(settings, store)


@app.command()
def show(
    kind: Annotated[str, typer.Argument(help="A kind of document, e.g. recommendations.")],
    key: Annotated[str | None, typer.Argument(help="Its key, e.g. a customer; without it the first keys.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="A version; by default the one that is served.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Keys to list.")] = 20,
    platform: PlatformFile = None,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Print one document as the API would send it, or the first keys of a kind."""
    with _opened(settings_of(platform, data, sample), read_only=True) as store:
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
    sample: Itself = False,
) -> None:
    """Take away old versions; the one that is served always stays."""
    with _opened(settings_of(platform, data, sample)) as store:
        typer.echo(f"{store.prune(keep)} versions removed.")


@app.command()
def erase(
    customer: Annotated[str, typer.Argument(help="Whose events go: the number that the events name.")],
    platform: PlatformFile = None,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Take all that a customer did out of the store's log and out of bronze/online_events: a part of an erasure request."""
    from plinth.lakehouse.tables import Lakehouse
    from plinth.online.erase import erase as work

    settings = settings_of(platform, data, sample)
    with _opened(settings) as store:
        found = work(Lakehouse(settings), store, customer)
    typer.echo(
        f"{found.in_store:,} events removed from the store, {found.in_bronze:,} from bronze/online_events. Older versions of the table keep "
        "their files until `plinth maintain --layer bronze --retention-hours 0`; docs/operations.md says what else an erasure takes."
    )


def _opened(settings: Platform, *, read_only: bool = False) -> OnlineStore:
    from plinth.online.store import OnlineStore

    return OnlineStore.of(settings, read_only=read_only)


def _withhold(settings: Platform, store: OnlineStore) -> None:
    from plinth.lakehouse.tables import Lakehouse
    from plinth.serving.consents import withhold_offers

    found = withhold_offers(Lakehouse(settings), settings.profile(), store)
    why = "by today's silver/customers they do not consent" if found.known else "silver/customers was never made here"
    typer.echo(f"Offers of {found.customers:,} customers are shown to nobody: {why}.")


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
