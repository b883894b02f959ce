"""A legacy column may have any name: those that the platform gives to columns of its own begin with an underscore, and no contract's do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import duckdb
import pytest

from plinth.contracts.model import Mode

from .conftest import ORDERS, Shop


@pytest.mark.parametrize(
    "name", ["rowtext", "plinth_file", "plinth_account", "rule", "row", "key", "split", "filename", "k", "u"]
)
def test_no_column_name_gets_in_the_way_of_a_load(shop: Shop, con: duckdb.DuckDBPyConnection, name: str) -> None:
    renamed = tuple(replace(each, name=name) if each.name == "customer" else each for each in ORDERS.columns)
    shop.contract = replace(ORDERS, columns=renamed, quarantine_share=1.0, reconcile_every=timedelta(0))
    shop.sql(
        "ALTER TABLE ORDERS RENAME TO KEYED",
        "CREATE TABLE ORDERS (ORDID INTEGER, CUST VARCHAR(20), AMT DECIMAL(10,2), UPDTS TIMESTAMP)",
        "INSERT INTO ORDERS SELECT * FROM KEYED",
        "INSERT INTO ORDERS VALUES (3, 'cat', 30.30, '2024-01-01 12:30:00'), (4, 'dan', 'four', '2024-01-01 12:30:00')",
    )
    assert shop.load().quarantined == {"key_unique": 1, "amount_type": 1}
    shop.sql(
        "UPDATE ORDERS SET CUST = 'anne', UPDTS = '2024-01-01 13:00:00' WHERE ORDID = 1",
        "DELETE FROM ORDERS WHERE ORDID = 2",
    )
    outcome = shop.load()
    assert (outcome.inserted, outcome.updated, outcome.deleted) == (0, 1, 1)
    assert shop.rows(con, f'order_id, "{name}"') == [(1, "anne"), (3, "cat")]
    assert not shop.load(full=True, mode=Mode.SNAPSHOT).changed
