"""Two code locations under one instance: together they hold every asset once, and the one in the cloud holds nothing that reads what is restricted."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml

from definitions import build_definitions
from plinth.errors import ConfigurationError
from plinth.platform import Platform, load_platform
from tests.deploy.test_runs import HOME, config_map


def settings(tmp_path: Path, location: str) -> Platform:
    """The settings of one of the two locations of values/hybrid.yaml, with the sample as its legacy system."""
    values = yaml.safe_load(config_map("hybrid", f"plinth-location-{location}")["platform.yaml"])
    file = tmp_path / f"{location}.yaml"
    file.write_text(yaml.safe_dump({"location": values["location"]}), encoding="utf-8")
    return load_platform(HOME / "platform.yaml", file)


@pytest.fixture
def whole() -> dg.Definitions:
    return build_definitions(load_platform(HOME / "platform.yaml", HOME / "platform.yaml"))


def made(definitions: dg.Definitions) -> set[dg.AssetKey]:
    return set(definitions.resolve_asset_graph().materializable_asset_keys)


def test_together_they_hold_every_asset_and_check_once(tmp_path: Path, whole: dg.Definitions) -> None:
    parts = [build_definitions(settings(tmp_path, name)) for name in ("on-prem", "cloud")]
    one, two = (made(each) for each in parts)
    assert one and two and one.isdisjoint(two)
    assert one | two == made(whole)
    checks = [set(each.resolve_asset_graph().asset_check_keys) for each in (*parts, whole)]
    assert checks[0].isdisjoint(checks[1]) and checks[0] | checks[1] == checks[2]


def test_the_cloud_reads_no_layer_above_its_clearance(tmp_path: Path) -> None:
    platform = settings(tmp_path, "cloud")
    graph = build_definitions(platform).resolve_asset_graph()
    read = {parent for key in graph.materializable_asset_keys for parent in graph.get(key).parent_keys} - set(
        graph.materializable_asset_keys
    )
    assert read, "it reads what the other location made"
    zones = {platform.layers[key.path[0]] for key in read if key.path[0] in platform.layers}  # type: ignore[index]
    assert zones == {"cloud"}


def test_each_location_loads_and_runs_by_itself(tmp_path: Path) -> None:
    for name in ("on-prem", "cloud"):
        definitions = build_definitions(settings(tmp_path, name))
        dg.Definitions.validate_loadable(definitions)
        sensors = {each.name for each in definitions.sensors or ()}
        assert ("erp_changes" in sensors) == (name == "on-prem")
        assert ("data_drift" in sensors) == (name == "cloud")
        plan = definitions.resolve_job_def("refresh")
        assert plan.asset_layer.selected_asset_keys >= made(definitions)


def test_a_layer_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("location: {layers: [brass]}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"location\.layers"):
        load_platform(HOME / "platform.yaml", file)
