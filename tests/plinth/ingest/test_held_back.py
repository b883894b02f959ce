"""Rows here and rows held back are together the rows of the source, load after load, whatever becomes of a broken row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import duckdb
import pytest

from plinth.ingest import Outcome, bronze_id
from plinth.ingest.held_back import HELD_BACK
from plinth.ingest.replay import MendedRow, drop, replay
from plinth.lakehouse.quarantine import held_rows, quarantine_id

from .conftest import ORDERS, Shop

NEW_BROKEN = "INSERT INTO ORDERS VALUES (4, 'dan', -4, '2024-01-01 13:00:00')"
UPDATE_BROKEN = "UPDATE ORDERS SET AMT = -1, UPDTS = '2024-01-01 13:00:00' WHERE ORDID = 1"


def held_back(shop: Shop, outcome: Outcome) -> int:
    """How many rows the newest version says to be held back; with its own they have to be those of the source."""
    version = shop.lakehouse.open(bronze_id(ORDERS))
    count = version.state.notes.get(HELD_BACK, 0)
    assert version.rows + count == outcome.source_rows
    return count


@pytest.fixture
def load(shop: Shop) -> Callable[[], Outcome]:
    shop.load()
    return lambda: shop.load(quarantine_share=1.0)


def test_a_broken_row_that_each_load_reads_again_is_held_back_once(shop: Shop, load: Callable[[], Outcome]) -> None:
    shop.sql(NEW_BROKEN)
    assert [held_back(shop, load()) for _ in range(3)] == [1, 1, 1]
    assert load().version == shop.lakehouse.open(bronze_id(ORDERS)).version, "nothing new is to be said"


def test_a_broken_update_holds_no_row_back_as_the_older_one_stays(shop: Shop, load: Callable[[], Outcome]) -> None:
    shop.sql(UPDATE_BROKEN)
    assert [held_back(shop, load()) for _ in range(3)] == [0, 0, 0]


def test_a_row_that_the_source_has_mended_is_held_back_no_longer(shop: Shop, load: Callable[[], Outcome]) -> None:
    shop.sql(NEW_BROKEN)
    assert held_back(shop, load()) == 1
    shop.sql("UPDATE ORDERS SET AMT = 4, UPDTS = '2024-01-01 14:00:00' WHERE ORDID = 4")
    assert [held_back(shop, load()) for _ in range(2)] == [0, 0]


def test_a_row_that_broke_in_another_way_is_held_back_once(shop: Shop, load: Callable[[], Outcome]) -> None:
    shop.sql(NEW_BROKEN)
    assert held_back(shop, load()) == 1
    shop.sql("UPDATE ORDERS SET AMT = 'four', UPDTS = '2024-01-01 14:00:00' WHERE ORDID = 4")
    assert held_back(shop, load()) == 1


def test_a_held_row_that_the_source_has_deleted_is_held_back_no_longer(shop: Shop, load: Callable[[], Outcome]) -> None:
    shop.sql(NEW_BROKEN)
    assert held_back(shop, load()) == 1
    shop.sql("DELETE FROM ORDERS WHERE ORDID = 4")
    assert [held_back(shop, load()) for _ in range(2)] == [0, 0]


def test_a_key_that_the_source_repeats_is_held_back_for_each_row_but_one(shop: Shop) -> None:
    shop.sql(
        "ALTER TABLE ORDERS RENAME TO KEYED",
        "CREATE TABLE ORDERS (ORDID INTEGER, CUST VARCHAR(20), AMT DECIMAL(10,2), UPDTS TIMESTAMP)",
        "INSERT INTO ORDERS SELECT * FROM KEYED",
    )
    shop.load()
    shop.sql("INSERT INTO ORDERS VALUES (5, 'eve', 5, '2024-01-01 13:00:00'), (5, 'eva', 6, '2024-01-01 13:30:00')")
    assert [held_back(shop, shop.load(quarantine_share=1.0)) for _ in range(3)] == [1, 1, 1]


def test_a_replayed_row_is_held_back_no_longer_and_a_replayed_update_never_was(
    shop: Shop, load: Callable[[], Outcome], con: duckdb.DuckDBPyConnection
) -> None:
    shop.sql(NEW_BROKEN, UPDATE_BROKEN)
    assert held_back(shop, load()) == 1
    rows = held_rows(con, shop.lakehouse.open(quarantine_id(ORDERS)))
    done = replay(ORDERS, shop.lakehouse, mended=[MendedRow(row.id, {"amount": "4"}) for row in rows])
    assert done.replayed == 2 and shop.lakehouse.open(bronze_id(ORDERS)).state.notes.get(HELD_BACK, 0) == 0
    assert [held_back(shop, load()) for _ in range(2)] == [0, 0]


def test_without_a_comparison_of_keys_it_is_the_same(shop: Shop) -> None:
    rare = replace(ORDERS, reconcile_every=timedelta(days=999), quarantine_share=1.0)
    shop.contract = rare
    shop.load()
    for statement, count in (
        (NEW_BROKEN, 1),
        (UPDATE_BROKEN, 1),
        ("UPDATE ORDERS SET UPDTS = '2024-01-01 13:10:00'", 1),
    ):
        shop.sql(statement)
        assert held_back(shop, shop.load()) == count


def test_a_row_that_was_given_up_is_still_accounted_for(shop: Shop, load: Callable[[], Outcome]) -> None:
    shop.sql(NEW_BROKEN)
    load()
    assert drop(ORDERS, shop.lakehouse) == 1
    outcome = shop.load(quarantine_share=1.0, reconcile_every=timedelta(0))
    assert held_back(shop, outcome) == 1 and "rows_behind_lookback" not in outcome.notes
