"""Silver and gold come out of Spark as they come out of DuckDB: every table, value by value, through the same tests and the same door."""

from __future__ import annotations

from pathlib import Path

import pytest

from plinth.lakehouse.staged_apart import STAGING
from plinth.lakehouse.tables import TableId
from plinth.transform.project import prepare
from tests.spark.house import ROOT, Pair

pytestmark = pytest.mark.slow
MODELS = [model.table for model in prepare(ROOT / "dbt_project").models]


def test_every_model_is_published_by_spark_after_the_same_tests(pair: Pair) -> None:
    assert {str(outcome.table): outcome.status.value for outcome in pair.built.models} == dict.fromkeys(
        MODELS, "published"
    ), pair.built.errors
    assert len(pair.built.tests) > 40 and all(test.passed for test in pair.built.tests), pair.built.tests
    for table in MODELS:
        layer, _, name = table.partition("/")
        version = pair.spark.open(TableId(layer, name))  # type: ignore[arg-type]
        commit = version.delta.history(1)[0]
        assert str(commit["engineInfo"]).startswith("Apache-Spark"), commit
        assert version.writer == 1 and version.state.rows == version.rows and version.state.asset == table
    assert not list((Path(pair.spark.platform.root_of("cloud")) / STAGING).iterdir()), "what was staged is gone"


@pytest.mark.parametrize("table", MODELS)
def test_a_table_is_equal_between_the_engines_value_by_value(pair: Pair, table: str) -> None:
    assert pair.differing(table) == []
