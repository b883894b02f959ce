"""The one place that assembles: `build_definitions(...)`, and `defs` for those who load this file (`workspace.yaml`, `dg`, `dagster`).

What belongs here: putting together what the rooms export, nothing else.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import dagster as dg

from assets import (
    bronze_assets,
    bronze_checks,
    event_assets,
    feature_views_assets,
    feature_views_checks,
    legacy_specs,
    model_assets,
    model_checks,
    serving_assets,
    serving_checks,
    transform_assets,
)
from jobs import asset_jobs, platform_executor, schedules
from plinth.catalogue import load_contracts
from plinth.contracts.model import Contract
from plinth.features import load_views
from plinth.platform import LAYERS, Platform, load_platform
from plinth.serving.champion import RECOMMENDER
from plinth.training.target import tables_of
from plinth.training.targets import TARGETS
from resources import platform_resources
from sensors import downstream_sensor, going_on_sensor, retraining_schedule, retraining_sensors, source_sensor

PLATFORM_FILE = Path(__file__).resolve().parent / "platform.yaml"


def build_definitions(
    platform: Platform | None = None, resource_overrides: Mapping[str, object] | None = None
) -> dg.Definitions:
    """A fresh set of definitions.

    Args:
        platform: the platform they are for; by default `platform.yaml` beside this file, with the overlay that PLINTH_PLATFORM names.
        resource_overrides: resources to use instead of the platform's own, by key.

    Raises:
        ConfigurationError, ContractError: `platform.yaml` or a contract is wrong; the message names file, place and remedy.
    """
    platform = platform or load_platform(PLATFORM_FILE)
    with warnings.catch_warnings():
        # Code references are beta in 1.13; a warning for each asset would bury everything else that a load says.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return _assemble(platform, load_contracts(platform), resource_overrides or {})


def _assemble(
    platform: Platform, contracts: Sequence[Contract], resource_overrides: Mapping[str, object]
) -> dg.Definitions:
    # A project without a dbt project ends at bronze, and one whose gold is another trade's ends before the retailer's models.
    transformed = transform_assets(platform) if platform.path("dbt_project").is_dir() else []
    tables = {str(key.to_user_string()) for asset in transformed for key in asset.keys}
    views = load_views(platform)
    targets = [
        target
        for target in TARGETS
        if {str(table) for table in tables_of(target, views)} <= tables
        and set(target.feature_views) <= set(views.views)
    ]
    serves = any(target.name == RECOMMENDER for target in targets)
    assets = [
        *(asset for contract in contracts for asset in bronze_assets(contract, platform)),
        *transformed,
        *feature_views_assets(platform),
        *model_assets(platform, targets),
        *(serving_assets(platform) if serves else ()),
        *(event_assets(platform) if serves else ()),
    ]
    checks = [
        *(checks for contract in contracts for checks in bronze_checks(contract, platform)),
        *feature_views_checks(platform),
        *model_checks(targets),
        *(serving_checks(platform) if serves else ()),
    ]
    here = platform.location.holds
    assets = [kept for asset in assets for kept in _held(asset, here)]
    groups = {key.path[0] for asset in assets for key in asset.keys}
    elsewhere = _made_elsewhere(assets) if platform.location.layers else []
    legacy = [spec for contract in contracts for spec in legacy_specs(contract, platform)] if here("bronze") else []
    jobs = asset_jobs(groups)
    trains = bool(targets) and here("models")
    return dg.Definitions(
        assets=[*legacy, *elsewhere, *assets],
        asset_checks=[each for each in checks if all(here(key.asset_key.path[0]) for key in each.check_keys)],
        jobs=jobs,
        schedules=[*schedules(), *([retraining_schedule()] if trains else ())],
        sensors=[
            *(source_sensor(contract, platform) for contract in contracts if here("bronze")),
            downstream_sensor(),
            going_on_sensor(jobs),
            *(retraining_sensors(platform) if serves and here("models") else ()),
        ],
        resources={**platform_resources(platform), **resource_overrides},
        executor=platform_executor(platform),
    )


def _held(asset: dg.AssetsDefinition, here: Callable[[str], bool]) -> list[dg.AssetsDefinition]:
    """What this location holds of an asset: all, nothing, or of one step that makes tables of several layers those that are its own."""
    held = {key for key in asset.keys if here(key.path[0])}
    if held == set(asset.keys):
        return [asset]
    return [asset.subset_for(held, {key for key in asset.check_keys if key.asset_key in held})] if held else []


def _made_elsewhere(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetSpec]:
    """What is read here and made in another location. Of a step that is held in part Dagster does not add these by itself."""
    held = {key for asset in assets for key in asset.keys}
    read = {key for asset in assets for own in asset.keys for key in asset.asset_deps[own]}
    return [dg.AssetSpec(key) for key in sorted(read - held) if key.path[0] in LAYERS]


defs = build_definitions()
