"""A row that breaks its contract is kept with the rule and the run, and comes back when it is mended: nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from plinth.contracts.model import Mode, Rule
from plinth.errors import ContractError, ContractViolation, PlinthError
from plinth.ingest import bronze_id
from plinth.ingest.replay import MendedRow, drop, replay
from plinth.lakehouse.quarantine import held_by_rule, held_rows, kept_by_rule, quarantine_id

from .conftest import ORDERS, Shop

HALF = {"quarantine_share": 0.5}


def held(shop: Shop, con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    version = shop.lakehouse.find(quarantine_id(ORDERS))
    return held_by_rule(con, version) if version is not None else {}


def test_a_broken_row_is_held_with_its_rule_and_its_run_and_the_rest_lands(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5 WHERE ORDID = 2")
    outcome = shop.load(**HALF)
    assert outcome.quarantined == {"amount_minimum": 1} and outcome.rows == 2
    (row,) = held_rows(con, shop.lakehouse.open(quarantine_id(ORDERS)))
    assert (row.rule, row.run, row.row["order_id"], row.row["amount"]) == ("amount_minimum", "test", "2", "-5.00")


def test_a_value_that_does_not_cast_is_held_with_the_legacy_text(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.sql("UPDATE ORDERS SET AMT = 'twelve' WHERE ORDID = 2")
    outcome = shop.load(**HALF)
    assert outcome.rows == 2 and sum(outcome.quarantined.values()) == 1
    (row,) = held_rows(con, shop.lakehouse.open(quarantine_id(ORDERS)))
    assert row.row["amount"] == "twelve" and "amount" in row.rule


def test_more_broken_rows_than_the_contract_allows_fail_before_anything_is_published(shop: Shop) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5")
    with pytest.raises(ContractViolation, match="3 of 3 rows break the contract") as refused:
        shop.load(**HALF)
    assert "amount_minimum: 3" in str(refused.value)
    assert shop.lakehouse.find(bronze_id(ORDERS)) is None
    assert list(Path(shop.lakehouse.uri_of(bronze_id(ORDERS))).rglob("*.parquet")) == []


def test_a_load_refused_for_values_that_do_not_cast_names_the_way_to_another_type(shop: Shop) -> None:
    shop.sql("UPDATE ORDERS SET AMT = 'twelve'")
    with pytest.raises(ContractViolation, match="give the column a deltaType"):
        shop.load()
    shop.sql("UPDATE ORDERS SET AMT = -5")
    with pytest.raises(ContractViolation) as refused:
        shop.load()
    assert "deltaType" not in str(refused.value)


def test_a_rule_that_cannot_be_computed_is_named_without_the_value_that_it_fails_on(shop: Shop) -> None:
    shop.sql("UPDATE ORDERS SET CUST = 'Ann O''Brien' WHERE ORDID = 1")
    rules = (*ORDERS.rules, Rule("customer_is_a_number", "no name", ("customer",), 'CAST("customer" AS INTEGER) > 0'))
    with pytest.raises(ContractError, match="the rule customer_is_a_number cannot be computed") as refused:
        shop.load(rules=rules)
    assert "Brien" not in str(refused.value) and refused.value.__cause__ is None
    assert list(Path(shop.lakehouse.uri_of(bronze_id(ORDERS))).rglob("*.parquet")) == []


def test_the_rows_of_a_refused_load_can_be_looked_at_and_count_as_nothing_else(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5 WHERE ORDID > 1")
    for _ in range(2):
        with pytest.raises(ContractViolation, match="plinth quarantine show orders"):
            shop.load()
    version = shop.lakehouse.open(quarantine_id(ORDERS))
    assert kept_by_rule(con, version) == [("refused", "amount_minimum", 2)]
    assert held_by_rule(con, version) == {} and held_rows(con, version) == []
    found = held_rows(con, version, refused=True)
    assert sorted(row.row["order_id"] or "" for row in found) == ["2", "3"] and {row.run for row in found} == {"test"}


def test_the_next_load_takes_the_place_of_what_was_refused(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5 WHERE ORDID > 1")
    with pytest.raises(ContractViolation):
        shop.load()
    shop.sql("UPDATE ORDERS SET AMT = 5 WHERE ORDID = 3")
    outcome = shop.load(**HALF)
    assert outcome.rows == 2 and shop.load(**HALF).rows == 2
    assert kept_by_rule(con, shop.lakehouse.open(quarantine_id(ORDERS))) == [("held", "amount_minimum", 1)]


def test_a_clean_load_forgets_what_was_refused_before(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.load()
    shop.sql("UPDATE ORDERS SET AMT = -5, UPDTS = '2024-02-01 00:00:00' WHERE ORDID > 1")
    with pytest.raises(ContractViolation):
        shop.load()
    shop.sql("UPDATE ORDERS SET AMT = 5, UPDTS = '2024-02-02 00:00:00' WHERE ORDID > 1")
    assert shop.load().updated == 2
    assert kept_by_rule(con, shop.lakehouse.open(quarantine_id(ORDERS))) == []


def test_a_refused_load_leaves_rows_that_were_held_before_as_they_are(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5 WHERE ORDID = 2")
    shop.load(**HALF)
    shop.sql("UPDATE ORDERS SET AMT = -7")
    with pytest.raises(ContractViolation):
        shop.load(full=True, **HALF)
    version = shop.lakehouse.open(quarantine_id(ORDERS))
    assert kept_by_rule(con, version) == [("held", "amount_minimum", 1), ("refused", "amount_minimum", 3)]
    assert replay(shop.contract, shop.lakehouse).still_broken == {"amount_minimum": 1}


def test_a_message_names_rules_and_counts_and_no_values(shop: Shop) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5, CUST = 'Ann Example'")
    with pytest.raises(ContractViolation) as refused:
        shop.load()
    assert "amount_minimum: 3" in str(refused.value) and "Ann" not in str(refused.value)


def test_a_row_that_is_read_again_and_again_is_held_once(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5 WHERE ORDID = 3")
    for _ in range(3):
        shop.load(**HALF)
    assert held(shop, con) == {"amount_minimum": 1}


def test_of_two_rows_with_one_key_the_newer_lands_and_the_older_is_held(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    shop.sql(
        "CREATE TABLE LOOSE (ORDID INTEGER, CUST VARCHAR(20), AMT DECIMAL(10,2), UPDTS TIMESTAMP)",
        "INSERT INTO LOOSE VALUES (1, 'old', 1, '2024-01-01 10:00:00'), (1, 'new', 2, '2024-01-01 11:00:00'), (2, 'x', 3, '2024-01-01 10:00:00')",
    )
    outcome = shop.load(physical_name="LOOSE", **HALF)
    assert outcome.quarantined == {"key_unique": 1}
    assert shop.rows(con, "order_id, customer") == [(1, "new"), (2, "x")]


def test_mended_rows_go_back_and_stay_through_a_full_load(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5 WHERE ORDID = 2")
    shop.load(**HALF)
    (row,) = held_rows(con, shop.lakehouse.open(quarantine_id(ORDERS)))
    done = replay(shop.contract, shop.lakehouse, mended=[MendedRow(row.id, {"amount": "5.00"})])
    assert (done.replayed, done.superseded, done.still_broken) == (1, 0, {})
    assert shop.rows(con, "order_id, amount::VARCHAR")[1] == (2, "5.00")
    for full in (False, True):
        shop.load(full=full, **HALF)
        assert shop.rows(con, "order_id, amount::VARCHAR")[1] == (2, "5.00"), "the source still holds the broken row"
    assert held(shop, con) == {}


def test_a_snapshot_table_keeps_a_mended_row_too(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5 WHERE ORDID = 2")
    shop.load(mode=Mode.SNAPSHOT, **HALF)
    (row,) = held_rows(con, shop.lakehouse.open(quarantine_id(ORDERS)))
    replay(shop.contract, shop.lakehouse, mended=[MendedRow(row.id, {"amount": "5.00"})])
    shop.load(mode=Mode.SNAPSHOT, **HALF)
    assert [entry[0] for entry in shop.rows(con, "order_id")] == [1, 2, 3]


def test_a_row_that_is_still_broken_stays_held(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5 WHERE ORDID = 2", "UPDATE ORDERS SET AMT = 'x' WHERE ORDID = 1")
    shop.load(quarantine_share=0.9)
    rows = held_rows(con, shop.lakehouse.open(quarantine_id(ORDERS)))
    mended = [MendedRow(row.id, {"amount": "-7" if row.row["order_id"] == "2" else "still no number"}) for row in rows]
    done = replay(shop.contract, shop.lakehouse, mended=mended)
    assert done.replayed == 0 and sum(done.still_broken.values()) == 2
    assert sum(held(shop, con).values()) == 2


def test_a_row_that_the_legacy_system_mended_itself_is_superseded(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5 WHERE ORDID = 2")
    shop.load(**HALF)
    shop.sql("UPDATE ORDERS SET AMT = 6, UPDTS = '2024-02-01 00:00:00' WHERE ORDID = 2")
    shop.load(**HALF)
    (row,) = held_rows(con, shop.lakehouse.open(quarantine_id(ORDERS)))
    done = replay(shop.contract, shop.lakehouse, mended=[MendedRow(row.id, {"amount": "5.00"})])
    assert (done.replayed, done.superseded) == (0, 1)
    assert shop.rows(con, "order_id, amount::VARCHAR")[1] == (2, "6.00")


def test_a_mended_update_replaces_the_older_row_of_its_key(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.load(**HALF)
    shop.sql("UPDATE ORDERS SET AMT = -5, CUST = 'bert', UPDTS = '2024-02-01 00:00:00' WHERE ORDID = 2")
    assert shop.load(**HALF).quarantined == {"amount_minimum": 1}
    assert shop.rows(con, "order_id, customer, amount::VARCHAR")[1] == (2, "bob", "20.20")
    (row,) = held_rows(con, shop.lakehouse.open(quarantine_id(ORDERS)))
    done = replay(shop.contract, shop.lakehouse, mended=[MendedRow(row.id, {"amount": "5.00"})])
    assert (done.replayed, done.superseded, done.still_broken) == (1, 0, {})
    assert shop.rows(con, "order_id, customer, amount::VARCHAR")[1] == (2, "bert", "5.00")
    assert len(shop.rows(con)) == 3 and held(shop, con) == {}


def test_a_replay_that_was_killed_before_it_settled_does_not_double_the_rows(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    """Keyless, so that only the log's memory of the replay can tell; the quarantine is put back to its state before."""
    import shutil

    shop.sql("UPDATE ORDERS SET AMT = -5 WHERE ORDID = 2")
    keyless = {"key": (), "cursor": None, "mode": Mode.SNAPSHOT, "lookback": 0.0, "reconcile_every": None}
    shop.load(**keyless, **HALF)
    folder = Path(shop.lakehouse.uri_of(quarantine_id(ORDERS)))
    shutil.copytree(folder, folder.parent / "before")
    (row,) = held_rows(con, shop.lakehouse.open(quarantine_id(ORDERS)))
    mended = [MendedRow(row.id, {"amount": "5.00"})]
    from dataclasses import replace

    contract = replace(shop.contract, **keyless)  # type: ignore[arg-type]
    replay(contract, shop.lakehouse, mended=mended)
    shutil.rmtree(folder)
    (folder.parent / "before").rename(folder)
    done = replay(contract, shop.lakehouse, mended=mended)
    assert done.replayed == 1 and len(shop.rows(con)) == 3
    assert held(shop, con) == {}


