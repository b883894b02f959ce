"""Whether what is served still follows from the models and tables, told without making anything.

What belongs here: comparing what was recorded with what is there now. What does not: tables whose inputs are tables only (`plinth.stale`).
"""

from __future__ import annotations

from collections.abc import Mapping

from plinth.features import load_views
from plinth.lakehouse.tables import Lakehouse
from plinth.online import OnlineStore
from plinth.platform import Platform
from plinth.registry import Registry
from plinth.serving.champion import input_name, input_text, view_input
from plinth.serving.lists import Setting
from plinth.serving.publish import find_sources


def model_inputs(registry: Registry, code: Mapping[str, str | None]) -> tuple[dict[str, str], dict[str, str]]:
    """What commits would name the champions by today, and the models whose newest code has trained no version yet, with the reason.

    Args:
        code: fingerprint of the code of each model, by its name.
    """
    inputs, stale = {}, {}
    for model, wanted in code.items():
        inputs[input_name(model)] = input_text(registry.champion(model))
        versions = registry.versions(model)
        # A model without any version may be one that there is nothing to train on; a first run is told by the tables that it feeds.
        if versions and wanted is not None and all(version.code != wanted for version in versions):
            stale[input_name(model)] = "its code changed"
    return inputs, stale


def declared_inputs(platform: Platform) -> dict[str, str]:
    """What commits would name the declarations of feature views by today."""
    return {view_input(view): view.fingerprint for view in load_views(platform).views.values()}


def publication_due(platform: Platform, lakehouse: Lakehouse, registry: Registry) -> str:
    """Why a publish would make another version than the one that is served; empty where it would not.

    Raises:
        StoreUnavailable: the online store is away.
    """
    wanted = find_sources(Setting(lakehouse, registry, platform.profile())).inputs
    with OnlineStore.of(platform) as store:
        store.set_up()
        served = store.current()
    if served is None:
        return "nothing was published yet"
    moved = sorted(name for name, text in wanted.items() if served.inputs.get(name) != text)
    return f"{', '.join(moved)} changed" if moved else ""
