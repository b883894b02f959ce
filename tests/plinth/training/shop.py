"""A shop whose customers come back: the tables that models are trained on, for as many days as a test wants.

All of it follows from hashes, so the first days of a longer history are those of a shorter one.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from plinth.engine import connect
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.schema import columns_of
from plinth.lakehouse.staging import stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.platform import Platform, Zone
from plinth.profile import Profile
from plinth.recommend.settings import RecommenderSettings
from plinth.registry import Registry
from plinth.training.recommender import RecommenderTarget

PROJECT = Path(__file__).resolve().parents[3]
FIRST = date(2023, 1, 2)
CUSTOMERS, ITEMS = 120, 60
SMALL = RecommenderTarget(settings=RecommenderSettings(cutoffs=1, trees=20, row_items=30))
"""The recommender, as quickly as it can be trained."""

# A customer orders every 10 to 55 days, six items of the half of the range that is to his taste, the first ones most.
_ORDERS = f"""
SELECT c AS customer, v AS visit, 'A' || (c * 1000 + v) AS order_no,
       DATE '{FIRST}' + to_days((c % 17 + v * (10 + c % 45) + hash(c * 7 + v) % 3)::INTEGER) + to_hours((9 + hash(c + v) % 8)::INTEGER) AS "at"
FROM range(1000, 1000 + {CUSTOMERS}) t(c), range(60) u(v)
"""
_LINES = f"""
SELECT o.*, row_number() OVER (ORDER BY customer, visit, n) AS line_id, n,
       'I' || lpad(((customer % 2) * {ITEMS // 2} + floor(pow((hash(customer * 31 + visit * 7 + n) % 1000) / 1000.0, 2) * {ITEMS // 2}))::INTEGER::VARCHAR, 3, '0')
           AS item_code
FROM ({_ORDERS}) o, range(6) w(n)
"""
_TABLES = {
    TableId("gold", "interactions"): "SELECT line_id, customer::INTEGER AS customer_no, item_code, \"at\" AS bought_at, 2::INTEGER AS quantity, "
    "9.5::DECIMAL(18, 4) AS value FROM lines",
    TableId("silver", "invoice_lines"): "SELECT line_id, order_no AS invoice_no, customer::INTEGER AS customer_no, item_code, 'sale' AS line_type, 'goods' AS item_kind, "
    "2::INTEGER AS quantity, 4.75::DECIMAL(12, 4) AS unit_price, 9.5::DECIMAL(18, 4) AS line_value, \"at\" AS invoiced_at, \"at\" AS known_at, 'ITEM ' || item_code AS description FROM lines",
    TableId("gold", "customer_orders"): "SELECT customer::INTEGER AS customer_no, order_no, \"at\" AS ordered_at, 'France' AS country, 6::INTEGER AS lines, "
    "count(DISTINCT item_code)::INTEGER AS items, 12::BIGINT AS units, 57::DECIMAL(18, 4) AS goods_value FROM lines GROUP BY ALL",
    TableId("silver", "campaign_contacts"): "SELECT 1::INTEGER AS promotion_id, 1000::INTEGER AS customer_no, DATE '2023-02-01' AS contacted_on, 'email' AS channel, "
    "'treatment' AS trial_group, false AS is_redeemed, NULL::DATE AS redeemed_on, NULL::TIMESTAMP AS known_at WHERE false",
    TableId("gold", "item_catalog"): "SELECT 'I' || lpad(i::VARCHAR, 3, '0') AS item_code, 'ITEM ' || chr((65 + i % 20)::INTEGER) || ' OF KIND ' || i // 7 AS description, "
    f"(1 + i)::DECIMAL(10, 2) AS list_price, 1.5::DECIMAL(12, 4) AS average_price, 'active' AS status, NULL::DATE AS introduced_on, NULL::DATE AS discontinued_on FROM range({ITEMS}) t(i)",
}  # fmt: skip


@dataclass(frozen=True)
class Shop:
    """The folder of one test, and what stands in it."""

    platform: Platform

    @property
    def lakehouse(self) -> Lakehouse:
        return Lakehouse(self.platform)

    @property
    def registry(self) -> Registry:
        return Registry.of(self.platform)

    def trade(self, days: int, *, extra: str = "") -> None:
        """Makes the tables hold the first days; `extra` are further rows for `lines`."""
        con = connect(self.platform.profile(), scratch=self.platform.path("scratch"))
        end = FIRST + timedelta(days=days)
        con.execute(f"CREATE TEMP TABLE lines AS SELECT * FROM ({_LINES}) WHERE \"at\" < DATE '{end}'")
        if extra:
            con.execute(f"INSERT INTO lines {extra}")
        for table, sql in _TABLES.items():
            self.write(table, sql, con)
        con.close()

    def write(self, table: TableId, sql: str, con: object | None = None) -> TableVersion:
        """Makes a table hold what a query yields."""
        opened = con or connect(self.platform.profile(), scratch=self.platform.path("scratch"))
        base = self.lakehouse.find(table)
        columns = columns_of(opened, sql)  # type: ignore[arg-type]
        staged = stage(opened, sql, self.lakehouse.uri_of(table), columns)  # type: ignore[arg-type]
        state = (base.state if base is not None else State()).next(changed=True)
        return commit(
            self.lakehouse, table, Write(base, columns, state, staged, base.files if base is not None else ())
        )


def shop_in(folder: Path) -> Shop:
    """A shop that has no table yet, with the project's own feature views."""
    shutil.copyfile(PROJECT / "feature_views.yaml", folder / "feature_views.yaml")
    layers = dict.fromkeys(("bronze", "silver", "gold", "features", "serving", "ops"), "here")
    return Shop(
        Platform(
            zones={"here": Zone(root="here", clearance=("public", "internal", "confidential", "restricted"))},
            layers=layers,  # type: ignore[arg-type]
            profiles={"small": Profile(cpu=1, memory=512 * 2**20, threads=1)},
            default_profile="small",
            home=folder,
        )
    )
