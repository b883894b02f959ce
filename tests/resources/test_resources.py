"""Resources give back what they were made of, in any process."""

from __future__ import annotations

import dagster as dg
import pytest

from definitions import build_definitions
from plinth.errors import SourceUnavailable
from plinth.lakehouse.tables import TableId
from plinth.sources import Source
from resources import LakehouseResource, PlatformResource, SourcesResource
from tests.frame.shop import Shop


def test_the_platform_survives_the_way_through_dagsters_configuration(shop: Shop) -> None:
    assert PlatformResource.of(shop.platform).load() == shop.platform


def test_a_step_keeps_within_the_profile_of_its_pod(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = PlatformResource.of(shop.platform)
    (name,) = list(shop.platform.profiles)[-1:]
    monkeypatch.setenv("PLINTH_PROFILE", name)
    assert resource.load().granted == name
    assert resource.load().profile() == shop.platform.profiles[name]


def test_the_lakehouse_is_that_of_the_platform(shop: Shop) -> None:
    lakehouse = LakehouseResource(platform=PlatformResource.of(shop.platform)).tables()
    assert lakehouse.uri_of(TableId("bronze", "client")) == f"{shop.folder}/on_prem/bronze/client"


def test_a_source_is_open_within_the_block(shop: Shop) -> None:
    with SourcesResource(platform=PlatformResource.of(shop.platform)).open("shop") as source:
        assert isinstance(source, Source)
        assert {name for _, name in source.names()} == {"CLIENTS", "ORDERS", "Stock Dump"}


def test_a_source_that_is_away_says_so(shop: Shop) -> None:
    shop.database.unlink()
    sources = SourcesResource(platform=PlatformResource.of(shop.platform))
    with pytest.raises(SourceUnavailable), sources.open("shop") as source:
        source.names()


def test_overrides_replace_a_resource_of_the_definitions(shop: Shop, instance: dg.DagsterInstance) -> None:
    elsewhere = shop.platform.model_copy(
        update={
            "zones": {
                name: zone.model_copy(update={"root": f"elsewhere/{name}"})
                for name, zone in shop.platform.zones.items()
            }
        }
    )
    overrides = {"lakehouse": LakehouseResource(platform=PlatformResource.of(elsewhere))}
    job = build_definitions(shop.platform, overrides).get_repository_def().get_job("ingest")
    assert job.execute_in_process(instance=instance).success
    assert shop.lakehouse.find(TableId("bronze", "client")) is None
    assert (shop.folder / "elsewhere/on_prem/bronze/client/_delta_log").is_dir()
