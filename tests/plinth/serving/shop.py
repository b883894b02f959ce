"""A small shop with a trained recommender: gold tables, a champion in a registry, and an online store, all in one folder.

Customers buy in two circles of taste, so lists, neighbours and popularity all have something to say.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plinth.engine import connect
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.schema import DeltaColumn, columns_of
from plinth.lakehouse.staging import stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.online import OnlineStore
from plinth.platform import Platform, Zone
from plinth.profile import Profile
from plinth.recommend import RecommenderSettings, train_recommender
from plinth.registry import RegisteredVersion, Registry
from plinth.serving.champion import RECOMMENDER
from plinth.serving.lists import Setting

# Enough for a plan to be asked for; there is no campaign to learn an uplift from.
_OF_PLANS = {
    TableId("silver", "customers"): (
        "SELECT * FROM (VALUES (100, true, true, true, true, 1970), (101, false, true, true, true, 1980)) "
        "t(customer_no, has_marketing_consent, is_active, has_email, has_phone, birth_year)"
    ),
    TableId("silver", "campaign_contacts"): (
        "SELECT 1 AS promotion_id, 100 AS customer_no, DATE '2024-05-01' AS contacted_on, 'email' AS channel, 'treatment' AS trial_group, "
        "false AS is_redeemed, NULL::DATE AS redeemed_on, NULL::TIMESTAMP AS known_at WHERE false"
    ),
    TableId("silver", "promotions"): (
        "SELECT 1 AS promotion_id, 'JUNE' AS promotion_name, 'percent_off' AS promotion_type, 10.0::DECIMAL(5, 2) AS discount_percent, "
        "NULL::DECIMAL(5, 2) AS discount_amount, DATE '2024-06-01' AS starts_on, DATE '2024-06-14' AS ends_on, 100.0::DECIMAL(12, 2) AS budget, "
        "NULL::DECIMAL(10, 2) AS minimum_value"
    ),
}
# What events come from: the lines, and the orders that they belong to.
_OF_PURCHASES = {
    TableId("gold", "interactions"): (
        "SELECT row_number() OVER (ORDER BY time, basket, item) AS line_id, customer::INTEGER AS customer_no, item AS item_code, time AS bought_at, "
        "1::INTEGER AS quantity FROM {events}"
    ),
    TableId("silver", "invoice_lines"): (
        "SELECT row_number() OVER (ORDER BY time, basket, item) AS line_id, basket AS invoice_no, customer::INTEGER AS customer_no, "
        "item AS item_code, 'ITEM ' || item AS description, 1::INTEGER AS quantity, 9.5::DECIMAL(12, 4) AS unit_price, 9.5::DECIMAL(18, 4) AS line_value, "
        "'sale' AS line_type, 'goods' AS item_kind, time AS invoiced_at, time AS known_at FROM {events}"
    ),
    TableId("gold", "customer_orders"): (
        "SELECT customer::INTEGER AS customer_no, basket AS order_no, min(time) AS ordered_at, min(country) AS country, "
        "count(*)::INTEGER AS lines, count(*)::INTEGER AS items, count(*)::BIGINT AS units, 9.5::DECIMAL(18, 4) AS goods_value "
        "FROM {events} GROUP BY customer, basket"
    ),
}
AT = datetime(2024, 6, 3)
CUSTOMERS, ITEMS = 60, 24


@dataclass
class Shop:
    """The folder, and what stands in it."""

    folder: Path
    platform: Platform

    @property
    def lakehouse(self) -> Lakehouse:
        return Lakehouse(self.platform)

    @property
    def registry(self) -> Registry:
        return Registry.of(self.platform)

    @property
    def setting(self) -> Setting:
        return Setting(self.lakehouse, self.registry, self.platform.profile(), "run-1")

    def store(self) -> OnlineStore:
        return OnlineStore.of(self.platform)

    def write(self, table: TableId, sql: str, **classified: str) -> TableVersion:
        """Makes a table hold what a query yields; `classified` are classifications of its columns."""
        con = connect(self.platform.profile(), scratch=self.folder / "scratch")
        columns = tuple(
            DeltaColumn(each.name, each.type, classified.get(each.name, "internal")) for each in columns_of(con, sql)
        )
        base = self.lakehouse.find(table)
        staged = stage(con, sql, self.lakehouse.uri_of(table), columns)
        con.close()
        state = (base.state if base is not None else State()).next(changed=True)
        removed = base.files if base is not None else ()
        return commit(self.lakehouse, table, Write(base, columns, state, staged, removed))

    def trade(self, bought: pa.Table) -> None:
        """Makes gold hold these purchases."""
        file = self.folder / "bought.parquet"
        pq.write_table(bought, file)
        for table, sql in _OF_PURCHASES.items():
            self.write(table, sql.format(events=f"read_parquet('{file}')"))

    def train(self, seed: int, tags: Mapping[str, str] | None = None) -> RegisteredVersion:
        """Trains and registers a recommender, and makes it the champion."""
        model = train_recommender(
            events(seed), items(), at=AT, threads=1, seed=seed, settings=RecommenderSettings(cutoffs=1)
        )
        saved = self.folder / f"saved-{seed}"
        model.save(saved)
        version = self.registry.log(
            RECOMMENDER,
            files=saved,
            parameters={},
            metrics={"recall": 0.1 * seed},
            plots={},
            inputs={},
            seed=seed,
            tags=tags or {},
        )
        return self.registry.promote(RECOMMENDER, version.version)


def platform_in(folder: Path) -> Platform:
    """The settings of a shop."""
    zones = {
        "on_prem": Zone(root="on_prem", clearance=("public", "internal", "confidential", "restricted")),
        "cloud": Zone(root="cloud", clearance=("public", "internal")),
    }
    layers = {
        "bronze": "on_prem", "silver": "cloud", "gold": "on_prem", "features": "cloud", "serving": "cloud", "ops": "on_prem",
    }  # fmt: skip
    profiles = {"small": Profile(cpu=1, memory=256 * 2**20, threads=1)}
    return Platform(zones=zones, layers=layers, profiles=profiles, default_profile="small", home=folder)  # type: ignore[arg-type]


def make_shop(folder: Path) -> Shop:
    """A shop without a model."""
    shop = Shop(folder, platform_in(folder))
    people(shop, CUSTOMERS)
    shop.write(
        TableId("gold", "item_catalog"),
        f"SELECT 'I' || lpad(i::VARCHAR, 3, '0') AS item_code, 'ITEM NUMBER ' || i AS description, (1 + i)::DECIMAL(10, 2) AS list_price, "
        f"1.5::DECIMAL(12, 4) AS average_price, 0.8::DECIMAL(12, 4) AS cost_price, 100::BIGINT AS units_sold, 'active' AS status, "
        f"NULL::DATE AS introduced_on, NULL::DATE AS discontinued_on FROM range({ITEMS}) t(i)",
    )
    for table, sql in _OF_PLANS.items():
        shop.write(table, sql)
    shop.trade(events(1))
    return shop


_trained: list[Path] = []


def trained_shop(factory: pytest.TempPathFactory) -> Path:
    """The folder of a shop with a champion, made once for all rooms; training and MLflow's first start take some seconds."""
    if not _trained:
        folder = factory.mktemp("trained") / "shop"
        make_shop(folder).train(1)
        _trained.append(folder)
    return _trained[0]


