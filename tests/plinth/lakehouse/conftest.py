"""A lakehouse in a folder of its own, and a connection with the smallest profile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from plinth.engine import connect
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.schema import columns_of
from plinth.lakehouse.staging import stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.platform import Platform, Zone
from plinth.profile import Profile


@pytest.fixture
def lakehouse(tmp_path: Path) -> Lakehouse:
    zones = {
        "on_prem": Zone(root="on_prem", clearance=("public", "internal", "confidential", "restricted")),
        "cloud": Zone(root="cloud", clearance=("public", "internal")),
    }
    layers = {"bronze": "on_prem", "silver": "cloud", "gold": "cloud", "ops": "on_prem"}
    profiles = {"small": Profile(cpu=1, memory=256 * 2**20, threads=1)}
    return Lakehouse(
        Platform(zones=zones, layers=layers, profiles=profiles, default_profile="small", home=tmp_path)  # type: ignore[arg-type]
    )


@pytest.fixture
def con(lakehouse: Lakehouse, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = connect(lakehouse.platform.profile(), extensions=("delta",), scratch=tmp_path / "scratch")
    yield connection
    connection.close()


def create(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, table: TableId, sql: str, partition_by: tuple[str, ...] = ()
) -> TableVersion:
    """Makes a table of what a query yields."""
    columns = columns_of(con, sql)
    staged = stage(con, sql, lakehouse.uri_of(table), columns, partition_by)
    write = Write(None, columns, State().next(changed=True), staged, partition_by=partition_by)
    return commit(lakehouse, table, write)
