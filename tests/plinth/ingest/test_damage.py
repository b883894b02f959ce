"""A file of a table that is cut, overwritten or gone is told with what mends it, and making all rows anew needs none of the old files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from plinth.errors import StorageFailure
from plinth.ingest import bronze_id
from plinth.lakehouse.changes import changes_since
from plinth.lakehouse.maintenance import maintain
from plinth.lakehouse.tables import TableVersion

from .conftest import ORDERS, Shop

DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:200]),
    "emptied": lambda file: file.write_bytes(b""),
    "overwritten": lambda file: file.write_bytes(b"x" * file.stat().st_size),
    "gone": Path.unlink,
}


def damaged(shop: Shop, how: str) -> TableVersion:
    version = shop.lakehouse.open(bronze_id(ORDERS))
    for file in version.files:
        DAMAGE[how](Path(file.uri))
    return version


@pytest.mark.parametrize("how", list(DAMAGE))
def test_an_increment_says_what_mends_a_damaged_table_and_a_full_load_does(
    shop: Shop, con: duckdb.DuckDBPyConnection, how: str
) -> None:
    shop.load()
    before = damaged(shop, how)
    shop.sql("UPDATE ORDERS SET AMT = 21, UPDTS = '2024-01-02 10:00:01' WHERE ORDID = 2")
    with pytest.raises(StorageFailure, match="bronze/orders cannot be read") as told:
        shop.load()
    assert "plinth ingest TABLE --full" in str(told.value)
    assert shop.lakehouse.open(bronze_id(ORDERS)).version == before.version
    outcome = shop.load(full=True)
    assert (outcome.changed, outcome.rows, outcome.inserted) == (True, 3, None), "what differs cannot be told"
    assert shop.rows(con, "order_id, amount::VARCHAR") == [(1, "10.10"), (2, "21.00"), (3, "30.30")]
    shop.sql("UPDATE ORDERS SET AMT = 31, UPDTS = '2024-01-03 10:00:01' WHERE ORDID = 3")
    assert shop.load().updated == 1
    if how != "overwritten":  # as large as it was, so that only reading it tells
        now = shop.lakehouse.open(bronze_id(ORDERS))
        assert changes_since(shop.lakehouse, now, before.content) is None, "whoever reads on reads all"


def test_maintenance_leaves_a_damaged_table_as_it_is(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.load()
    shop.sql("INSERT INTO ORDERS VALUES (4, 'dan', 1, '2024-01-02 10:00:01')")
    shop.load()
    version = damaged(shop, "cut")
    assert len(version.files) == 2, "small ones, which would be folded"
    with pytest.raises(StorageFailure, match="cut, overwritten or gone"):
        maintain(con, shop.lakehouse, version)
    assert shop.lakehouse.open(bronze_id(ORDERS)).version == version.version
