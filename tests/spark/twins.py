"""One legacy table loaded by both engines, each into a lakehouse of its own, and held against each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from plinth.contracts.model import Table
from plinth.engine import connect, quote
from plinth.ingest import Outcome, bronze_id, ingest
from plinth.lakehouse.quarantine import quarantine_id
from plinth.lakehouse.staged_apart import STAGING
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.profile import Profile
from plinth.sources import open_url
from plinth.spark.engine import SparkEngine
from tests.plinth.ingest.conftest import make_platform
from tests.plinth.sources.landing import contract

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BIG = Profile(cpu=2, memory=3 * 2**30, threads=2, engine="spark")


def with_spark(home: Path) -> Platform:
    """A platform with a profile `big`, which is one of Spark."""
    platform = make_platform(home, "sqlite:///not-asked")
    return platform.model_copy(update={"profiles": {**platform.profiles, "big": BIG}})


MAKE_ORDERS = (
    "CREATE TABLE orders (id int PRIMARY KEY, total int, upd timestamp(6) NULL)",
    "INSERT INTO orders VALUES (1, 10, '2024-01-01 10:00:00.000001'), (2, 20, '2024-01-02'), (3, NULL, NULL)",
)
ORDERS = contract("orders", "id total upd", cursor="upd")
ACCOUNTS = contract("accounts", "id amount pad")
MAKE_ACCOUNTS = {
    "postgres": (
        "CREATE TABLE accounts (id int PRIMARY KEY, amount int, pad text)",
        "INSERT INTO accounts SELECT i, 0, repeat('x', 400) FROM generate_series(1, 60000) i",
    ),
    "mysql": (
        "CREATE TABLE accounts (id int PRIMARY KEY, amount int, pad varchar(400))",
        "INSERT INTO accounts SELECT seq, 0, repeat('x', 400) FROM seq_1_to_60000",
    ),
}


@dataclass
class Twins:
    """Two lakehouses over one legacy database."""

    home: Path
    url: str
    session: Callable[[], SparkSession]

    def __post_init__(self) -> None:
        self.duck, self.spark = (Lakehouse(with_spark(self.home / name)) for name in ("duck", "spark"))

    def by_spark(self, table: Table) -> Outcome:
        """Loads the table by Spark."""
        wanted = replace(table, source="shop", profile="big")
        return ingest(wanted, open_url(self.url), self.spark, run="test", spark=SparkEngine(self.session))

    def load(self, table: Table) -> tuple[Outcome, Outcome]:
        """Loads the table by DuckDB and by Spark."""
        ours = ingest(replace(table, source="shop"), open_url(self.url), self.duck, run="test")
        theirs = self.by_spark(table)
        assert (ours.engine, theirs.engine) == ("duckdb", "spark")
        return ours, theirs

    def assert_same(self, table: Table) -> None:
        """Columns, rows to the last bit, and what went to quarantine are the same; nothing that was on the way is left."""
        ours, theirs = (house.open(bronze_id(table)) for house in (self.duck, self.spark))
        assert ours.columns == theirs.columns
        # As text as well: equal numbers are not always the same (0.0 and -0.0).
        names = ", ".join(quote(column.name) for column in ours.columns)
        names += "".join(f", CAST({quote(column.name)} AS VARCHAR)" for column in ours.columns)
        sides = " UNION ALL ".join(
            f"SELECT {side} AS side, {names} FROM {version.scan}" for side, version in ((1, theirs), (-1, ours))
        )
        with connect(Profile(cpu=2, memory=2**30), extensions=("delta",)) as con:
            listed = ", ".join(f"c{number}" for number in range(2 * len(ours.columns)))
            differing = con.execute(
                f"SELECT sum(side), {listed} FROM ({sides}) sides(side, {listed}) GROUP BY ALL HAVING sum(side) <> 0"
            ).fetchall()
            assert not differing, differing
            assert ours.rows == theirs.rows > 0, (ours.rows, theirs.rows)
            held = []
            for house in (self.duck, self.spark):
                version = house.find(quarantine_id(table))
                sql = f"SELECT rule, reason, key, row FROM {version.scan} ORDER BY ALL" if version else None
                held.append(con.execute(sql).fetchall() if sql else [])
            assert held[0] == held[1], held
        self.assert_nothing_staged()

    def assert_nothing_staged(self) -> None:
        """What Spark had landed is gone."""
        staging = self.spark.platform.path("zone") / STAGING
        assert not staging.exists() or list(staging.iterdir()) == []
