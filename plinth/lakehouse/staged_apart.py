"""Rows that are staged apart from their table: what Spark has made and nobody has published.

What belongs here: the folder, which lies in the table's own zone, and what is in it. What does not: files that DuckDB stages in the table's folder
(`staging`), and how they are published (`spark_door`).
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from typing import TYPE_CHECKING

from plinth.engine import literal
from plinth.lakehouse.staging import StagedFile
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.objects.files import files_below, files_older, folders_in, remove, size_of
from plinth.objects.stores import is_object

if TYPE_CHECKING:
    import duckdb

STAGING = "_staging"
"""Folder below a zone's root. Executors on other machines reach it as they reach the tables, and what is not cleared to leave the zone does not."""


def new_folder(lakehouse: Lakehouse, table: TableId, zone: str | None = None) -> str:
    """The address of a new folder for the rows of a table, in the zone given or its layer's."""
    root = lakehouse.platform.root_of(lakehouse.zone_of(table, zone))
    return f"{root}/{STAGING}/{table.layer}-{table.name}-{uuid.uuid4().hex}"


def remove_folder(folder: str) -> None:
    """Removes such a folder."""
    if is_object(folder):
        remove(list(files_below(folder)))
    else:
        shutil.rmtree(folder, ignore_errors=True)


def files_in(con: duckdb.DuckDBPyConnection, folder: str) -> tuple[StagedFile, ...]:
    """The files of a folder that hold rows. They are no part of the table's folder, and so have neither path nor statistics in it."""
    found = con.execute(
        f"SELECT file_name, num_rows FROM parquet_file_metadata({literal(f'{folder}/*.parquet')}) WHERE num_rows > 0 ORDER BY file_name"
    ).fetchall()
    return tuple(StagedFile("", name, size_of(name) or 0, int(rows), {}, {}, "") for name, rows in found)


def remove_abandoned(lakehouse: Lakehouse, *, older_than: float) -> int:
    """Removes the folders of runs that were killed, in every zone; `older_than` is in seconds. Gives their number."""
    abandoned = 0
    for zone in lakehouse.platform.zones:
        staging = f"{lakehouse.platform.root_of(zone)}/{STAGING}"
        for name in folders_in(staging):
            folder = f"{staging}/{name}"
            if _is_old(folder, older_than):
                remove_folder(folder)
                abandoned += 1
    return abandoned


def _is_old(folder: str, seconds: float) -> bool:
    files = list(files_below(folder))
    if files:
        return len(files_older(folder, seconds)) >= len(files)
    # Without a file yet it may be that of a build that has just begun.
    return not is_object(folder) and os.path.getmtime(folder) <= time.time() - seconds
