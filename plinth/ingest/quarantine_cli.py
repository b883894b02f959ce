"""The commands `plinth quarantine list | show | export | replay | drop`.

What belongs here: arguments, files of rows, printing. What does not: what a replay does (`plinth.ingest.replay`).

Rows leave and come back as JSON lines: `{"id": …, "rule": …, "reason": …, "row": {column: text or null}}`. They hold the same personal
data as the table, so `list` prints counts only, `show` prints to the terminal alone, and `export` writes a file that only its owner can read.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table as Grid

from plinth.catalogue import find_table, load_contracts
from plinth.contracts.model import Table
from plinth.errors import PlinthError
from plinth.ingest.replay import MendedRow, replay
from plinth.options import Data, Itself, PlatformFile, settings_of

if TYPE_CHECKING:
    from plinth.lakehouse.tables import Lakehouse

app = typer.Typer(no_args_is_help=True, help="Rows that broke their contract: look at them, mend them, put them back.")

TableName = Annotated[str, typer.Argument(help="A contract table, with or without bronze/ before it.")]
RuleName = Annotated[str | None, typer.Option(help="Only rows that broke this rule.")]


@app.command("list")
def list_(platform: PlatformFile = None, data: Data = None, sample: Itself = False) -> None:
    """Show how many rows each table holds back, by rule, and those of a load that was refused as a whole."""
    from plinth.engine import connect
    from plinth.lakehouse.quarantine import kept_by_rule, quarantine_id

    lakehouse, tables = _opened(platform, data, sample)
    con = connect(lakehouse.platform.profile())
    grid = Grid("table", "rule", "status", "rows")
    for table in tables:
        version = lakehouse.find(quarantine_id(table), zone=table.zone)
        for status, rule, rows in kept_by_rule(con, version) if version is not None else ():
            grid.add_row(f"bronze/{table.name}", rule, status, f"{rows:,}")
    Console().print(grid if grid.row_count else "No row is held in quarantine.")


@app.command()
def show(
    table: TableName,
    rule: RuleName = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = 10,
    platform: PlatformFile = None,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Print held and refused rows of a table with every rule that each broke, one JSON object a line. They may hold personal data."""
    from plinth.engine import connect
    from plinth.lakehouse.quarantine import held_rows, quarantine_id

    lakehouse, contract = _one(platform, data, sample, table)
    con = connect(lakehouse.platform.profile())
    version = lakehouse.open(quarantine_id(contract), zone=contract.zone)
    for row in held_rows(con, version, rule=rule, limit=limit, refused=True):
        entry = {"status": row.status, "reason": row.reason, "run": row.run, "row": row.row}
        typer.echo(json.dumps(entry, ensure_ascii=False))


@app.command()
def export(
    table: TableName,
    to: Annotated[Path, typer.Option(help="File of JSON lines to write; must not exist.")],
    rule: RuleName = None,
    platform: PlatformFile = None,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Write the held rows of a table to a file, to be mended and given to `replay --from`."""
    from plinth.engine import connect
    from plinth.lakehouse.quarantine import held_rows, quarantine_id

    lakehouse, contract = _one(platform, data, sample, table)
    con = connect(lakehouse.platform.profile())
    rows = held_rows(con, lakehouse.open(quarantine_id(contract), zone=contract.zone), rule=rule)
    try:
        handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise PlinthError(
            "the file cannot be written", found=error.strerror, where=to, remedy="choose another name"
        ) from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        for row in rows:
            entry = {"id": row.id, "rule": row.rule, "reason": row.reason, "row": row.row}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    typer.echo(
        f"{len(rows)} rows written to {to}. Mend the values under `row`, then: plinth quarantine replay {table} --from {to}"
    )


@app.command("replay")
def replay_(
    table: TableName,
    from_: Annotated[Path | None, typer.Option("--from", help="Mended rows, as `export` writes them.")] = None,
    rule: RuleName = None,
    platform: PlatformFile = None,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Put held rows back into their bronze table, those that keep the contract now; exit code 1 where some still do not."""
    lakehouse, contract = _one(platform, data, sample, table)
    done = replay(
        contract, lakehouse, mended=_read(from_) if from_ else None, rule=rule, run="plinth quarantine replay"
    )
    typer.echo(f"{done.replayed} rows put back, {done.superseded} dropped because the table has their key by now.")
    for name, rows in done.still_broken.items():
        typer.echo(f"{rows} rows still break {name} and stay in quarantine.")
    raise typer.Exit(1 if done.still_broken else 0)


@app.command()
def drop(
    table: TableName,
    rule: RuleName = None,
    platform: PlatformFile = None,
    data: Data = None,
    sample: Itself = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Give up held rows: they stay in the quarantine table as evidence, and are not held back any more."""
    from plinth.ingest.replay import drop as give_up

    lakehouse, contract = _one(platform, data, sample, table)
    if not yes:
        typer.confirm(
            f"Give up the held rows of bronze/{contract.name}{f' that broke {rule}' if rule else ''}?", abort=True
        )
    count = give_up(contract, lakehouse, rule=rule, run="plinth quarantine drop")
    typer.echo(f"{count} rows dropped.")


def _read(path: Path) -> list[MendedRow]:
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PlinthError("the file of mended rows cannot be read", found=error, where=path) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            row = {str(name): None if value is None else _as_text(value) for name, value in entry["row"].items()}
            rows.append(MendedRow(str(entry["id"]), row))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PlinthError(
                "a line is no mended row",
                expected='{"id": "…", "row": {"column": "value", …}}',
                found=f"{line[:40]}… ({error})",
                where=f"{path}, line {number}",
            ) from None
    return rows


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _opened(platform: Path | None, data: Path | None, sample: bool) -> tuple[Lakehouse, list[Table]]:
    from plinth.lakehouse.tables import Lakehouse

    settings = settings_of(platform, data, sample)
    return Lakehouse(settings), [table for contract in load_contracts(settings) for table in contract.tables]


def _one(platform: Path | None, data: Path | None, sample: bool, table: str) -> tuple[Lakehouse, Table]:
    lakehouse, _ = _opened(platform, data, sample)
    return lakehouse, find_table(load_contracts(lakehouse.platform), table)
