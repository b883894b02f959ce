"""Rows that are staged apart from their table: what Spark has made and nobody has published.

What belongs here: the folder, which lies in the table's own zone, and what is in it. What does not: files that DuckDB stages in the table's folder
(`staging`), and how they are published (`spark_door`).
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from plinth.engine import literal
from plinth.lakehouse.staging import StagedFile
from plinth.lakehouse.tables import Lakehouse, TableId

if TYPE_CHECKING:
    import duckdb

STAGING = "_staging"
"""Folder below a zone's root. Executors on other machines reach it as they reach the tables, and what is not cleared to leave the zone does not."""


def new_folder(lakehouse: Lakehouse, table: TableId) -> str:
    """The address of a new folder for the rows of a table."""
    root = lakehouse.platform.root_of(lakehouse.zone_of(table))
    return f"{root}/{STAGING}/{table.layer}-{table.name}-{uuid.uuid4().hex}"


def remove_folder(folder: str) -> None:
    """Removes such a folder; on an object store it is left to the bucket's lifecycle rule."""
    if "://" not in folder:
        shutil.rmtree(folder, ignore_errors=True)


def files_in(con: duckdb.DuckDBPyConnection, folder: str) -> tuple[StagedFile, ...]:
    """The files of a folder that hold rows. They are no part of the table's folder, and so have neither path nor statistics in it."""
    found = con.execute(
        f"SELECT file_name, num_rows FROM parquet_file_metadata({literal(f'{folder}/*.parquet')}) WHERE num_rows > 0 ORDER BY file_name"
    ).fetchall()
    return tuple(
        StagedFile("", name, 0 if "://" in name else os.path.getsize(name), int(rows), {}, {}, "")
        for name, rows in found
    )


def remove_abandoned(lakehouse: Lakehouse, *, older_than: float) -> int:
    """Removes the folders of runs that were killed, from zones in local folders; `older_than` is in seconds. Gives their number."""
    roots = (lakehouse.platform.root_of(zone) for zone in lakehouse.platform.zones)
    folders = [folder for root in roots if "://" not in root for folder in Path(root, STAGING).glob("*")]
    abandoned = [folder for folder in folders if time.time() - folder.stat().st_mtime > older_than]
    for folder in abandoned:
        shutil.rmtree(folder, ignore_errors=True)
    return len(abandoned)
