"""The worked contract of the sample ERP: valid ODCS, in step with the ERP, and kept by its data."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Dialect

from plinth.contracts.document import read_document
from plinth.contracts.drift import compare
from plinth.contracts.load import load_contract
from plinth.contracts.model import Contract, Mode
from plinth.contracts.trial import faulty_rules
from plinth.engine import connect, quote
from plinth.lakehouse.schema import duckdb_type
from plinth.profile import Profile
from plinth.sample.schema import metadata
from plinth.sample.spec import SampleSpec
from plinth.sample.stock import NIGHTS
from plinth.sample.write import write_sample
from plinth.sources.catalogue import SourceColumn, SourceTable
from tests.plinth.contracts.writing import odcs_faults

FILE = Path(__file__).resolve().parents[3] / "contracts" / "erp.odcs.yaml"


@pytest.fixture(scope="module")
def erp() -> Contract:
    return load_contract(FILE, "erp")


def test_the_erp_contract_is_valid_by_the_standards_own_schema() -> None:
    assert odcs_faults(read_document(FILE).values) == []


@pytest.mark.parametrize(
    "dialect",
    [postgresql.dialect(), mysql.dialect(), sqlite.dialect()],  # type: ignore[no-untyped-call]
    ids=lambda each: str(each.name),
)
def test_the_erp_contract_names_every_column_of_the_erp_with_its_type(erp: Contract, dialect: Dialect) -> None:
    described = {
        table.name: SourceTable(
            schema=None, name=table.name, key=tuple(column.name for column in table.primary_key), key_enforced=True, unique=(), indexed=(),
            foreign_keys=(), comment=None, row_estimate=None,
            columns=tuple(
                SourceColumn(column.name, column.type.compile(dialect=dialect), bool(column.nullable), None) for column in table.columns
            ),
        )
        for table in metadata.sorted_tables
    }  # fmt: skip
    assert {table.physical_name for table in erp.tables} == set(described)
    for table in erp.tables:
        assert compare(table, described[table.physical_name]) == ()
        assert table.key == tuple(
            column.name for column in table.columns if column.physical_name in described[table.physical_name].key
        )


def test_every_table_of_the_erp_has_an_owner_and_words_for_a_steward(erp: Contract) -> None:
    for table in erp.tables:
        assert table.owner == "team:sales-systems"
        assert len(table.description) > 20
        assert all(len(column.description) > 5 and column.delta_type for column in table.columns)
        if table.name != "system_info":
            assert table.freshness == timedelta(hours=26)


def test_personal_data_of_the_erp_may_not_leave_the_premises(erp: Contract) -> None:
    kept = {
        column.name
        for table in erp.tables
        for column in table.columns
        if column.classification not in ("public", "internal")
    }
    assert kept == {"full_name", "email", "phone", "birth_date", "postcode"}


def test_what_changes_in_the_erp_is_read_by_its_cursor_and_deletes_are_looked_for_daily(
    erp: Contract,
) -> None:
    by_cursor = {table.name for table in erp.tables if table.mode is Mode.INCREMENTAL}
    assert by_cursor == {"customer", "item", "campaign_contact", "invoice_line"}
    for table in erp.tables:
        if table.name in by_cursor:
            assert (table.cursor, table.reconcile_every) == ("updated_at", timedelta(days=1))
            assert table.lookback > 0
    assert erp.table("stock_level").key == ()


def test_the_rules_of_the_erp_run(erp: Contract) -> None:
    assert faulty_rules(erp) == ()


def test_the_generated_erp_breaks_no_row_rule_with_all_its_mess_but_by_the_totals_of_the_dumps(
    erp: Contract, sqlite_db: str
) -> None:
    write_sample(sqlite_db, SampleSpec(customers=60, days=45, seed=3))
    con = connect(Profile.model_validate({"cpu": 1, "memory": "512MiB"}), extensions=("sqlite_scanner",))
    con.execute("SET sqlite_all_varchar = true")
    con.execute(f"ATTACH '{sqlite_db.removeprefix('sqlite:///')}' AS erp (TYPE sqlite, READ_ONLY)")
    for table in erp.tables:
        casts = ", ".join(
            f"CAST({quote(column.physical_name)} AS {duckdb_type(column.delta_type or 'string')}) AS {quote(column.name)}"
            for column in table.columns
        )
        rows = f"(SELECT {casts} FROM erp.{quote(table.physical_name)})"
        predicates = {rule.name: rule.predicate for rule in table.rules if rule.predicate}
        broken = {
            name: con.execute(f"SELECT count(*) FROM {rows} WHERE NOT ({test})").fetchone()
            for name, test in predicates.items()
        }
        assert broken == {name: (NIGHTS if name == "line_of_totals" else 0,) for name in predicates}
        counted = con.execute(f"SELECT count(*) FROM {rows}").fetchone()
        assert counted is not None
        assert counted[0] > 0
