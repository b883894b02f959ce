"""A small lakehouse of one test's own with two tables, and views over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from plinth.engine import connect
from plinth.features import FeatureViews, load_views
from plinth.lakehouse.compare import merge_difference
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.staging import stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.platform import load_platform

ROOT = Path(__file__).resolve().parents[3]
SALES = TableId("silver", "sales")
_SALES = (
    DeltaColumn("line", "long"),
    DeltaColumn("who", "long"),
    DeltaColumn("item", "string"),
    DeltaColumn("value", "decimal(18,4)"),
    DeltaColumn("note", "string"),
    DeltaColumn("happened", "timestamp_ntz"),
    DeltaColumn("known", "timestamp_ntz"),
)

Sale = tuple[int, int, str, float, datetime, datetime]
"""Line, who, item, value, when it happened, when it was known."""


def declaration() -> dict[str, Any]:
    """The views as the values of their file; a test changes what it is about."""
    sales = {
        "table": "silver/sales",
        "event_time": "happened",
        "known_time": "known",
        "scope": ["who"],
        "columns": {"who": "who", "item": "item", "value": "value"},
    }
    return {
        "since": "2024-01-01",
        "views": {
            "buyer": {
                "owner": "team:test",
                "description": "What someone bought.",
                "refresh_weeks": 4,
                "entity": {"who": {"type": "long", "description": "Who."}},
                "sources": {"sales": sales},
                "features": {
                    "orders": {"from": "sales", "expression": "count(*)", "type": "long", "description": "Sales."},
                    "spent": {"from": "sales", "expression": "sum(value)", "description": "Their value."},
                    "spent_decay": {
                        "from": "sales",
                        "expression": "sum(value * decay(age, 14))",
                        "description": "Weighted.",
                    },
                    "idle_days": {"from": "sales", "expression": "min(age)", "description": "Days since the last."},
                    "recent": {
                        "from": "sales",
                        "window": "7d",
                        "expression": "count(*)",
                        "type": "long",
                        "default": 0,
                        "description": "In 7 days.",
                    },
                },
            }
        },
    }


@dataclass
class FeatureShop:
    """The lakehouse of one test, with its declaration."""

    folder: Path
    lakehouse: Lakehouse

    @property
    def views(self) -> FeatureViews:
        """The views as declared now."""
        return load_views(self.folder / "feature_views.yaml")

    def declare(self, values: dict[str, Any]) -> None:
        """Writes the declaration."""
        (self.folder / "feature_views.yaml").write_text(
            yaml.safe_dump(values, sort_keys=False).replace("'2024-01-01'", "2024-01-01")
        )

    def sell(self, sales: Sequence[Sale], *, notes: Sequence[str] | None = None) -> TableVersion:
        """Makes these the rows of silver/sales, touching only what differs."""
        held = self.lakehouse.find(SALES)
        con = connect(self.lakehouse.platform.profile())
        table = pa.table(
            {
                "line": pa.array([sale[0] for sale in sales], pa.int64()),
                "who": pa.array([sale[1] for sale in sales], pa.int64()),
                "item": pa.array([sale[2] for sale in sales], pa.string()),
                "value": pa.array([sale[3] for sale in sales], pa.float64()),
                "note": pa.array(notes or [""] * len(sales), pa.string()),
                "happened": pa.array([sale[4] for sale in sales], pa.timestamp("us")),
                "known": pa.array([sale[5] for sale in sales], pa.timestamp("us")),
            }
        )
        con.register("given", table)
        sql = "SELECT * REPLACE (CAST(value AS DECIMAL(18, 4)) AS value) FROM given"
        state = held.state if held is not None else State()
        if held is not None:
            change = merge_difference(con, held, _SALES, sql, ("line",))
            if change is not None:
                return commit(
                    self.lakehouse,
                    SALES,
                    Write(held, _SALES, state.next(changed=change.changed), change.add, change.remove),
                )
        files = stage(con, sql, self.lakehouse.uri_of(SALES), _SALES)
        return commit(
            self.lakehouse,
            SALES,
            Write(held, _SALES, state.next(changed=True), files, held.files if held is not None else ()),
        )

    def features(self, name: str = "buyer") -> TableVersion:
        """The newest version of a view's table."""
        return self.lakehouse.open(TableId("features", name))

    def rows(self, name: str = "buyer") -> list[dict[str, Any]]:
        """All rows of a view's table, in order of snapshot and key."""
        con = connect(self.lakehouse.platform.profile(), extensions=("delta",))
        return con.execute(f"FROM {self.features(name).scan} ORDER BY as_of, who").to_arrow_table().to_pylist()


def make_shop(folder: Path) -> FeatureShop:
    """A lakehouse without tables, and the declaration as it stands above."""
    settings = {
        "zones": {
            "on_prem": {"root": "on_prem", "clearance": ["public", "internal", "confidential", "restricted"]},
            "cloud": {"root": "cloud", "clearance": ["public", "internal"]},
        },
        "layers": {
            "bronze": "on_prem",
            "silver": "cloud",
            "gold": "cloud",
            "features": "cloud",
            "serving": "cloud",
            "ops": "on_prem",
        },
        "stores": {"report": "report.json", "scratch": "scratch"},
        "profiles": {"small": {"cpu": 2, "memory": "1GiB", "threads": 2}},
        "default_profile": "small",
    }
    (folder / "platform.yaml").write_text(yaml.safe_dump(settings))
    made = FeatureShop(folder, Lakehouse(load_platform(folder / "platform.yaml")))
    made.declare(declaration())
    return made
