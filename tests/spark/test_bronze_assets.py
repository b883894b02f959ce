"""A bronze asset whose source names a profile of Spark's: what stands on it before its first run, and what each load says of its engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dagster as dg
import pytest
import yaml

from tests.frame.shop import Shop, instance, shop
from tests.plinth.sources.writers import postgres_writer
from tests.servers.process import PASSWORD

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["instance", "shop"]
pytestmark = pytest.mark.slow
CLIENT = dg.AssetKey(["bronze", "client"])


def move(shop: Shop, url: str, **more: str) -> None:
    """Puts the shop's database somewhere else, and has Spark read it."""
    file = shop.folder / "platform.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["profiles"]["big"] = {"cpu": 2, "memory": "3GiB", "engine": "spark"}
    settings["sources"]["shop"] |= {"url": url, "profile": "big", **more}
    file.write_text(yaml.safe_dump(settings))


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """The metadata of the clients' load."""
    (event,) = result.asset_materializations_for_node("bronze__client")
    return {name: value.value for name, value in event.metadata.items()}


def test_kinds_and_metadata_say_which_engine_loads(
    spark: SparkSession,
    shop: Shop,
    postgres_db: str,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    postgres_writer(postgres_db)(
        'CREATE TABLE "CLIENTS" ("Client No" INTEGER PRIMARY KEY, "NAME" TEXT, "UPDTS" TIMESTAMP NOT NULL)',
        """INSERT INTO "CLIENTS" VALUES (1, 'Ada', '2024-01-01 08:00:00'), (2, 'Bo', '2024-01-02 08:00:00')""",
    )
    monkeypatch.setenv("PLINTH_TEST_PASSWORD", PASSWORD)
    address = urlsplit(postgres_db)
    url = f"postgresql://{address.username}@{address.hostname}:{address.port}{address.path}"
    move(shop, url, password_env="PLINTH_TEST_PASSWORD")
    node = shop.definitions().get_repository_def().asset_graph.get(CLIENT)
    assert node.kinds == {"deltalake", "spark", "postgres"} and node.tags["plinth/source"] == "shop"
    first = told(shop.load(instance, "client"))
    assert (first["engine"], first["dagster/row_count"]) == ("spark", 2)
    assert first["engine_reason"] == "Spark over JDBC, as the profile big says"
    postgres_writer(postgres_db)("""INSERT INTO "CLIENTS" VALUES (3, 'Cy', '2024-01-03 08:00:00')""")
    second = told(shop.load(instance, "client"))
    assert (second["engine"], second["inserted"]) == ("duckdb", 1)
    assert "only what changed is read" in second["engine_reason"]


def test_a_database_that_spark_does_not_read_is_duckdbs_and_the_load_says_why(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    move(shop, "sqlite:///shop.sqlite")
    assert shop.definitions().get_repository_def().asset_graph.get(CLIENT).kinds == {"deltalake", "duckdb", "sqlite"}
    loaded = told(shop.load(instance, "client"))
    assert (loaded["engine"], loaded["dagster/row_count"]) == ("duckdb", 2)
    assert "of sqlite nothing is read by JDBC" in loaded["engine_reason"]
