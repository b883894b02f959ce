"""The commands `plinth show` (what a table holds) and `plinth maintain` (fold small files, remove those that no version names).

What belongs here: arguments and printing. What does not: the work (`plinth.lakehouse.maintenance`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table as Grid

from plinth.errors import CommitConflict, PlinthError, StorageFailure
from plinth.figures import size_for_people
from plinth.options import Data, Itself, PlatformFile, project_of, settings_of

if TYPE_CHECKING:
    from plinth.lakehouse.tables import Lakehouse, TableId


def maintain(
    layer: Annotated[str | None, typer.Option(help="Only this layer, e.g. bronze.")] = None,
    retention_hours: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Versions younger than this stay readable, by default a week and of published chances 36 days; with 0 let no load run beside it.",
        ),
    ] = None,
    platform: PlatformFile = None,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Fold small files and remove those that no version of the retention needs; safe beside running loads."""
    from plinth.engine import connect
    from plinth.lakehouse.maintenance import maintain as keep
    from plinth.lakehouse.maintenance import remove_abandoned_scratch, remove_abandoned_staging
    from plinth.lakehouse.tables import Lakehouse
    from plinth.serving.tables import kept_hours

    lakehouse = Lakehouse(settings_of(platform, data, sample))
    con = connect(lakehouse.platform.profile())
    layers = [layer] if layer else list(lakehouse.platform.layers)
    grid = Grid("table", "files folded", "into", "files removed")
    failed = False
    for each in layers:
        for table in lakehouse.tables(each):  # type: ignore[arg-type]
            try:
                hours = kept_hours(table) if retention_hours is None else retention_hours
                done = keep(con, lakehouse, lakehouse.open(table), retention_hours=hours)
                grid.add_row(done.table, str(done.folded), str(done.folded_into), str(done.removed))
            except CommitConflict:
                grid.add_row(str(table), "a load is running, left for the next time", "", "")
            except StorageFailure as failure:
                # One table that cannot be kept in order is no reason to leave the others, or what an erasure asked for.
                grid.add_row(str(table), f"left as it is: {failure.what}", "", "")
                failed = True
    abandoned = remove_abandoned_scratch(lakehouse.platform.path(lakehouse.platform.stores.scratch))
    abandoned += remove_abandoned_staging(lakehouse)
    Console().print(grid)
    if abandoned:
        typer.echo(f"{abandoned} folders of killed loads and builds removed.")
    if failed:
        raise typer.Exit(1)


def show(
    table: Annotated[str, typer.Argument(help="A table of the lakehouse, e.g. gold/sales_daily.")],
    sql: Annotated[
        str | None, typer.Option(help="A query over the table, which is called t; by default its first rows.")
    ] = None,
    version: Annotated[int | None, typer.Option(min=0, help="A Delta version; by default the newest.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to print.")] = 20,
    data: Data = None,
    sample: Itself = False,
) -> None:
    """Print what a table holds: its version, its columns and some rows."""
    import duckdb

    from plinth.engine import connect
    from plinth.lakehouse.tables import Lakehouse

    project = project_of(data, sample)
    lakehouse = Lakehouse(project.platform)
    found = lakehouse.open(_table_id(table, lakehouse), version=version)
    typer.echo(
        f"{found.id} of {project.dataset}, version {found.version}: {found.rows:,} rows, {size_for_people(found.size)} in "
        f"{len(found.files)} files, {found.uri}"
    )
    con = connect(lakehouse.platform.profile(), extensions=("delta",))
    con.execute(f"CREATE VIEW t AS SELECT * FROM {found.scan}")
    try:
        relation = con.sql(sql or "SELECT * FROM t")
        if relation is not None:
            relation.show(max_rows=limit)
    except duckdb.Error as error:
        expected = "DuckDB SQL over the table t, whose files are whole"
        raise PlinthError("the query cannot run", expected=expected, found=error) from None


def _table_id(name: str, lakehouse: Lakehouse) -> TableId:
    from plinth.lakehouse.tables import TableId

    layer, _, table = name.partition("/")
    if not table or layer not in lakehouse.platform.layers:
        raise PlinthError(
            f"{name!r} is no name of a table",
            expected=f"layer/table, the layer one of {', '.join(lakehouse.platform.layers)}",
            remedy="`plinth report` lists the tables of the last run",
        )
    return TableId(layer, table)  # type: ignore[arg-type]