def copy_of(trained: Path, folder: Path) -> Shop:
    """A copy of a shop."""
    shutil.copytree(trained, folder)
    return Shop(folder, platform_in(folder))


def people(shop: Shop, number: int) -> TableVersion:
    """Makes gold/customer_360 hold the first customers; every third one consents."""
    return shop.write(
        TableId("gold", "customer_360"),
        "SELECT (100 + i)::INTEGER AS customer_no, CASE WHEN i % 2 = 0 THEN 'France' ELSE 'United Kingdom' END AS country, "
        f"i % 3 = 0 AS has_marketing_consent FROM range({number}) t(i)",
    )


def events(seed: int) -> pa.Table:
    """Baskets of two circles, over half a year."""
    chance = random.Random(seed)
    rows = []
    for customer in range(CUSTOMERS - 5):
        for visit in range(chance.randint(2, 7)):
            time = AT - timedelta(days=chance.uniform(1, 180))
            circle = range(0, ITEMS // 2) if customer % 2 == 0 else range(ITEMS // 2, ITEMS)
            basket = (100 + customer, f"{customer}-{visit}")
            rows += [(*basket, f"I{item:03}", time, "France") for item in chance.sample(list(circle), 4)]
    columns = list(zip(*rows, strict=True))
    return pa.table(
        {
            "customer": pa.array(columns[0], pa.int64()),
            "basket": columns[1],
            "item": columns[2],
            "time": pa.array(columns[3], pa.timestamp("us")),
            "country": columns[4],
        }
    )


def items() -> pa.Table:
    """The items with texts and prices."""
    return duckdb.sql(
        f"SELECT 'I' || lpad(i::VARCHAR, 3, '0') AS item, 'ITEM NUMBER ' || i AS description, (1 + i)::DOUBLE AS price FROM range({ITEMS}) t(i)"
    ).to_arrow_table()
