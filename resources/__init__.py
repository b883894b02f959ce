"""What assets need to do their work: thin Dagster resources over the classes of `plinth`.

What belongs here: `ConfigurableResource`s that carry settings and open things (the platform, the lakehouse, the legacy systems, the registry of models, the
online store). What does not: anything that decides or computes; that is `plinth`. See https://docs.dagster.io/guides/build/external-resources.
"""

from __future__ import annotations

from plinth.platform import Platform
from resources.lakehouse import LakehouseResource
from resources.online import OnlineStoreResource
from resources.platform import PlatformResource
from resources.registry import RegistryResource
from resources.sources import SourcesResource

__all__ = [
    "LakehouseResource",
    "OnlineStoreResource",
    "PlatformResource",
    "RegistryResource",
    "SourcesResource",
    "platform_resources",
]


def platform_resources(platform: Platform) -> dict[str, object]:
    """Every resource by its key, made for one platform."""
    settings = PlatformResource.of(platform)
    return {
        "lakehouse": LakehouseResource(platform=settings),
        "online": OnlineStoreResource(platform=settings),
        "registry": RegistryResource(platform=settings),
        "sources": SourcesResource(platform=settings),
    }
