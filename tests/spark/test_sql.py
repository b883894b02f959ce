"""What the dialects take differently is put into Spark's words, without a session."""

from __future__ import annotations

import pytest

from plinth.errors import PlinthError
from plinth.features.query import spelled_out
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
        ("select avg(a)", "SELECT (CAST(SUM(a) AS DOUBLE) / CAST(COUNT(a) AS DOUBLE))"),
        (
            "select avg(a / 2) filter (where b) over (partition by c)",
            "SELECT (CAST(SUM(CAST(a AS DOUBLE) / CAST(2 AS DOUBLE)) FILTER(WHERE b) OVER (PARTITION BY c) AS DOUBLE) / "
            "CAST(COUNT(CAST(a AS DOUBLE) / CAST(2 AS DOUBLE)) FILTER(WHERE b) OVER (PARTITION BY c) AS DOUBLE))",
        ),
        ("select quantile_cont(a, 0.25)", "SELECT PERCENTILE(a, 0.25)"),
        (
            "select avg(dayofweek(d))",
            "SELECT (CAST(SUM((DAYOFWEEK(d) - 1)) AS DOUBLE) / CAST(COUNT((DAYOFWEEK(d) - 1)) AS DOUBLE))",
        ),
        ("select greatest(a), least(a, b)", "SELECT a, LEAST(a, b)"),
    ],
)
def test_expressions_mean_the_same(duckdb: str, spark: str) -> None:
    assert to_spark(duckdb, []) == spark


def test_the_functions_of_feature_views_are_spelled_out() -> None:
    assert (
        to_spark(spelled_out("select decay(age + 1, 14)"), [])
        == "SELECT CAST(EXP(CAST(-(age + 1) AS DOUBLE) / CAST(14 AS DOUBLE)) AS DECIMAL(19, 12))"
    )
    assert (
        spelled_out("SELECT SUM(exact(exact(a)))")
        == "SELECT SUM(CAST((CAST((a) AS DECIMAL(19, 9))) AS DECIMAL(19, 9)))"
    )
    assert "SQRT(" in spelled_out("select spread(ln(a)) from t") and "spread" not in spelled_out("select spread(a)")


def test_what_sqlglot_cannot_read_says_so() -> None:
    with pytest.raises(PlinthError, match="cannot be put into Spark's dialect"):
        to_spark("select from where (", [])
