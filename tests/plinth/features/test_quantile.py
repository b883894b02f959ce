"""`quantile_at`, which spills: it gives the bits of DuckDB's own quantiles, which do not, and no view of the retailer asks for those."""

from __future__ import annotations

import re
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plinth.features import load_views
from plinth.features.query import prepare
from tests.plinth.features.shop import ROOT

PLACES = "row_number() OVER (PARTITION BY k ORDER BY v NULLS LAST) AS place, count(v) OVER (PARTITION BY k) AS total"
HOLDING = re.compile(
    r"\b(median|mad|quantile\w*|list|array_agg|string_agg|group_concat|histogram|mode)\(", re.IGNORECASE
)
"""Aggregates that hold all values of a group: DuckDB counts the memory of some of them not at all, and can spill none."""


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as made:
        prepare(made)
        yield made


_values = st.one_of(
    st.none(),
    st.floats(-1e12, 1e12, allow_nan=False),
    st.integers(-3, 3).map(float),
    st.fractions(-9, 9, max_denominator=9).map(float),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 5), _values), min_size=1, max_size=60),
    st.sampled_from((0, 0.1, 0.25, 0.5, 0.75, 1)),
)
@pytest.mark.slow
def test_it_is_duckdbs_own_quantile_to_the_last_bit(
    con: duckdb.DuckDBPyConnection, rows: list[tuple[int, float | None]], share: float
) -> None:
    con.execute("CREATE OR REPLACE TABLE drawn (k INTEGER, v DOUBLE)")
    con.executemany("INSERT INTO drawn VALUES (?, ?)", rows)
    for kind in ("DOUBLE", "HUGEINT"):
        found = con.execute(
            f"SELECT k, CAST(quantile_cont(v, {share}) AS DOUBLE), quantile_at(v, {share}, place, total), CAST(median(v) AS DOUBLE), "
            f"quantile_at(v, 0.5, place, total) FROM (SELECT *, {PLACES} FROM (SELECT k, CAST(v AS {kind}) AS v FROM drawn)) GROUP BY k"
        ).fetchall()
        assert len(found) == len({k for k, _ in rows})
        assert [each[1] for each in found] == [each[2] for each in found]
        assert [each[3] for each in found] == [each[4] for each in found]


def test_no_view_of_the_retailer_holds_all_values_of_a_group() -> None:
    views = load_views(ROOT / "feature_views.yaml").views
    texts = {f"{name}.{part}": sql for name, view in views.items() for part, sql in view.queries.items()}
    texts |= {f"{name}.{part}": each.expression for name, view in views.items() for part, each in view.features.items()}
    assert sum("quantile_at(" in sql for sql in texts.values()) > 5
    assert [place for place, sql in texts.items() if HOLDING.search(sql.replace("quantile_at(", "("))] == []
