"""The registry of models as a resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from resources.platform import PlatformResource

if TYPE_CHECKING:
    from plinth.registry import Registry


class RegistryResource(dg.ConfigurableResource[None]):
    """The trained models of the platform; MLflow is loaded when one is asked for."""

    platform: PlatformResource

    def models(self) -> Registry:
        """The registry, by model and version."""
        from plinth.registry import Registry

        return Registry.of(self.platform.load())
