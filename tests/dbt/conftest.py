"""The project's own models over warehouses in folders of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from plinth.catalogue import load_contracts
from plinth.engine import connect
from plinth.ingest import ingest
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.platform import load_platform
from plinth.sources import open_url
from plinth.transform.run import Built, build

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class House:
    """A legacy warehouse, the lakehouse that is built from it, and a connection to ask both."""

    folder: Path
    project: Path
    lakehouse: Lakehouse
    con: duckdb.DuckDBPyConnection

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/erp.sqlite"

    def load(self) -> None:
        """Brings bronze up to the warehouse."""
        platform = self.lakehouse.platform
        for contract in load_contracts(platform):
            source = open_url(self.url)
            for table in contract.tables:
                ingest(table, source, self.lakehouse, run="test")
            source.close()

    def build(self, *, full_refresh: bool = False) -> Built:
        """Brings silver and gold up to bronze."""
        return build(self.project, self.lakehouse, run="test", full_refresh=full_refresh)

    def one(self, sql: str) -> tuple[object, ...]:
        """The first row of a query, in which `{layer/table}` stands for a table."""
        for layer in ("bronze", "silver", "gold"):
            for table in self.lakehouse.tables(layer):
                sql = sql.replace("{" + str(table) + "}", self.lakehouse.open(table).scan)
        return self.con.execute(sql).fetchone() or ()

    def rows(self, table: str) -> set[tuple[object, ...]]:
        """All rows of a table; none of ours holds a row twice."""
        layer, _, name = table.partition("/")
        found = self.con.execute(f"FROM {self.lakehouse.open(TableId(layer, name)).scan}").fetchall()  # type: ignore[arg-type]
        assert len(set(found)) == len(found)
        return set(found)


def make_house(folder: Path) -> House:
    """An empty one, built by the project's own models."""
    overlay = folder / "platform.yaml"
    overlay.write_text(
        f"zones:\n  on_prem: {{root: {folder}/on_prem}}\n  cloud: {{root: {folder}/cloud}}\n"
        f"stores: {{report: {folder}/report.json, scratch: {folder}/scratch}}\n"
        f"sources:\n  erp: {{url: 'sqlite:///{folder}/erp.sqlite'}}\n"
    )
    lakehouse = Lakehouse(load_platform(ROOT / "platform.yaml", overlay))
    return House(folder, ROOT / "dbt_project", lakehouse, connect(lakehouse.platform.profile(), extensions=("delta",)))
