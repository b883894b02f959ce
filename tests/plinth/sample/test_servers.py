"""PostgreSQL and MariaDB hold the same warehouse as SQLite, value by value, and are refused as clearly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url

from plinth.sample import SampleError, SampleSpec, advance, write_sample

Reader = Callable[[str], dict[str, list[tuple[Any, ...]]]]
SPEC = SampleSpec(customers=300, days=60, seed=9)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgres_db", "mariadb_db"])
def test_a_server_holds_the_same_rows_as_sqlite_before_and_after_advancing(
    request: pytest.FixtureRequest, server: str, tmp_path: Path, rows_of: Reader
) -> None:
    url, reference = request.getfixturevalue(server), f"sqlite:///{tmp_path / 'reference.sqlite'}"
    assert write_sample(url, SPEC).tables == write_sample(reference, SPEC).tables
    assert rows_of(url) == rows_of(reference)
    assert advance(url, 3).tables == advance(reference, 3).tables
    assert rows_of(url) == rows_of(reference)
    with pytest.raises(SampleError, match="--replace"):
        write_sample(url, SPEC)
    small = SampleSpec(customers=30, days=20)
    assert write_sample(url, small, replace=True).rows("CUSTMAS") == 30


@pytest.mark.slow
@pytest.mark.parametrize(("server", "driver"), [("postgres_db", "postgresql+psycopg"), ("mariadb_db", "mysql+pymysql")])
def test_keys_indexes_and_types_are_those_of_the_schema(
    request: pytest.FixtureRequest, server: str, driver: str
) -> None:
    url = request.getfixturevalue(server)
    write_sample(url, SampleSpec(customers=20, days=10))
    engine = create_engine(make_url(url).set(drivername=driver))
    found = inspect(engine)
    keys = {name: found.get_pk_constraint(name)["constrained_columns"] for name in ("CAMPCON", "INVLINE", "STOCKLVL")}
    assert keys == {"CAMPCON": ["PROMOID", "CUSTNO"], "INVLINE": ["LINEID"], "STOCKLVL": []}
    assert [index["column_names"] for index in found.get_indexes("INVLINE")] == [["UPDTS"]]
    kinds = {column["name"]: column["type"] for column in found.get_columns("INVLINE")}
    assert (kinds["UNITPR"].precision, kinds["UNITPR"].scale) == (12, 4)
    assert {str(kinds["UPDTS"]).split("(")[0], str(kinds["LINEID"])} <= {"TIMESTAMP", "DATETIME", "BIGINT"}
    engine.dispose()


@pytest.mark.slow
def test_where_mariadb_forbids_local_files_the_rows_come_by_inserts(
    mariadb_db: str, tmp_path: Path, rows_of: Reader
) -> None:
    reference = f"sqlite:///{tmp_path / 'reference.sqlite'}"
    spec = SampleSpec(customers=60, days=30)
    write_sample(reference, spec)
    engine = create_engine(make_url(mariadb_db).set(drivername="mysql+pymysql"))
    try:
        with engine.begin() as connection:
            connection.execute(text("SET GLOBAL local_infile = 0"))
        write_sample(mariadb_db, spec)
        assert rows_of(mariadb_db) == rows_of(reference)
    finally:
        with engine.begin() as connection:
            connection.execute(text("SET GLOBAL local_infile = 1"))
        engine.dispose()
