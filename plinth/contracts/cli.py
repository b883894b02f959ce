"""The commands `plinth contract infer` and `plinth contract check`.

What belongs here: arguments, printing and exit codes. What does not: drafting (`infer`), comparing (`drift`) and trying rules (`trial`).

Exit codes: 0 all is well, 1 contract and database differ or a rule cannot run, 2 the command could not do its work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from plinth.contracts.drift import Difference, compare
from plinth.contracts.infer import infer as draft
from plinth.contracts.load import load_contract
from plinth.contracts.model import Contract, Table
from plinth.contracts.naming import snake
from plinth.errors import ConfigurationError, PlinthError
from plinth.platform import Platform, load_platform
from plinth.sources.catalogue import SourceTable

app = typer.Typer(no_args_is_help=True, help="Draft contracts from live databases, and compare the two.")

PlatformFile = Annotated[Path, typer.Option("--platform", help="The platform's settings.")]


@app.command()
def infer(
    url: Annotated[
        str,
        typer.Argument(
            help="postgresql://…, mysql://…, sqlite:///…, or the name of a source in platform.yaml."
        ),
    ],
    tables: Annotated[
        str | None, typer.Option(help="Only tables whose name matches, e.g. 'SALES.*' or 'INV*'.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Name of the source; by default that of the database.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; must not exist. By default the draft is printed.")
    ] = None,
    platform: PlatformFile = Path("platform.yaml"),
) -> None:
    """Write a first draft of a contract from a live database."""
    with _told():
        if out is not None and out.exists():
            raise ConfigurationError(
                "the draft would replace a contract",
                found="a file of that name",
                where=out,
                remedy="choose another name for --out",
            )
        found, address = _describe(url, tables, platform)
        name = source or (url if "://" not in url else snake(Path(urlsplit(address).path).stem) or "legacy")
        if not found:
            raise ConfigurationError(
                "no table was found",
                expected=f"tables that match {tables!r}" if tables else "at least one table",
                where=_without_secret(address),
            )
        dialect = urlsplit(address).scheme.split("+")[0]
        text = draft(found, source=name, dialect=dialect, origin=_without_secret(address))
        if out is None:
            typer.echo(text, nl=False)
            return
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
        load_contract(out, name)  # a draft that does not load would be our fault: say so now
    typer.echo(
        f"{len(found)} tables drafted in {out}. Read its guesses, then name the file under sources.{name}.contract in {platform}."
    )


@app.command()
def check(
    contract: Annotated[
        Path | None, typer.Argument(help="A contract file; by default those of all sources.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Name of a source in platform.yaml.")] = None,
    platform: PlatformFile = Path("platform.yaml"),
) -> None:
    """Compare contracts with their databases, and try their rules; exit code 1 where they differ."""
    console = Console()
    with _told():
        settings = load_platform(platform)
        names = _chosen(settings, contract, source)
        sound = [_check(console, settings, name) for name in names]
    raise typer.Exit(0 if all(sound) else 1)


def _check(console: Console, platform: Platform, name: str) -> bool:
    from plinth.contracts.trial import faulty_rules
    from plinth.sources import open_source

    contract = load_contract(platform.path(platform.source(name).contract), name)
    faults = faulty_rules(contract)
    opened = open_source(name, platform)
    try:
        live = opened.describe(None)
    finally:
        opened.close()
    console.print(f"[bold]{escape(name)}[/]: {escape(str(contract.path))}, {len(contract.tables)} tables")
    drift = [(table, _differences(table, live)) for table in contract.tables]
    drift = [(table, differences) for table, differences in drift if differences]
    if drift:
        console.print(_grid(drift))
    for fault in faults:
        console.print(f"[red]rule cannot run:[/] {escape(fault)}")
    others = _others(contract, live)
    if others:
        console.print(
            f"not in the contract: {len(others)} tables of the database ({escape(', '.join(others[:8]))}{'…' if len(others) > 8 else ''})"
        )
    if not drift and not faults:
        console.print("[green]contract and database agree[/]")
    return not drift and not faults


def _differences(table: Table, live: Sequence[SourceTable]) -> tuple[tuple[str, str, str, str], ...]:
    """Rows of the grid: what differs, where, and what either side says."""
    found = _find(table, live)
    if len(found) != 1:
        what = "table missing" if not found else "table in several schemas: name one in physicalName"
        schemas = ", ".join(each.schema or "" for each in found) or "no such table"
        return ((what, "-", table.physical_name, schemas),)
    return tuple(_row(each) for each in compare(table, found[0]))


def _row(difference: Difference) -> tuple[str, str, str, str]:
    return difference.kind.value, difference.column or "-", difference.expected, difference.found


def _find(table: Table, live: Sequence[SourceTable]) -> list[SourceTable]:
    named = [each for each in live if each.name == table.physical_name]
    return [each for each in named if table.physical_schema is None or each.schema == table.physical_schema]


def _others(contract: Contract, live: Sequence[SourceTable]) -> list[str]:
    covered = {id(found) for table in contract.tables for found in _find(table, live)}
    return sorted(each.name for each in live if id(each) not in covered)


def _grid(drift: list[tuple[Table, tuple[tuple[str, str, str, str], ...]]]) -> Grid:
    grid = Grid("table", "difference", "column", "contract", "database", "policy")
    for table, differences in drift:
        for row in differences:
            grid.add_row(*(escape(cell) for cell in (table.name, *row, table.drift.value)))
    return grid


def _describe(url: str, pattern: str | None, platform: Path) -> tuple[tuple[SourceTable, ...], str]:
    """The tables that match, and the address they came from (it may hold a password)."""
    from plinth.sources import open_source, open_url

    if "://" in url:
        address, opened = url, open_url(url)
    else:
        settings = load_platform(platform)
        address, opened = settings.source_url(url), open_source(url, settings)
    try:
        return opened.describe(pattern), address
    finally:
        opened.close()


def _chosen(platform: Platform, contract: Path | None, source: str | None) -> list[str]:
    if source is not None:
        platform.source(source)
        return [source]
    if contract is None:
        return list(platform.sources)
    names = [
        name for name, each in platform.sources.items() if platform.path(each.contract) == contract.resolve()
    ]
    if not names:
        declared = ", ".join(f"{each.contract} ({name})" for name, each in platform.sources.items()) or "none"
        raise ConfigurationError(
            "no source has this contract",
            expected=f"one of {declared}",
            found=contract,
            where="platform.yaml, sources",
            remedy="declare the source with its url and this contract",
        )
    return names


def _without_secret(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


@contextmanager
def _told() -> Iterator[None]:
    """Prints an error of ours as it reads, without a trace of the calls."""
    try:
        yield
    except PlinthError as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(2) from error
