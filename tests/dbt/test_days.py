"""Day after day, what was computed from the changes is what a rebuild would give, and what need not be done is not."""

from __future__ import annotations

import pytest

from plinth.lineage import sources_of
from plinth.sample import SampleSpec, advance, write_sample

from .conftest import House, make_house

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = make_house(tmp_path_factory.mktemp("days"))
    write_sample(house.url, SampleSpec(customers=120, days=90))
    house.load()
    house.build()
    return house


def test_a_build_with_nothing_new_does_nothing(sample: House) -> None:
    before = {str(table): sample.lakehouse.open(table).version for table in sample.lakehouse.tables("gold")}
    built = sample.build()
    assert {outcome.status.value for outcome in built.models} == {"unchanged"}
    assert before == {str(table): sample.lakehouse.open(table).version for table in sample.lakehouse.tables("gold")}


def test_days_of_changes_give_the_tables_of_a_rebuild(sample: House) -> None:
    scoped = 0
    for days in (1, 2, 1):
        advance(sample.url, days)
        sample.load()
        built = sample.build()
        assert all(outcome.status.value in ("published", "unchanged") for outcome in built.models)
        scoped += sum(outcome.mode.value == "touched scopes" for outcome in built.models)
        tables = [str(table) for layer in ("silver", "gold") for table in sample.lakehouse.tables(layer)]  # type: ignore[arg-type]
        followed = {table: sample.rows(table) for table in tables}
        rebuilt = sample.build(full_refresh=True)
        assert {outcome.mode.value for outcome in rebuilt.models} == {"all rows"}
        for table in tables:
            assert sample.rows(table) == followed[table], f"{table} after {days} days is not what a rebuild gives"
    assert scoped > 0, "no model worked by touched scopes, so nothing was proved"


def test_a_model_whose_test_fails_is_not_published_nor_what_is_made_from_it(sample: House) -> None:
    model = sample.project / "models" / "gold" / "customer_orders.sql"
    sql = model.read_text()
    before = sample.rows("gold/customer_orders")
    try:
        model.write_text(sql + "\n-- changed\n")
        descriptions = sample.project / "models" / "gold" / "gold.yml"
        yaml = descriptions.read_text()
        descriptions.write_text(yaml.replace("columns: [customer_no, order_no]}}", "columns: [country]}}", 1))
        built = sample.build()
        descriptions.write_text(yaml)
    finally:
        model.write_text(sql)
    outcomes = {str(outcome.table): outcome.status.value for outcome in built.models}
    assert outcomes["gold/customer_orders"] == "withheld"
    assert outcomes["gold/customer_360"] in ("withheld", "unchanged")
    assert any(not test.passed for test in built.tests)
    assert sample.rows("gold/customer_orders") == before


def test_columns_are_followed_through_joins_unions_and_ctes_to_their_tables() -> None:
    tables = {"bronze/a": {"id": "BIGINT", "x": "BIGINT", "y": "VARCHAR"}, "bronze/b": {"id": "BIGINT", "z": "BIGINT"}}
    sql = """with joined as (select a.id, a.x + b.z as total, a.y from memory.bronze.a as a join memory.bronze.b as b on a.id = b.id)
        select id, total, 1 as one from joined union all select id, z as total, 2 as one from memory.bronze.b"""
    found = sources_of(sql, tables)
    assert set(found["total"]) == {("bronze/a", "x"), ("bronze/b", "z")}
    assert set(found["id"]) == {("bronze/a", "id"), ("bronze/b", "id")}
    assert list(found["one"]) == []
