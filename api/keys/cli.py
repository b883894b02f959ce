"""The commands `plinth key create | list | rotate | revoke`.

What belongs here: arguments and printing. What does not: what a key is (`api.keys.key`) and where keys are kept (`api.keys.table`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table as Grid

from api.keys.key import SCOPES, Key, new_key, span_of
from plinth.options import Data, Itself, project_of
from plinth.platform import Platform

if TYPE_CHECKING:
    from api.keys.table import KeyTable

app = typer.Typer(no_args_is_help=True, help="Keys of the API: who may ask for what.")

Identity = Annotated[str, typer.Argument(help="Id of the key: plinth key list.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, e.g. webshop.")],
    scope: Annotated[list[str], typer.Option(help=f"What it opens, once for each: {', '.join(SCOPES)}.")],
    days: Annotated[float | None, typer.Option(help="Ends after so many days; by default never.")] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second; by default api.rate_per_second.")] = None,
    burst: Annotated[float | None, typer.Option(help="Requests that may be saved up; by default api.burst.")] = None,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Make a key. Its text is shown now and never again: only a hash of it is kept."""
    platform = project_of(data, sample).platform
    made = new_key(
        name,
        scope,
        rate=platform.api.rate_per_second if rate is None else rate,
        burst=platform.api.burst if burst is None else burst,
        lasts=None if days is None else span_of(days),
    )
    _table(platform).add(made.key)
    typer.echo(made.text)


@app.command("list")
def list_keys(data: Data = None, sample: Itself = False) -> None:
    """List the keys; their secrets are not known to anybody but their owners."""
    now = datetime.now(UTC)
    # As narrow as 80 columns, which is also what a pipe has: an id that is cut off revokes nothing.
    grid = Grid(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head in ("id", "state", "ends (UTC)"):
        grid.add_column(head, no_wrap=True)
    grid.add_column("name", overflow="fold")
    grid.add_column("opens", no_wrap=True)
    for key in _table(project_of(data, sample).platform).all():
        opens = [*sorted(key.scopes), f"{key.rate:g} requests/s"]
        grid.add_row(key.id, key.state(now), _end(key), key.name, "\n".join(opens))
    Console().print(grid if grid.row_count else "There is no key yet: plinth key create.")


@app.command()
def rotate(
    identity: Identity,
    overlap_hours: Annotated[float, typer.Option(help="So long the old one opens too.")] = 24,
    days: Annotated[
        float | None,
        typer.Option(help="The new one ends after so many days; by default it is valid as long as the old one was."),
    ] = None,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Make a key like another one, which then ends after a while."""
    made, old = _table(project_of(data, sample).platform).rotate(
        identity, span_of(overlap_hours / 24), None if days is None else span_of(days)
    )
    typer.echo(made.text)
    typer.echo(f"The new key ends: {_end(made.key)}; {old.id} ends: {_end(old)} (UTC)", err=True)


@app.command()
def revoke(identity: Identity, data: Data = None, sample: Itself = False) -> None:
    """End a key now; every worker refuses it within a second or so."""
    key = _table(project_of(data, sample).platform).revoke(identity)
    typer.echo(f"{key.id} ({key.name}) is revoked.")


def _table(platform: Platform) -> KeyTable:
    from api.keys.table import KeyTable

    table = KeyTable(platform.online_url())
    table.set_up()
    return table


def _end(key: Key) -> str:
    end = key.revoked_at or key.expires_at
    return "never" if end is None else f"{end:%Y-%m-%d %H:%M}"
