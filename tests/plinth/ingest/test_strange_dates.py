"""Dates that are none, or lie where DuckDB ends, are found by the extremes of what was read, wherever they stand among ordinary rows."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import psycopg
import pytest

from plinth.contracts.model import Column, Mode, Table
from plinth.ingest import bronze_id, ingest
from plinth.lakehouse.quarantine import quarantine_id
from plinth.lakehouse.tables import Lakehouse
from plinth.sources import open_url

from .conftest import make_platform

pytestmark = pytest.mark.slow

ROWS = 130_000  # three row groups, so that the strange one is not alone in its own


def booked(zero_dates: str, partition_by: tuple[str, ...] = ()) -> Table:
    return Table(
        "shop",
        "booked",
        "booked",
        (
            Column("id", "id", delta_type="long"),
            Column("moment", "at", delta_type="timestamp_ntz", zero_dates=zero_dates),
            Column("day", "day", delta_type="date", zero_dates=zero_dates),
        ),
        key=("id",),
        cursor="moment",
        mode=Mode.INCREMENTAL,
        partition_by=partition_by,
        quarantine_share=0.1,
    )


def write(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]


@pytest.fixture
def filled(postgres_db: str) -> str:
    write(
        postgres_db,
        "CREATE TABLE booked (id bigint PRIMARY KEY, at timestamp, day date)",
        f"INSERT INTO booked SELECT i, timestamp '2024-01-01' + i * interval '1 second', date '2024-01-01' + i % 3 FROM generate_series(1, {ROWS}) i",
    )
    return postgres_db


@pytest.mark.parametrize("strange", ["infinity", "-infinity", "294276-12-31 23:59:59.999999", "0044-03-15 12:00:00 BC"])
def test_one_strange_date_among_many_rows_follows_the_contract(
    filled: str, tmp_path: Path, con: duckdb.DuckDBPyConnection, strange: str
) -> None:
    lakehouse = Lakehouse(make_platform(tmp_path, "sqlite:///x"))
    write(filled, f"UPDATE booked SET at = '{strange}' WHERE id = 70000")
    outcome = ingest(booked("quarantine"), open_url(filled), lakehouse)
    found = con.execute(
        f"SELECT count(*), count(*) FILTER (WHERE id = 70000), max(moment)::VARCHAR FROM {lakehouse.open(bronze_id(booked('null'))).scan}"
    ).fetchone()
    if strange.endswith("BC"):  # a date like another, which merely proves nothing
        assert (outcome.quarantined, found) == ({}, (ROWS, 1, "2024-01-02 12:06:40"))
        return
    assert sum(outcome.quarantined.values()) == 1
    assert found == (ROWS - 1, 0, "2024-01-02 12:06:40")
    held = lakehouse.open(quarantine_id(booked("null")))
    row = con.execute(f"SELECT row FROM {held.scan}").fetchone()
    assert row is not None and json.loads(row[0])["moment"].startswith(strange[:20])


def test_an_increment_is_looked_at_like_a_first_load(
    filled: str, tmp_path: Path, con: duckdb.DuckDBPyConnection
) -> None:
    lakehouse, table = Lakehouse(make_platform(tmp_path, "sqlite:///x")), booked("null")
    ingest(table, open_url(filled), lakehouse)
    write(
        filled,
        "UPDATE booked SET at = 'infinity', day = '-infinity' WHERE id = 3",
        "INSERT INTO booked VALUES (0, '2025-01-01', NULL)",
    )
    outcome = ingest(table, open_url(filled), lakehouse)
    assert (outcome.inserted, outcome.updated) == (1, 1)
    assert outcome.notes["moment.infinite_dates"] == 1 and outcome.notes["day.infinite_dates"] == 1
    rows = con.execute(
        f"SELECT * FROM {lakehouse.open(bronze_id(table)).scan} WHERE id IN (0, 3) ORDER BY id"
    ).fetchall()
    assert [(row[0], str(row[1]), row[2]) for row in rows] == [(0, "2025-01-01 00:00:00", None), (3, "None", None)]


def test_a_partition_of_strange_days_is_read_again_too(
    filled: str, tmp_path: Path, con: duckdb.DuckDBPyConnection
) -> None:
    lakehouse, table = Lakehouse(make_platform(tmp_path, "sqlite:///x")), booked("9999-12-31", ("day",))
    write(filled, "UPDATE booked SET day = 'infinity' WHERE id <= 5")
    ingest(table, open_url(filled), lakehouse)
    found = con.execute(
        f"SELECT day::VARCHAR, count(*) FROM {lakehouse.open(bronze_id(table)).scan} GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert found[-1] == ("9999-12-31", 5) and sum(row[1] for row in found) == ROWS
    # What the first reading staged is gone.
    files = {file.path for file in lakehouse.open(bronze_id(table)).files}
    assert {
        str(path.relative_to(Path(lakehouse.uri_of(bronze_id(table)))))
        for path in Path(lakehouse.uri_of(bronze_id(table))).rglob("*.parquet")
    } == files
