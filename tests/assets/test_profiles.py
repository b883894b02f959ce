"""Every step carries the size that its asset asks for, in tags that outlive a launch from the UI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from assets.profiles import POD_TAG, PROFILE_TAG, largest_profile, profile_tags
from definitions import build_definitions
from plinth.errors import ConfigurationError
from plinth.platform import Platform, load_platform
from tests.frame.shop import Shop, contract

ROOT = Path(__file__).resolve().parents[2]


def test_every_asset_of_the_project_asks_for_a_profile() -> None:
    repository = build_definitions(load_platform(ROOT / "platform.yaml")).get_repository_def()
    told = {node.name: node.definition.tags for node in repository.get_job("refresh").nodes}
    steps = {name: tags for name, tags in told.items() if not name.endswith("checks") and PROFILE_TAG in tags}
    assets = {
        name for name in told if name.startswith(("bronze__", "features__", "models__", "serving__", "silver_and"))
    }
    checks = {name for name in assets if "check" in name or name.count("__") > 1 or PROFILE_TAG not in told[name]}
    assert assets - checks == set(steps) & assets
    assert len(steps) > 20
    for name, tags in steps.items():
        limits = json.loads(tags[POD_TAG])["container_config"]["resources"]["limits"]
        assert limits["memory"] == str((4 if tags[PROFILE_TAG] == "memory" else 1) * 2**30), name
    assert {steps[name][PROFILE_TAG] for name in steps if name.startswith("models__")} == {"memory"}


def kubernetes(platform: Platform, **profiles: object) -> Platform:
    """The platform with other profiles beside its own, and spot nodes that are named as on one of the clouds."""
    spot = {
        "node_selector": {"karpenter.sh/capacity-type": "spot"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
    }
    values = platform.model_dump() | {"home": platform.home, "execution": {"kubernetes": {"spot": spot}}}
    values["profiles"] = {"small": {"cpu": 1, "memory": "1GiB"}, **profiles}
    return Platform.model_validate(values)


def test_a_profile_becomes_requests_limits_and_places(shop: Shop) -> None:
    big = {
        "cpu": 1.5, "memory": "2GiB", "scratch": "10GiB", "gpu": 2, "spot": True, "node_selector": {"disk": "nvme"},
        "tolerations": [{"key": "gpu", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 30}],
    }  # fmt: skip
    tags = profile_tags(kubernetes(shop.platform, big=big), "big")
    resources = {"cpu": "1500m", "memory": "2147483648", "ephemeral-storage": "10737418240", "nvidia.com/gpu": "2"}
    assert tags[POD_TAG] == {
        "container_config": {
            "resources": {"requests": resources, "limits": resources},
            "env": [{"name": "PLINTH_PROFILE", "value": "big"}],
        },
        "pod_spec_config": {
            "node_selector": {"karpenter.sh/capacity-type": "spot", "disk": "nvme"},
            "tolerations": [
                {"key": "spot", "operator": "Exists"},
                {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoExecute", "toleration_seconds": 30},
            ],
        },
    }


def test_a_step_of_several_assets_gets_the_largest_of_their_profiles(shop: Shop) -> None:
    platform = kubernetes(shop.platform, big={"cpu": 1, "memory": "2GiB"})
    assert largest_profile(platform, [None, "big", "small"]) == "big"
    assert largest_profile(platform, []) == "small"
    with pytest.raises(
        ConfigurationError, match=r"there is no profile 'bigg'.*\n.*one of big, small\n.*did you mean 'big'"
    ):
        largest_profile(platform, ["bigg"])


def test_a_contract_that_asks_for_a_profile_that_is_not_declared_is_refused_when_definitions_load(shop: Shop) -> None:
    values = contract()
    values["schema"][0]["customProperties"] = [{"property": "profile", "value": "smal"}]
    shop.describe(values)
    with pytest.raises(ConfigurationError, match="there is no profile 'smal'"):
        build_definitions(shop.platform)


@pytest.mark.slow
def test_a_model_names_its_profile_in_its_meta(shop: Shop) -> None:
    folder = shop.folder / "dbt_project"
    (folder / "models").mkdir(parents=True)
    for name in ("dbt_project.yml", "profiles.yml"):
        (folder / name).write_text((ROOT / "dbt_project" / name).read_text())
    (folder / "macros").symlink_to(ROOT / "dbt_project" / "macros")
    (folder / "models" / "heavy.sql").write_text("{{ config(schema='gold') }} select 1 as n")
    described = {
        "name": "heavy",
        "config": {"meta": {"profile": "big"}},
        "columns": [{"name": "n", "data_type": "int"}],
    }
    (folder / "models" / "models.yml").write_text(yaml.safe_dump({"version": 2, "models": [described]}))
    with pytest.raises(ConfigurationError, match="there is no profile 'big'"):
        build_definitions(shop.platform)
    file = shop.folder / "platform.yaml"
    values = yaml.safe_load(file.read_text())
    values["profiles"]["big"] = {"cpu": 1, "memory": "2GiB"}
    file.write_text(yaml.safe_dump(values))
    job = build_definitions(shop.platform).get_repository_def().get_job("transform")
    assert job.get_node_named("silver_and_gold").definition.tags[PROFILE_TAG] == "big"
