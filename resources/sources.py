"""The legacy systems as a resource."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from resources.platform import PlatformResource

if TYPE_CHECKING:
    from plinth.sources import Source


class SourcesResource(dg.ConfigurableResource[None]):
    """The legacy systems that `platform.yaml` names; a connection is opened when it is asked for and closed after."""

    platform: PlatformResource

    @contextmanager
    def open(self, name: str) -> Iterator[Source]:
        """The source `name`, for the length of a `with` block.

        Raises:
            SourceUnavailable: the legacy system does not answer.
            DriverMissing: its driver is not installed; the message names the extra.
            ConfigurationError: the environment variable of its address or password is not set.
        """
        from plinth.sources import open_source

        source = open_source(name, self.platform.load())
        try:
            yield source
        finally:
            source.close()
