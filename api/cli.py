"""The commands `plinth serve` and `plinth key`.

What belongs here: arguments, printing, and the start of the server's processes. What does not: what the API does.
"""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table as Grid

from api.keys.key import SCOPES, Key, NewKey, new_key
from plinth.api_settings import Api
from plinth.listening import require_free
from plinth.newest import project_to_show
from plinth.platform import OVERLAY_VARIABLE
from plinth.project import Project, open_project

if TYPE_CHECKING:
    from uvicorn import Config

    from api.keys.table import KeyTable

_LOCAL = ("127.0.0.1", "::1", "localhost")
_DEVELOPMENT = "development"
_DEVELOPMENT_HOURS = 24

keys = typer.Typer(no_args_is_help=True, help="Keys of the API: who may ask for what.")


def serve(
    data: Annotated[Path | None, typer.Option(help="Serve what was run on this data file.")] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Serve the project itself, also where data were run last.")
    ] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on; by default api.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; by default api.port.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default api.workers.")] = None,
) -> None:
    """Start the API on what was published last."""
    from api.keys.table import KeyTable

    project, other = project_to_show(data, itself=sample)
    if other:
        typer.echo(f"Serving {project.called}, which was run last; the project itself: plinth serve --sample")
    settings = project.platform.api
    address = host or settings.host
    chosen = port if port is not None else settings.port
    if chosen:
        taken = f"perhaps the API runs already at http://{address}:{chosen}; else make serve API_PORT=<another>"
        require_free(address, chosen, remedy=taken)
    if project.overlay is not None:
        os.environ[OVERLAY_VARIABLE] = str(project.overlay)
    os.chdir(project.home)
    table = KeyTable(project.platform.online_url())
    table.set_up()
    _greet(project, table, address, chosen)
    table.close()
    with tempfile.TemporaryDirectory(prefix="plinth-api-") as counters:
        os.environ["PLINTH_API_COUNTERS"] = counters
        run_server(address, chosen, workers or settings.workers, settings)


def run_server(host: str, port: int, workers: int, settings: Api) -> None:
    """Runs until it is told to end; with several workers a parent process keeps so many alive."""
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    config = server_config(host, port, workers, settings)
    if workers == 1:
        uvicorn.Server(config).run()
        return
    Multiprocess(config, [config.bind_socket()]).run()


def server_config(host: str, port: int, workers: int, settings: Api) -> Config:
    """uvicorn's settings: its own access log is off, since it repeats paths and addresses."""
    import uvicorn

    from api.http.protocol import GuardedProtocol

    return uvicorn.Config(
        "api.app:build",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        loop="uvloop" if _importable("uvloop") else "asyncio",
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(settings.request_seconds) + 5,
        backlog=2048,
    )


def _importable(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def _greet(project: Project, table: KeyTable, host: str, port: int) -> None:
    from plinth.online import OnlineStore, StoreUnavailable

    path = "/v1/tables"
    with OnlineStore.open(project.platform.online_url()) as store:
        try:
            version = store.current()
            # Somebody for whom everything is published, so that the first tries all answer.
            kinds = ("promotions", "recommendations")
            known = [key for kind in kinds for key, _ in store.scan(kind, None, 1)]
            if known:
                path = f"/v1/customers/{known[0]}/recommendations"
        except StoreUnavailable:
            version = None
    if version is None:
        typer.echo(
            "Nothing is published yet: `make run` publishes the first version, and the API then serves it without a restart."
        )
    else:
        typer.echo(
            f"Version {version.id}, published {version.published_at:%Y-%m-%d %H:%M} UTC: {dict(version.documents)}"
        )
    typer.echo(f"API: http://{host}:{port}/v1  description: http://{host}:{port}/openapi.json  (ends with Ctrl-C)")
    if host not in _LOCAL:
        typer.echo(
            "This address can be reached from elsewhere: put a proxy with TLS before it. Keys: plinth key create"
        )
        return
    made = development_key(table, project.platform.api)
    if made is not None:
        typer.echo(f"Key for trying, valid for {_DEVELOPMENT_HOURS} h, on this machine only: {made.text}")
        typer.echo(f"  curl -H 'Authorization: Bearer {made.text}' http://{host}:{port}{path}")


def development_key(table: KeyTable, settings: Api) -> NewKey | None:
    """A key for trying, which takes the place of the one before; None where somebody made real keys already."""
    now = datetime.now(UTC)
    valid = [key for key in table.all() if key.state(now) == "valid"]
    if any(key.name != _DEVELOPMENT for key in valid):
        return None
    for key in valid:
        table.revoke(key.id)
    lasts = timedelta(hours=_DEVELOPMENT_HOURS)
    made = new_key(_DEVELOPMENT, SCOPES, rate=settings.rate_per_second, burst=settings.burst, lasts=lasts)
    table.add(made.key)
    return made


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, e.g. webshop.")],
    scope: Annotated[list[str], typer.Option(help=f"What it opens, once for each: {', '.join(SCOPES)}.")],
    days: Annotated[float | None, typer.Option(min=0, help="Ends after so many days; by default never.")] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second; by default api.rate_per_second.")] = None,
    burst: Annotated[float | None, typer.Option(help="Requests that may be saved up; by default api.burst.")] = None,
) -> None:
    """Make a key. Its text is shown now and never again: only a hash of it is kept."""
    settings = open_project().platform.api
    made = new_key(
        name,
        scope,
        rate=rate or settings.rate_per_second,
        burst=burst or settings.burst,
        lasts=None if days is None else timedelta(days=days),
    )
    _table().add(made.key)
    typer.echo(made.text)


@keys.command("list")
def list_keys() -> None:
    """List the keys; their secrets are not known to anybody but their owners."""
    now = datetime.now(UTC)
    grid = Grid("id", "name", "state", "scopes", "requests/s", "made", "ends")
    for key in _table().all():
        grid.add_row(
            key.id,
            key.name,
            key.state(now),
            " ".join(sorted(key.scopes)),
            f"{key.rate:g}",
            _day(key.created_at),
            _end(key),
        )
    Console().print(grid)


@keys.command()
def rotate(
    identity: Annotated[str, typer.Argument(help="Id of the key: plinth key list.")],
    overlap_hours: Annotated[float, typer.Option(min=0, help="So long the old one opens too.")] = 24,
    days: Annotated[float | None, typer.Option(min=0, help="The new one ends after so many days.")] = None,
) -> None:
    """Make a key like another one, which then ends after a while."""
    made, old = _table().rotate(
        identity, timedelta(hours=overlap_hours), None if days is None else timedelta(days=days)
    )
    typer.echo(made.text)
    typer.echo(f"{old.id} ends {_end(old)}", err=True)


@keys.command()
def revoke(identity: Annotated[str, typer.Argument(help="Id of the key: plinth key list.")]) -> None:
    """End a key now; every worker refuses it within a second or so."""
    key = _table().revoke(identity)
    typer.echo(f"{key.id} ({key.name}) is revoked.")


def _table() -> KeyTable:
    from api.keys.table import KeyTable

    table = KeyTable(open_project().platform.online_url())
    table.set_up()
    return table


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _end(key: Key) -> str:
    end = key.revoked_at or key.expires_at
    return "never" if end is None else _day(end)
