"""A small shop in a legacy database, its contract, and a lakehouse to load it into."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from plinth.contracts.model import Column, Mode, Rule, Table
from plinth.engine import connect
from plinth.ingest import Outcome, bronze_id, ingest
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform, Source, Zone
from plinth.profile import Profile
from plinth.sources import open_url

ORDERS = Table(
    source="shop",
    name="orders",
    physical_name="ORDERS",
    columns=(
        Column("order_id", "ORDID", "INTEGER", delta_type="long"),
        Column("customer", "CUST", "VARCHAR(20)", delta_type="string"),
        Column("amount", "AMT", "DECIMAL(10,2)", delta_type="decimal(10,2)"),
        Column("updated_at", "UPDTS", "TIMESTAMP", delta_type="timestamp_ntz"),
    ),
    key=("order_id",),
    cursor="updated_at",
    mode=Mode.INCREMENTAL,
    lookback=3600.0,
    reconcile_every=timedelta(days=1),
    rules=(
        Rule("order_id_required", "an order has a number", ("order_id",), '"order_id" IS NOT NULL'),
        Rule("amount_minimum", "no negative amounts", ("amount",), '"amount" >= 0'),
    ),
)


def make_platform(home: Path, url: str) -> Platform:
    """A platform with one zone for everything and the legacy database at `url`."""
    zone = Zone(root="zone", clearance=("public", "internal", "confidential", "restricted"))
    return Platform(
        zones={"on_prem": zone},
        layers=dict.fromkeys(("bronze", "silver", "gold", "ops"), "on_prem"),  # type: ignore[arg-type]
        profiles={"small": Profile(cpu=1, memory=512 * 2**20, threads=1)},
        default_profile="small",
        sources={"shop": Source(url=url, contract="shop.odcs.yaml")},
        home=home,
    )


@dataclass
class Shop:
    """The legacy shop: SQL goes in, loads come out."""

    url: str
    path: Path
    lakehouse: Lakehouse
    contract: Table = ORDERS
    extra: dict[str, object] = field(default_factory=dict)

    def sql(self, *statements: str) -> None:
        """Changes the legacy database."""
        connection = sqlite3.connect(self.path)
        with connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    def load(self, *, full: bool = False, **changes: object) -> Outcome:
        """Loads the bronze table, with some of the contract changed."""
        source = open_url(self.url)
        try:
            return ingest(replace(self.contract, **changes), source, self.lakehouse, run="test", full=full)  # type: ignore[arg-type]
        finally:
            source.close()

    def rows(self, con: duckdb.DuckDBPyConnection, columns: str = "*") -> list[tuple[object, ...]]:
        """The rows of the bronze table, by key."""
        version = self.lakehouse.open(bronze_id(self.contract))
        return con.execute(f"SELECT {columns} FROM {version.scan} ORDER BY 1").fetchall()


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = connect(Profile(cpu=1, memory=256 * 2**20, threads=1), extensions=("delta",), scratch=tmp_path / "s")
    yield connection
    connection.close()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    path = tmp_path / "shop.sqlite"
    url = f"sqlite:///{path}"
    shop = Shop(url, path, Lakehouse(make_platform(tmp_path, url)))
    shop.sql(
        "CREATE TABLE ORDERS (ORDID INTEGER PRIMARY KEY, CUST VARCHAR(20), AMT DECIMAL(10,2), UPDTS TIMESTAMP)",
        "INSERT INTO ORDERS VALUES (1, 'ann', 10.10, '2024-01-01 10:00:00'), (2, 'bob', 20.20, '2024-01-01 11:00:00'), "
        "(3, NULL, 30.30, '2024-01-01 12:00:00')",
    )
    return shop
