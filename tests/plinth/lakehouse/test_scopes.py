"""The condition that picks touched scopes lets through just the rows that the bare comparison would, and passes over files where it can."""

from __future__ import annotations

import random

import duckdb
import pytest

from plinth.lakehouse.schema import columns_of
from plinth.lakehouse.scopes import in_scopes, row_column
from plinth.lakehouse.tables import Lakehouse, TableId

from .conftest import create

ROWS = (
    "SELECT i AS id, CASE WHEN i % 4 > 0 THEN i % 23 END AS customer, ' item ' || i % 5 AS item, "
    "CASE i WHEN 17 THEN TIMESTAMP 'infinity' WHEN 18 THEN TIMESTAMP '294247-01-10 04:00:00' ELSE TIMESTAMP '2024-01-01' + INTERVAL (i * 7) MINUTE END AS sold_at, (i % 11)::DECIMAL(9, 2) AS price, i::VARCHAR AS digits FROM range(4000) t(i)"
)
SCOPES = {
    "a number": ("SELECT id FROM drawn", {"id": row_column("id")}),
    "with nulls": ("SELECT customer FROM drawn", {"customer": row_column("customer")}),
    "two columns": (
        "SELECT customer, upper(trim(item)) AS code FROM drawn",
        {"customer": row_column("customer"), "code": "upper(trim(item))"},
    ),
    "an expression that hides a column": ("SELECT upper(item) AS item FROM drawn", {"item": "upper(item)"}),
    "a day": ("SELECT cast(sold_at AS date) AS day FROM drawn", {"day": "cast(sold_at as date)"}),
    "a day and more": (
        "SELECT cast(sold_at AS date) AS day, customer FROM drawn",
        {"day": "cast(sold_at as date)", "customer": row_column("customer")},
    ),
    "a moment": ("SELECT sold_at FROM drawn", {"sold_at": row_column("sold_at")}),
    "a decimal": ("SELECT price FROM drawn", {"price": row_column("price")}),
    "a text": ("SELECT item FROM drawn", {"item": row_column("item")}),
    "numbers as text": ("SELECT id::VARCHAR AS id FROM drawn", {"id": row_column("id")}),
    "text as a number": ("SELECT digits::BIGINT AS digits FROM drawn", {"digits": row_column("digits")}),
    "days without end": (
        "SELECT unnest([DATE 'infinity', DATE '294247-01-10', cast(sold_at AS date)]) AS day FROM drawn",
        {"day": "cast(sold_at as date)"},
    ),
    "none at all": ("SELECT id, customer FROM drawn WHERE false", {"id": row_column("id"), "customer": "t.customer"}),
}


@pytest.mark.parametrize("name", SCOPES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_rows_as_by_the_bare_comparison(con: duckdb.DuckDBPyConnection, name: str, seed: int) -> None:
    sql, expressions = SCOPES[name]
    ids = random.Random(seed).sample(range(4000), 1 if seed == 3 else 25)
    con.execute(f"CREATE TABLE lines AS {ROWS}")
    con.execute(f"CREATE TABLE drawn AS SELECT * FROM lines WHERE id IN ({', '.join(map(str, ids))})")
    con.execute(f"CREATE TABLE touched AS SELECT DISTINCT * FROM ({sql})")
    named = ", ".join(f"{column} AS wanted_{column}" for column in expressions)
    same = " AND ".join(f"wanted_{column} IS NOT DISTINCT FROM {value}" for column, value in expressions.items())
    bare = (
        f"SELECT t.id FROM lines t WHERE EXISTS (SELECT 1 FROM (SELECT {named} FROM touched) WHERE {same}) ORDER BY id"
    )
    found = con.execute(
        f"SELECT t.id FROM lines t WHERE {in_scopes(con, 'touched', expressions, columns_of(con, ROWS))} ORDER BY id"
    )
    assert found.fetchall() == con.execute(bare).fetchall()


@pytest.mark.parametrize(
    ("touched", "expressions"),
    [
        ("SELECT unnest([3900, 3950]) AS id", {"id": row_column("id")}),
        ("SELECT DATE '2024-01-20' AS day", {"day": "cast(sold_at as date)"}),
    ],
)
def test_files_outside_the_range_of_the_touched_scopes_are_not_read(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, touched: str, expressions: dict[str, str]
) -> None:
    version = create(con, lakehouse, TableId("bronze", "lines"), f"{ROWS} ORDER BY id")
    con.execute(f"CREATE TABLE touched AS {touched}")
    plan = con.execute(
        f"EXPLAIN SELECT t.* FROM {version.scan} t WHERE {in_scopes(con, 'touched', expressions, columns_of(con, ROWS))}"
    ).fetchall()[0][1]
    column = next(iter(expressions)) if "id" in expressions else "sold_at"
    assert f"{column}>=" in "".join(character for character in plan if character not in "│ \n"), (
        "the reader is not told the range"
    )
