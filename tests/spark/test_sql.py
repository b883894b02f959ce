"""What the dialects take differently is put into Spark's words, without a session."""

from __future__ import annotations

import pytest

from plinth.errors import PlinthError
from plinth.lakehouse.tables import TableId
from plinth.spark.sql import to_spark

LINES = TableId("silver", "invoice_lines")


def test_tables_are_read_through_the_views_of_the_run() -> None:
    assert (
        to_spark('select l.a from "memory"."silver"."invoice_lines" as l', [LINES])
        == "SELECT l.a FROM plinth_silver_invoice_lines AS l"
    )
    assert "plinth_silver_invoice_lines AS invoice_lines" in to_spark(
        "select invoice_lines.a from silver.invoice_lines", [LINES]
    )


def test_a_table_that_is_no_input_is_refused() -> None:
    with pytest.raises(PlinthError, match="does not name as an input"):
        to_spark("select 1 from bronze.secret", [LINES])


@pytest.mark.parametrize(
    ("duckdb", "spark"),
    [
        ("select a / b", "SELECT CAST(a AS DOUBLE) / CAST(b AS DOUBLE)"),
        ("select (a / b) / c", "SELECT CAST(CAST(a AS DOUBLE) / CAST(b AS DOUBLE) AS DOUBLE) / CAST(c AS DOUBLE)"),
        ("select a // b", "SELECT a DIV b"),
        ("select regexp_matches(a, '^x')", "SELECT a RLIKE '^x'"),
        ("select max(a) over (order by b)", "SELECT MAX(a) OVER (ORDER BY b NULLS LAST)"),
        ("select epoch_us(t) / 2", "SELECT CAST(UNIX_MICROS(CAST(t AS TIMESTAMP)) AS DOUBLE) / CAST(2 AS DOUBLE)"),
        ("select decay(age, 14)", "SELECT CAST(EXP(-(age) / CAST(14 AS DOUBLE)) AS DECIMAL(19, 12))"),
    ],
)
def test_expressions_mean_the_same(duckdb: str, spark: str) -> None:
    assert to_spark(duckdb, []) == spark


def test_what_sqlglot_cannot_read_says_so() -> None:
    with pytest.raises(PlinthError, match="cannot be put into Spark's dialect"):
        to_spark("select from where (", [])
