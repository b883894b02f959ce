"""Day after day, what was computed from the changes is what a rebuild would give, and what need not be done is not."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from assets import feature_views_assets
from assets.columns import CLASSIFICATION_TAG
from assets.features import feature_key
from plinth.catalogue import find_table, load_contracts
from plinth.features import load_views
from plinth.features.declared import DeclaredTables
from plinth.features.store import refresh
from plinth.ingest import ingest
from plinth.lakehouse.tables import Lakehouse
from plinth.lineage import sources_of
from plinth.platform import load_platform
from plinth.sample import SampleSpec, advance, write_sample
from plinth.sources import open_url
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


def test_the_definitions_say_of_every_feature_what_a_run_stores(sample: House) -> None:
    platform = sample.lakehouse.platform
    assets = {key: asset for asset in feature_views_assets(platform) for key in asset.keys}
    views = load_views(platform)
    assert len(views.views) == len(assets) > 3
    for view in views.views.values():
        spec = assets[feature_key(view)].specs_by_key[feature_key(view)]
        declared = {column.name: column.tags for column in spec.metadata["dagster/column_schema"].columns}
        stored = refresh(sample.lakehouse, views.model_copy(update={"views": {view.name: view}}), view.name).version
        assert declared == {column.name: {CLASSIFICATION_TAG: column.classification} for column in stored.columns}
        assert spec.tags[CLASSIFICATION_TAG] == "internal"


_OVER_BRONZE = """
since: 2023-01-02
views:
  account:
    owner: team:test
    description: A view over a legacy table as it is, whose columns are of several classifications.
    refresh_weeks: 1
    entity:
      customer_no: {type: integer, description: Customer.}
    sources:
      accounts:
        table: bronze/customer
        event_time: created_on
        known_time: updated_at
        scope: [customer_no]
        columns: {customer_no: customer_no, email: lower(email), born: birth_date, country: country, extra: note_of_the_clerk}
    queries:
      mixed: SELECT customer_no, age, email || country AS whole, born FROM accounts
    features:
      accounts: {from: accounts, expression: count(*), type: long, description: Rows.}
      country: {from: accounts, expression: max(country), type: string, description: Plain.}
      address: {from: mixed, expression: length(max(whole)), type: long, description: Of a confidential column and a plain one.}
      born: {from: mixed, expression: max(year(born)), type: long, description: Of a restricted column.}
      extra: {from: accounts, expression: max(extra), type: string, description: Of a column that landed and that no contract names.}
"""


def test_a_view_over_bronze_is_classified_by_the_contract_before_it_was_ever_made(
    sample: House, tmp_path: Path
) -> None:
    (tmp_path / "feature_views.yaml").write_text(_OVER_BRONZE)
    views = load_views(tmp_path / "feature_views.yaml")
    house = make_house(tmp_path)
    platform = house.lakehouse.platform
    platform = platform.model_copy(update={"layers": {**platform.layers, "features": "on_prem"}})
    declared = DeclaredTables.read(platform, views).classified(views.view("account"))
    shutil.copyfile(sample.folder / "erp.sqlite", tmp_path / "erp.sqlite")
    with closing(sqlite3.connect(tmp_path / "erp.sqlite")) as legacy, legacy:
        legacy.execute("ALTER TABLE CUSTMAS ADD COLUMN NOTE_OF_THE_CLERK TEXT")
    with closing(open_url(house.url)) as source:
        ingest(find_table(load_contracts(platform), "customer"), source, house.lakehouse, run="test")
    stored = refresh(Lakehouse(platform), views, "account").version
    levels = {column.name: column.classification for column in declared}
    assert levels == {column.name: column.classification for column in stored.columns}
    assert {name: levels[name] for name in ("accounts", "country", "address", "born", "extra", "customer_no")} == {
        "accounts": "internal", "country": "internal", "address": "confidential", "born": "restricted", "extra": "restricted",
        "customer_no": "internal",
    }  # fmt: skip


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