def test_mended_rows_with_an_unknown_id_or_column_are_refused(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5 WHERE ORDID = 2")
    shop.load(**HALF)
    (row,) = held_rows(con, shop.lakehouse.open(quarantine_id(ORDERS)))
    with pytest.raises(PlinthError, match="no row of orders with this id"):
        replay(shop.contract, shop.lakehouse, mended=[MendedRow("nonsense", {})])
    with pytest.raises(PlinthError, match="columns that the table has not"):
        replay(shop.contract, shop.lakehouse, mended=[MendedRow(row.id, {"amuont": "5"})])


def test_dropped_rows_are_given_up_and_stay_as_evidence(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5 WHERE ORDID = 2")
    shop.load(**HALF)
    assert drop(shop.contract, shop.lakehouse) == 1
    shop.load(full=True, **HALF)
    assert held(shop, con) == {}
    version = shop.lakehouse.open(quarantine_id(ORDERS))
    assert con.execute(f"SELECT status, row FROM {version.scan}").fetchall()[0][0] == "dropped"


def test_held_rows_travel_as_json_lines_and_come_back_mended(
    shop: Shop, tmp_path: Path, con: duckdb.DuckDBPyConnection
) -> None:
    from plinth.ingest.quarantine_cli import _read

    shop.sql("UPDATE ORDERS SET AMT = -5 WHERE ORDID = 2")
    shop.load(**HALF)
    (row,) = held_rows(con, shop.lakehouse.open(quarantine_id(ORDERS)))
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"id": row.id, "row": {**row.row, "amount": 5.5}}) + "\n\n")
    assert replay(shop.contract, shop.lakehouse, mended=_read(file)).replayed == 1
    file.write_text('{"id": 1}\n')
    with pytest.raises(PlinthError, match="line 1"):
        _read(file)
