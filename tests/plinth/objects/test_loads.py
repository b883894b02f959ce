"""Bronze in an object store: full and incremental loads, quarantine, and rows that are put back."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from plinth.engine import connect
from plinth.errors import ContractViolation
from plinth.ingest import bronze_id
from plinth.ingest.replay import MendedRow, replay
from plinth.lakehouse.quarantine import held_by_rule, held_rows, quarantine_id
from plinth.lakehouse.tables import Lakehouse
from tests.plinth.ingest.conftest import ORDERS, Shop
from tests.servers import S3Server

from .conftest import platform_at

pytestmark = pytest.mark.slow
HALF = {"quarantine_share": 0.5}


@pytest.fixture
def shop(tmp_path: Path, bucket: str, s3_server: S3Server) -> Shop:
    path = tmp_path / "shop.sqlite"
    url = f"sqlite:///{path}"
    made = Shop(url, path, Lakehouse(platform_at(tmp_path, bucket, s3_server, bronze="cloud", url=url)))
    made.sql(
        "CREATE TABLE ORDERS (ORDID INTEGER PRIMARY KEY, CUST VARCHAR(20), AMT DECIMAL(10,2), UPDTS TIMESTAMP)",
        "INSERT INTO ORDERS SELECT value, 'c' || value, value + 0.5, '2024-01-01 10:00:00' FROM "
        "(WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 500) SELECT * FROM n)",
    )
    return made


@pytest.fixture
def con(shop: Shop, tmp_path: Path) -> duckdb.DuckDBPyConnection:
    return connect(shop.lakehouse.platform.profile(), extensions=("delta",), scratch=tmp_path / "scratch")


def test_a_full_load_then_only_what_changed(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    first = shop.load()
    assert first.rows == 500
    shop.sql(
        "UPDATE ORDERS SET AMT = 7, UPDTS = '2024-01-02 10:00:00' WHERE ORDID = 3",
        "INSERT INTO ORDERS VALUES (501, 'new', 1.25, '2024-01-02 11:00:00')",
    )
    second = shop.load()
    assert (second.rows, second.inserted, second.updated) == (501, 1, 1)
    assert shop.rows(con, "order_id, amount::VARCHAR")[2] == (3, "7.00")
    watermark = shop.lakehouse.open(bronze_id(ORDERS)).state.watermark
    assert watermark is not None and watermark.startswith("2024-01-02")
    version = shop.lakehouse.open(bronze_id(ORDERS)).version
    shop.load()
    assert shop.lakehouse.open(bronze_id(ORDERS)).version == version, "nothing changed, nothing committed"
    shop.sql("DELETE FROM ORDERS WHERE ORDID = 9")
    assert shop.load(full=True).rows == 500


def test_a_broken_row_is_held_and_comes_back_mended(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5 WHERE ORDID = 2")
    assert shop.load(**HALF).rows == 499
    version = shop.lakehouse.open(quarantine_id(ORDERS))
    assert version.uri.startswith("s3://") and held_by_rule(con, version) == {"amount_minimum": 1}
    (row,) = held_rows(con, version)
    assert replay(shop.contract, shop.lakehouse, mended=[MendedRow(row.id, {"amount": "5.00"})]).replayed == 1
    assert shop.rows(con, "order_id, amount::VARCHAR")[1] == (2, "5.00")
    shop.load(full=True, **HALF)
    assert len(shop.rows(con, "order_id")) == 500


def test_a_refused_load_leaves_no_file(shop: Shop, s3_server: S3Server, bucket: str) -> None:
    shop.sql("UPDATE ORDERS SET AMT = -5")
    with pytest.raises(ContractViolation):
        shop.load(**HALF)
    assert [key for key in s3_server.keys(bucket) if "/bronze/" in key] == []
