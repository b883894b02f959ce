"""When the source's columns are not the contract's, the contract's policy decides, and nothing narrows in silence."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import pytest

from plinth.contracts.model import Column, Drift, Mode
from plinth.errors import SchemaDrift
from plinth.ingest import bronze_id

from .conftest import ORDERS, Shop

GROWN = "ALTER TABLE ORDERS ADD COLUMN CHANNEL VARCHAR(10) DEFAULT 'web'"


def test_evolve_lands_a_new_column_with_the_values_of_old_rows_and_reports_it(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    shop.load()
    shop.sql(GROWN, "INSERT INTO ORDERS VALUES (4, 'dan', 4, '2024-01-03 00:00:00', 'shop')")
    outcome = shop.load()
    assert any("channel" in line.lower() for line in outcome.drift)
    assert shop.rows(con, "order_id, channel") == [(1, "web"), (2, "web"), (3, "web"), (4, "shop")]
    assert not shop.load().changed, "the column has landed; the next load has nothing to do"


def test_a_column_that_nobody_classified_counts_as_the_most_sensitive(shop: Shop) -> None:
    shop.sql(GROWN)
    shop.load()
    columns = {column.name: column.classification for column in shop.lakehouse.open(bronze_id(ORDERS)).columns}
    assert columns["channel"] == "restricted"


def test_freeze_fails_with_the_difference_and_changes_nothing(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.load(drift=Drift.FREEZE)
    shop.sql(GROWN, "INSERT INTO ORDERS VALUES (4, 'dan', 4, '2024-01-03 00:00:00', 'shop')")
    with pytest.raises(SchemaDrift, match="CHANNEL"):
        shop.load(drift=Drift.FREEZE)
    assert len(shop.rows(con)) == 3


def test_discard_loads_the_rows_without_the_new_column(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.load(drift=Drift.DISCARD)
    shop.sql(GROWN, "INSERT INTO ORDERS VALUES (4, 'dan', 4, '2024-01-03 00:00:00', 'shop')")
    shop.load(drift=Drift.DISCARD)
    assert [column.name for column in shop.lakehouse.open(bronze_id(ORDERS)).columns] == [
        column.name for column in ORDERS.columns
    ]
    assert len(shop.rows(con)) == 4


def test_a_column_that_left_is_null_from_then_on_and_keeps_its_history(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    shop.load()
    shop.sql("ALTER TABLE ORDERS DROP COLUMN CUST", "INSERT INTO ORDERS VALUES (4, 4, '2024-01-03 00:00:00')")
    outcome = shop.load()
    assert outcome.drift
    assert shop.rows(con, "order_id, customer") == [(1, "ann"), (2, "bob"), (3, None), (4, None)]


@pytest.mark.parametrize("mode", [Mode.INCREMENTAL, Mode.SNAPSHOT])
def test_a_landed_column_that_is_renamed_stays_with_its_values(
    shop: Shop, con: duckdb.DuckDBPyConnection, mode: Mode
) -> None:
    shop.load(mode=mode)
    shop.sql(GROWN)
    shop.load(mode=mode)
    shop.sql(
        "ALTER TABLE ORDERS RENAME COLUMN CHANNEL TO CHANNEL2",
        "INSERT INTO ORDERS VALUES (4, 'dan', 4, '2024-01-03 00:00:00', 'shop')",
    )
    outcome = shop.load(mode=mode)
    assert any(line.startswith("channel: ") and "no column 'CHANNEL' any more" in line for line in outcome.drift)
    after = [(1, "web", "web"), (2, "web", "web"), (3, "web", "web"), (4, None, "shop")]
    assert shop.rows(con, "order_id, channel, channel2") == after
    assert shop.load(full=True, mode=mode).drift == outcome.drift, "it is reported as long as nobody decides"
    assert shop.rows(con, "order_id, channel, channel2") == after


def test_a_landed_column_that_left_and_came_back_narrower_stops_the_load(shop: Shop) -> None:
    shop.sql("ALTER TABLE ORDERS ADD COLUMN WEIGHT DECIMAL(12,4)")
    shop.load()
    shop.sql("ALTER TABLE ORDERS RENAME COLUMN WEIGHT TO OLD_WEIGHT")
    shop.load()
    shop.sql("ALTER TABLE ORDERS ADD COLUMN WEIGHT DECIMAL(6,2)")
    with pytest.raises(SchemaDrift, match=r"weight would narrow from decimal\(12,4\) to decimal\(6,2\)"):
        shop.load()


def test_a_landed_column_that_left_goes_once_the_contract_says_so(shop: Shop) -> None:
    shop.sql(GROWN)
    shop.load()
    shop.sql("ALTER TABLE ORDERS RENAME COLUMN CHANNEL TO CHANNEL2")
    named = (*ORDERS.columns, Column("channel", "CHANNEL2", "VARCHAR(10)", delta_type="string"))
    for changes in ({"columns": named}, {"drift": Drift.DISCARD}):
        shop.load(**changes)
        names = [column.name for column in shop.lakehouse.open(bronze_id(ORDERS)).columns]
        assert names == [column.name for column in (named if "columns" in changes else ORDERS.columns)]


def test_a_key_column_that_left_stops_the_load(shop: Shop) -> None:
    shop.sql("CREATE TABLE BARE (CUST VARCHAR(20), AMT DECIMAL(10,2), UPDTS TIMESTAMP)")
    with pytest.raises(SchemaDrift, match="order_id"):
        shop.load(physical_name="BARE")


def test_a_type_that_grew_rewrites_the_table_without_loss(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    narrow = tuple(
        replace(column, delta_type="decimal(6,2)") if column.name == "amount" else column for column in ORDERS.columns
    )
    shop.load(columns=narrow)
    shop.load()
    version = shop.lakehouse.open(bronze_id(ORDERS))
    assert next(column.type for column in version.columns if column.name == "amount") == "decimal(10,2)"
    assert shop.rows(con, "order_id, amount::VARCHAR") == [(1, "10.10"), (2, "20.20"), (3, "30.30")]


def test_a_type_that_would_narrow_stops_the_load_and_says_how_to_go_on(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    shop.load()
    narrow = tuple(
        replace(column, delta_type="decimal(6,2)") if column.name == "amount" else column for column in ORDERS.columns
    )
    with pytest.raises(SchemaDrift, match=r"would narrow from decimal\(10,2\) to decimal\(6,2\)"):
        shop.load(columns=narrow)
    assert len(shop.rows(con)) == 3


@pytest.mark.parametrize("mode", [Mode.INCREMENTAL, Mode.SNAPSHOT])
def test_a_type_that_narrowed_in_the_source_passes_and_bronze_keeps_the_wider_one(
    shop: Shop, con: duckdb.DuckDBPyConnection, mode: Mode
) -> None:
    columns = tuple(replace(column, delta_type=None) for column in ORDERS.columns)
    shop.load(columns=columns, mode=mode)
    shop.sql(
        "ALTER TABLE ORDERS RENAME TO WIDE",
        "CREATE TABLE ORDERS (ORDID SMALLINT PRIMARY KEY, CUST VARCHAR(20), AMT DECIMAL(6,2), UPDTS DATE)",
        "INSERT INTO ORDERS SELECT ORDID, CUST, AMT, date(UPDTS) FROM WIDE",
        "INSERT INTO ORDERS VALUES (4, 'dan', 4.44, '2024-01-03')",
    )
    outcome = shop.load(columns=columns, mode=mode, full=True)
    assert len([line for line in outcome.drift if "type narrowed" in line]) >= 2, outcome.drift
    held = {column.name: column.type for column in shop.lakehouse.open(bronze_id(ORDERS)).columns}
    assert (held["amount"], held["updated_at"]) == ("decimal(10,2)", "timestamp_ntz")
    assert shop.rows(con, "order_id, amount::VARCHAR")[-1] == (4, "4.44")
    assert not shop.load(columns=columns, mode=mode).changed
    with pytest.raises(SchemaDrift, match="type narrowed"):
        shop.load(columns=columns, mode=mode, drift=Drift.FREEZE)


def test_a_contract_without_a_column_takes_it_out_of_the_table(shop: Shop) -> None:
    shop.load(drift=Drift.DISCARD)
    fewer = tuple(column for column in ORDERS.columns if column.name != "customer")
    shop.load(columns=fewer, drift=Drift.DISCARD)
    names = [column.name for column in shop.lakehouse.open(bronze_id(ORDERS)).columns]
    assert names == ["order_id", "amount", "updated_at"]
