"""The commands `plinth contract infer` and `plinth contract check`.

What belongs here: arguments, printing and exit codes. What does not: drafting (`infer`), comparing (`drift`) and trying rules (`trial`).

Exit codes: 0 all is well, 1 contract and database differ or a rule cannot run, 2 the command could not do its work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from plinth.contracts.drift import STOPS, compare, consequence
from plinth.contracts.infer import infer as draft
from plinth.contracts.load import load_contract
from plinth.contracts.model import Table
from plinth.contracts.naming import snake
from plinth.errors import ConfigurationError, PlinthError, SourceUnreadable
from plinth.platform import Platform, load_platform
from plinth.project import open_project
from plinth.sources.catalogue import SourceTable

if TYPE_CHECKING:
    from plinth.sources import Source

app = typer.Typer(no_args_is_help=True, help="Draft contracts from live databases, and compare the two.")

PlatformFile = Annotated[
    Path | None, typer.Option("--platform", help="Settings; by default the project's platform.yaml.")
]


@app.command()
def infer(
    url: Annotated[
        str,
        typer.Argument(help="postgresql://…, mysql://…, sqlite:///…, or the name of a source in platform.yaml."),
    ],
    tables: Annotated[
        str | None, typer.Option(help="Only tables whose name matches, e.g. 'SALES.*' or 'INV*'.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Name of the source; by default that of the database.")] = None,
    prefix: Annotated[
        str, typer.Option(help="Goes before each table's name, where another source has tables of the same names.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="File to write; must not exist. By default the draft is printed.")
    ] = None,
    platform: PlatformFile = None,
) -> None:
    """Write a first draft of a contract from a live database."""
    with _told():
        if out is not None and out.exists():
            raise ConfigurationError(
                "the draft would replace a file",
                found="a file of that name",
                where=out,
                remedy="choose another name for --out",
            )
        opened = _open(url, platform)
        try:
            found = opened.describe(tables)
        finally:
            opened.close()
        drafted = [table for table in found if table.columns]
        if not drafted:
            expected = f"tables that match {tables!r}" if tables else "at least one table that this user may see"
            raise ConfigurationError("no table was found", expected=expected, where=opened.address)
        name = source or (url if "://" not in url else snake(Path(opened.address.database).stem) or "legacy")
        text = draft(
            found,
            source=name,
            dialect=opened.dialect,
            origin=str(opened.address),
            home=opened.home_schema,
            prefix=prefix,
        )
        if out is None:
            typer.echo(text, nl=False)
            return
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
        load_contract(out, name)  # a draft that does not load would be our fault: say so now
    typer.echo(
        f"{_count(drafted)} drafted in {out}. Read its guesses, then name the file in platform.yaml: sources.{name}.contract"
    )


@app.command()
def check(
    contract: Annotated[Path | None, typer.Argument(help="A contract file; by default those of all sources.")] = None,
    source: Annotated[str | None, typer.Option(help="Name of a source in platform.yaml.")] = None,
    platform: PlatformFile = None,
) -> None:
    """Compare contracts with their databases, and try their rules; exit code 1 where they differ."""
    console = Console()
    with _told():
        settings = _settings(platform)
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
        live = {(each.schema, each.name): each for each in opened.describe(None)}
        found = {table.name: _find(table, live, opened) for table in contract.tables}
    finally:
        opened.close()
    console.print(
        f"[bold]{escape(name)}[/]: {_count(contract.tables)} of {escape(str(contract.path))} against {escape(str(opened.address))}"
    )
    drift = [(table, _differences(table, found[table.name])) for table in contract.tables]
    drift = [(table, differences) for table, differences in drift if differences]
    if drift:
        console.print(_grid(drift))
    for fault in faults:
        console.print(f"[red]rule cannot run:[/] {escape(fault)}")
    covered = {id(each) for each in found.values()}
    others = sorted(each.name for each in live.values() if id(each) not in covered)
    if others:
        shown = ", ".join(others[:8]) + ("…" if len(others) > 8 else "")
        console.print(f"not in the contract: {_count(others)} of the database ({escape(shown)})")
    if not drift and not faults:
        console.print("[green]contract and database agree[/]")
    return not drift and not faults


def _find(
    table: Table, live: dict[tuple[str | None, str], SourceTable], source: Source
) -> SourceTable | SourceUnreadable:
    """The live table, or why there is none. The source is asked only for what needs its own rules, such as a search path."""
    exact = live.get((table.physical_schema, table.physical_name))
    if exact is not None:
        return exact
    try:
        found = source.describe_table(table)
    except SourceUnreadable as reason:
        return reason
    return live.get((found.schema, found.name), found)


def _differences(table: Table, found: SourceTable | SourceUnreadable) -> tuple[tuple[str, ...], ...]:
    """Rows of the grid: what differs, where, and what either side says."""
    if isinstance(found, SourceUnreadable):
        return (("table missing", "-", table.physical_name, found.what, STOPS),)
    return tuple(
        (each.kind.value, each.column or "-", each.expected, each.found, consequence(table, each))
        for each in compare(table, found)
    )


def _grid(drift: list[tuple[Table, tuple[tuple[str, ...], ...]]]) -> Grid:
    grid = Grid("table", "difference", "column", "contract", "database", "next load")
    for table, differences in drift:
        for row in differences:
            grid.add_row(*(escape(cell) for cell in (table.name, *row)))
    return grid


def _settings(platform: Path | None) -> Platform:
    return load_platform(platform) if platform is not None else open_project().platform


def _open(url: str, platform: Path | None) -> Source:
    """The database at a URL, or of a source that `platform.yaml` declares."""
    from plinth.sources import open_source, open_url

    return open_url(url) if "://" in url else open_source(url, _settings(platform))


def _chosen(platform: Platform, contract: Path | None, source: str | None) -> list[str]:
    if source is not None:
        platform.source(source)
        return [source]
    if contract is None:
        return list(platform.sources)
    names = [name for name, each in platform.sources.items() if platform.path(each.contract) == contract.resolve()]
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


def _count(tables: Sequence[object]) -> str:
    return f"{len(tables)} table{'' if len(tables) == 1 else 's'}"


@contextmanager
def _told() -> Iterator[None]:
    """Prints an error of ours as it reads, without a trace of the calls."""
    try:
        yield
    except PlinthError as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(2) from error
