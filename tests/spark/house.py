"""Platforms in folders of their own, with a profile whose engine is Spark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from plinth.catalogue import load_contracts
from plinth.engine import quote
from plinth.ingest import ingest
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.platform import Platform, load_platform
from plinth.sources import open_url
from plinth.spark.engine import SparkEngine
from plinth.transform.run import Built

ROOT = Path(__file__).resolve().parents[2]


def platform_in(folder: Path, engine: str = "spark", spark: str = "", memory: str = "3GiB") -> Platform:
    """The project's platform with its data in a folder.

    Args:
        engine: of the default profile, `memory` its size.
        spark: YAML of the section `spark`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    overlay = folder / "platform.yaml"
    overlay.write_text(
        f"zones:\n  on_prem: {{root: {folder}/on_prem}}\n  cloud: {{root: {folder}/cloud}}\n"
        f"stores: {{report: {folder}/report.json, scratch: {folder}/scratch}}\n"
        f"sources:\n  erp: {{url: 'sqlite:///{folder}/erp.sqlite'}}\n"
        f"profiles:\n  spark: {{cpu: 2, memory: {memory}, threads: 2, engine: {engine}}}\n"
        f"default_profile: spark\n{spark}"
    )
    return load_platform(ROOT / "platform.yaml", overlay)


@dataclass
class Pair:
    """Two lakehouses over the same bronze rows, one built by each engine."""

    duck: Lakehouse
    spark: Lakehouse
    engine: SparkEngine
    built: Built
    con: duckdb.DuckDBPyConnection

    def differing(self, table: str) -> list[tuple[object, ...]]:
        """Rows that stand in one of the two and not in the other, each with how many more of it Spark has."""
        layer, _, name = table.partition("/")
        ours, theirs = (house.open(TableId(layer, name)) for house in (self.duck, self.spark))  # type: ignore[arg-type]
        assert [(c.name, c.type, c.classification, c.comment, c.metadata) for c in ours.columns] == [
            (c.name, c.type, c.classification, c.comment, c.metadata) for c in theirs.columns
        ]
        assert ours.rows == theirs.rows > 0
        names = ", ".join(quote(column.name) for column in ours.columns)
        return self.con.execute(
            f"SELECT sum(side), {names} FROM (SELECT 1 AS side, {names} FROM {theirs.scan} UNION ALL SELECT -1, {names} FROM {ours.scan}) "
            f"GROUP BY {names} HAVING sum(side) <> 0 ORDER BY {names} LIMIT 20"
        ).fetchall()


def load_bronze(lakehouse: Lakehouse, url: str) -> None:
    """All bronze tables of a warehouse."""
    for contract in load_contracts(lakehouse.platform):
        source = open_url(url)
        for table in contract.tables:
            ingest(table, source, lakehouse, run="test")
        source.close()
