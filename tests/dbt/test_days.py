"""Day after day, what was computed from the changes is what a rebuild would give, and what need not be done is not."""

from __future__ import annotations

import pytest

from plinth.catalogue import load_contracts
from plinth.lineage import sources_of
from plinth.platform import load_platform
from plinth.sample import SampleSpec, advance, write_sample
from plinth.transform.project import prepare

from .conftest import ROOT, House, make_house

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
    for days in (1, 3):
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


def test_columns_are_followed_through_joins_unions_and_ctes_to_their_tables() -> None:
    tables = {"bronze/a": {"id": "BIGINT", "x": "BIGINT", "y": "VARCHAR"}, "bronze/b": {"id": "BIGINT", "z": "BIGINT"}}
    sql = """with joined as (select a.id, a.x + b.z as total, a.y from memory.bronze.a as a join memory.bronze.b as b on a.id = b.id)
        select id, total, 1 as one from joined union all select id, z as total, 2 as one from memory.bronze.b"""
    found = sources_of(sql, tables)
    assert set(found["total"]) == {("bronze/a", "x"), ("bronze/b", "z")}
    assert set(found["id"]) == {("bronze/a", "id"), ("bronze/b", "id")}
    assert list(found["one"]) == []


def test_every_column_of_silver_and_gold_comes_from_columns_that_exist() -> None:
    models = prepare(ROOT / "dbt_project").models
    contracts = load_contracts(load_platform(ROOT / "platform.yaml"))
    bronze = {
        (f"bronze/{table.name}", column.name)
        for contract in contracts
        for table in contract.tables
        for column in table.columns
    }
    known = bronze | {(model.table, column.name) for model in models for column in model.columns}
    without = set()
    for model in models:
        assert model.lineage is not None and set(model.lineage) == {column.name for column in model.columns}
        for column, sources in model.lineage.items():
            assert set(sources) <= known, f"{model.table}.{column}"
            without |= {f"{model.table}.{column}"} if not sources else set()
    # Counts of rows come from no column.
    assert without == {
        "silver/invoice_line_accounts.booked_rows",
        "silver/invoice_line_accounts.kept_rows",
        "silver/invoice_line_accounts.rejected_rows",
        "silver/items.booked_spelling_count",
        "silver/items.spelling_count",
        "silver/stock_levels.copies",
        "gold/customer_360.orders",
    }
    found = {
        (model.table, column): set(sources) for model in models for column, sources in (model.lineage or {}).items()
    }
    assert found["silver/customers", "birth_year"] == {("bronze/customer", "birth_date")}
    assert found["gold/customer_360", "favourite_item_code"] == {("gold/interactions", "item_code")}


def test_an_unchanged_project_is_not_parsed_again() -> None:
    parsed = prepare(ROOT / "dbt_project").parsed
    before = {path.name: path.stat().st_mtime_ns for path in parsed.iterdir()}
    assert prepare(ROOT / "dbt_project").parsed == parsed
    assert {path.name: path.stat().st_mtime_ns for path in parsed.iterdir()} == before
