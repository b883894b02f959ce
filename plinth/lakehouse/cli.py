"""The command `plinth maintain`: fold small files, remove files that no version names any more.

What belongs here: arguments and printing. What does not: the work (`plinth.lakehouse.maintenance`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table as Grid

from plinth.errors import CommitConflict
from plinth.platform import load_platform
from plinth.project import open_project


def maintain(
    layer: Annotated[str | None, typer.Option(help="Only this layer, e.g. bronze.")] = None,
    retention_hours: Annotated[float, typer.Option(min=0, help="Versions younger than this stay readable.")] = 168,
    platform: Annotated[
        Path | None, typer.Option("--platform", help="Settings; by default the project's platform.yaml.")
    ] = None,
) -> None:
    """Fold small files and remove those that no version of the retention needs; safe beside running loads."""
    from plinth.engine import connect
    from plinth.lakehouse.maintenance import maintain as keep
    from plinth.lakehouse.maintenance import remove_abandoned_scratch
    from plinth.lakehouse.tables import Lakehouse

    lakehouse = Lakehouse(load_platform(platform) if platform is not None else open_project().platform)
    con = connect(lakehouse.platform.profile())
    layers = [layer] if layer else list(lakehouse.platform.layers)
    grid = Grid("table", "files folded", "into", "files removed")
    for each in layers:
        for table in lakehouse.tables(each):  # type: ignore[arg-type]
            try:
                done = keep(con, lakehouse, lakehouse.open(table), retention_hours=retention_hours)
                grid.add_row(done.table, str(done.folded), str(done.folded_into), str(done.removed))
            except CommitConflict:
                grid.add_row(str(table), "a load is running, left for the next time", "", "")
    abandoned = remove_abandoned_scratch(lakehouse.platform.path(lakehouse.platform.stores.scratch))
    Console().print(grid)
    if abandoned:
        typer.echo(f"{abandoned} scratch folders of killed loads removed.")
