"""The command `plinth serve`.

What belongs here: arguments, printing, and the start of the server's processes. What does not: what the API does.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.keys.key import SCOPES, Key, NewKey, new_key
from plinth.api_settings import Api
from plinth.listening import require_free
from plinth.newest import project_to_show
from plinth.platform import OVERLAY_VARIABLE
from plinth.project import Project

if TYPE_CHECKING:
    from uvicorn import Config

    from api.keys.table import KeyTable

_LOCAL = ("127.0.0.1", "::1", "localhost")
_DEVELOPMENT = "development"
_DEVELOPMENT_HOURS = 24


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
    about = f" --data {shlex.quote(str(data))}" if data is not None else " --sample" if sample else ""
    _greet(project, f"plinth key create webshop --scope recommendations:read{about}", address, chosen)
    with tempfile.TemporaryDirectory(prefix="plinth-api-") as counters:
        os.environ["PLINTH_API_COUNTERS"] = counters
        run_server(address, chosen, workers or settings.workers, settings)


def run_server(host: str, port: int, workers: int, settings: Api) -> None:
    """Runs until it is told to end; with several workers a parent process keeps so many alive."""
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    os.environ["PLINTH_API_WORKERS"] = str(workers)
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
        # Nothing here asks for a client's address or scheme; and the protocol wants to see the fast lane first.
        proxy_headers=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(settings.request_seconds) + 5,
        backlog=2048,
    )


def _importable(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def _greet(project: Project, key_command: str, host: str, port: int) -> None:
    """Says what is served, and how to ask for it. A store that does not answer is no reason not to start: it may come back by itself."""
    from api.keys.table import KeyTable
    from plinth.online import StoreConflict, StoreUnavailable

    url = project.platform.online_url()
    table = KeyTable(url)
    address = f"http://{host}:{port}"
    typer.echo(f"API: {address}/v1  description: {address}/openapi.json  (ends with Ctrl-C)")
    try:
        table.set_up()
        path = _say_version(url)
        _say_key(table, project.platform.api, key_command, host, f"{address}{path}")
    except (StoreUnavailable, StoreConflict) as error:
        typer.echo(f"{error}\nThe API starts all the same. It is not ready before the store answers, and looks for it.")
    finally:
        table.close()


def _say_version(url: str) -> str:
    """Says which version is served; gives a path to try."""
    from plinth.online import OnlineStore

    with OnlineStore.open(url) as store:
        version = store.current()
        if version is None:
            typer.echo(
                "Nothing is published yet: `make run` publishes the first version, and the API then serves it without a restart."
            )
            return "/v1/tables"
        documents = ", ".join(f"{count:,} {kind}" for kind, count in version.documents.items())
        typer.echo(f"Version {version.id}, published {version.published_at:%Y-%m-%d %H:%M} UTC: {documents}")
        # Somebody for whom everything is published, so that the first tries all answer.
        known = [key for kind in ("promotions", "recommendations") for key, _ in store.scan(kind, None, 1)]
        return f"/v1/customers/{known[0]}/recommendations" if known else "/v1/tables"


def _say_key(table: KeyTable, settings: Api, key_command: str, host: str, address: str) -> None:
    if host not in _LOCAL:
        typer.echo(
            "This address can be reached from elsewhere: put a proxy with TLS before it. No key is made for trying."
        )
        typer.echo(f"  Keys: {key_command}")
        return
    made = development_key(table, settings)
    if made is not None:
        typer.echo(f"Key for trying, valid for {_DEVELOPMENT_HOURS} h, on this machine only: {made.text}")
        typer.echo(f"  curl -H 'Authorization: Bearer {made.text}' {address}")
        return
    names = sorted({key.name for key in _valid(table)})
    typer.echo(f"No key is made for trying, since there are others: {', '.join(names)}. With the text of one of them:")
    typer.echo(f"  curl -H 'Authorization: Bearer plinth_…' {address}")
    typer.echo(f"  Another key: {key_command}")


def development_key(table: KeyTable, settings: Api) -> NewKey | None:
    """A key for trying, which takes the place of the one before; None where somebody made real keys already."""
    valid = _valid(table)
    if any(key.name != _DEVELOPMENT for key in valid):
        return None
    for key in valid:
        table.revoke(key.id)
    lasts = timedelta(hours=_DEVELOPMENT_HOURS)
    made = new_key(_DEVELOPMENT, SCOPES, rate=settings.rate_per_second, burst=settings.burst, lasts=lasts)
    table.add(made.key)
    return made


def _valid(table: KeyTable) -> list[Key]:
    now = datetime.now(UTC)
    return [key for key in table.all() if key.state(now) == "valid"]
