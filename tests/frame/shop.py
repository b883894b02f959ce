"""A small legacy shop in SQLite with its contract and a platform of its own, in one test's folder."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from definitions import build_definitions
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.platform import Platform, load_platform

PROJECT = Path(__file__).resolve().parents[2]

TABLES = """
CREATE TABLE CLIENTS ("Client No" INTEGER PRIMARY KEY, NAME TEXT, UPDTS TIMESTAMP NOT NULL);
CREATE TABLE ORDERS (ORDNO INTEGER PRIMARY KEY, CLIENT INTEGER, AMT DECIMAL(10,2), STATE TEXT, UPDTS TIMESTAMP NOT NULL);
CREATE TABLE "Stock Dump" (SNAPDT DATE, "Größe" INTEGER);
INSERT INTO CLIENTS VALUES (1, 'Ada', '2024-01-01 08:00:00'), (2, 'Bo', '2024-01-02 08:00:00');
INSERT INTO ORDERS VALUES (10, 1, 5.50, 'open', '2024-01-03 08:00:00'), (11, 2, 7.25, 'paid', '2024-01-04 08:00:00'),
  (12, 2, 1.00, 'paid', '2024-01-05 08:00:00');
INSERT INTO "Stock Dump" VALUES ('2024-01-05', 3), ('2024-01-05', 3);
"""


def contract() -> dict[str, Any]:
    """The shop's contract, as the values of its file; a test changes what it is about."""
    incremental = [{"property": "mode", "value": "incremental"}, {"property": "cursor", "value": "updated_at"}]
    updated = {"name": "updated_at", "physicalName": "UPDTS", "logicalType": "timestamp", **_delta("timestamp_ntz")}
    return {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "shop",
        "name": "The shop",
        "version": "1.0.0",
        "team": {"name": "shop-systems"},
        "slaProperties": [{"property": "freshness", "value": 26, "unit": "h"}],
        "schema": [
            {
                "name": "client",
                "physicalName": "CLIENTS",
                "description": "One row for each client.",
                "tags": ["personal data"],
                "customProperties": incremental,
                "properties": [
                    {"name": "client_no", "physicalName": "Client No", "logicalType": "integer", "primaryKey": True, **_delta("long")},
                    {"name": "name", "physicalName": "NAME", "logicalType": "string", "classification": "confidential",
                     "tags": ["personal"], "description": "As typed in.", **_delta("string")},
                    updated,
                ],
            },
            {
                "name": "orders",
                "physicalName": "ORDERS",
                "description": "One row for each order.",
                "customProperties": [*incremental, {"property": "quarantineShare", "value": 0.5}],
                "relationships": [{"type": "foreignKey", "from": "orders.client_no", "to": "client.client_no"}],
                "quality": [
                    {"id": "few_open", "description": "At most two orders are open.", "type": "sql",
                     "query": "SELECT count(*) FROM {table} WHERE state = 'open'", "mustBeLessOrEqualTo": 2, "severity": "warning"},
                ],
                "properties": [
                    {"name": "order_no", "physicalName": "ORDNO", "logicalType": "integer", "primaryKey": True, **_delta("long")},
                    {"name": "client_no", "physicalName": "CLIENT", "logicalType": "integer", **_delta("long")},
                    {"name": "amount", "physicalName": "AMT", "logicalType": "number", "logicalTypeOptions": {"minimum": 0},
                     **_delta("decimal(10,2)")},
                    {"name": "state", "physicalName": "STATE", "logicalType": "string", **_delta("string")},
                    updated,
                ],
            },
            {
                "name": "stock_dump",
                "physicalName": "Stock Dump",
                "properties": [
                    {"name": "taken_on", "physicalName": "SNAPDT", "logicalType": "date", **_delta("date")},
                    {"name": "size", "physicalName": "Größe", "logicalType": "integer", **_delta("long")},
                ],
            },
        ],
    }  # fmt: skip


def _delta(kind: str) -> dict[str, Any]:
    return {"customProperties": [{"property": "deltaType", "value": kind}]}


@dataclass
class Shop:
    """The shop of one test."""

    folder: Path

    @property
    def database(self) -> Path:
        """The SQLite file of the legacy system."""
        return self.folder / "shop.sqlite"

    @property
    def platform(self) -> Platform:
        """The settings."""
        return load_platform(self.folder / "platform.yaml")

    @property
    def lakehouse(self) -> Lakehouse:
        """The lakehouse beside it."""
        return Lakehouse(self.platform)

    def describe(self, values: dict[str, Any]) -> None:
        """Writes the contract."""
        (self.folder / "shop.odcs.yaml").write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))

    def sql(self, *statements: str) -> None:
        """Changes the legacy system."""
        with sqlite3.connect(self.database) as con:
            for statement in statements:
                con.executescript(statement)
        con.close()

    def table(self, name: str) -> TableVersion:
        """The newest version of a bronze table."""
        return self.lakehouse.open(TableId("bronze", name))

    def make_project(self) -> Path:
        """Makes the folder a project of its own, for commands and processes that load it by its files."""
        for name in ("definitions.py", "workspace.yaml", "dagster.yaml"):
            shutil.copy(PROJECT / name, self.folder / name)
        return self.folder

    def command(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of this environment, such as `plinth run`, in the project's folder."""
        tool, *rest = arguments
        environment = {
            key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "PLINTH_PLATFORM")
        }
        return subprocess.run(
            [str(Path(sys.executable).with_name(tool)), *rest],
            cwd=self.folder,
            env={**environment, "COLUMNS": "200", **variables},
            capture_output=True,
            text=True,
            timeout=300,
        )

    def definitions(self, *more: Any) -> dg.Definitions:
        """Fresh definitions, with further assets of a test beside them."""
        own = build_definitions(self.platform)
        return dg.Definitions.merge(own, dg.Definitions(assets=list(more))) if more else own

    def load(self, instance: dg.DagsterInstance, *tables: str, **config: Any) -> dg.ExecuteInProcessResult:
        """Materialises some bronze tables (all by default) and runs their checks, in this process."""
        job = self.definitions().get_repository_def().get_job("ingest")
        keys = [dg.AssetKey(["bronze", name]) for name in tables] or None
        ops = {"ops": {f"bronze__{name}": {"config": config} for name in tables}} if config else {}
        return job.execute_in_process(instance=instance, asset_selection=keys, run_config=ops, raise_on_error=False)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with two clients, three orders and a keyless dump of two equal rows; nothing of it is loaded yet."""
    made = Shop(tmp_path)
    made.sql(TABLES)
    made.describe(contract())
    settings = {
        "zones": {
            "on_prem": {"root": "on_prem", "clearance": ["public", "internal", "confidential", "restricted"]},
            "cloud": {"root": "cloud", "clearance": ["public", "internal"]},
        },
        "layers": {"bronze": "on_prem", "silver": "cloud", "gold": "cloud", "ops": "on_prem"},
        "stores": {"report": str(tmp_path / "report.json"), "scratch": str(tmp_path / "scratch")},
        "profiles": {"small": {"cpu": 2, "memory": "512MiB", "threads": 2}},
        "default_profile": "small",
        "sources": {"shop": {"url": "sqlite:///shop.sqlite", "contract": "shop.odcs.yaml", "tables_per_tick": 2}},
    }
    (tmp_path / "platform.yaml").write_text(yaml.safe_dump(settings))
    return made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A real instance of this test's own, in memory."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def stored_instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A real instance in a folder, with the project's settings: SQLite, pools of one slot. Slower: it writes to the disk."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(home)) as made:
        yield made
