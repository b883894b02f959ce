"""One warehouse of a year and a bit, written once; and a way to look at any warehouse row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import select

from plinth.engine import connect
from plinth.profile import Profile
from plinth.sample import SampleSpec, write_sample
from plinth.sample.schema import TABLES, metadata
from plinth.sample.warehouse import Warehouse

SPEC = SampleSpec(customers=1500, days=430, seed=11)
Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def year(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of an SQLite warehouse that no test may change."""
    url = f"sqlite:///{tmp_path_factory.mktemp('year') / 'legacy.sqlite'}"
    write_sample(url, SPEC)
    return url


@pytest.fixture(scope="session")
def query(year: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with the tables of `year` under their own names."""
    con = connect(Profile(cpu=2, memory=512 * 2**20, threads=2), extensions=("sqlite_scanner",))
    con.execute(f"ATTACH '{Path(year.removeprefix('sqlite:///'))}' AS legacy (TYPE sqlite, READ_ONLY)")
    for name in TABLES:
        con.execute(f'CREATE TABLE "{name}" AS FROM legacy."{name}"')
    yield con
    con.close()


@pytest.fixture(scope="session")
def rows_of() -> Callable[[str], Rows]:
    """Reads all tables of a warehouse, sorted, with trailing blanks of CHAR columns cut (MariaDB does not keep them)."""

    def read(url: str) -> Rows:
        with Warehouse(url) as warehouse, warehouse.transaction() as connection:
            found = {}
            for name in TABLES:
                table = metadata.tables[name]
                flags = [type(column.type).__name__ == "CHAR" for column in table.c]
                rows = [
                    tuple(value.rstrip() if flag and value else value for value, flag in zip(row, flags, strict=True))
                    for row in connection.execute(select(table))
                ]
                places = [list(table.c.keys()).index(column.name) for column in table.primary_key]
                found[name] = sorted(rows, key=lambda row, key=places: [row[place] for place in key] or row)  # type: ignore[misc]
            return found

    return read
