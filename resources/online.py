"""The online store as a resource."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from resources.platform import PlatformResource

if TYPE_CHECKING:
    from plinth.online import OnlineStore


class OnlineStoreResource(dg.ConfigurableResource[None]):
    """What the API reads. The URL, which may hold a password, is looked up when the store is opened, and never kept here."""

    platform: PlatformResource

    @contextmanager
    def store(self) -> Iterator[OnlineStore]:
        """The store, for the length of a `with` block.

        Raises:
            ConfigurationError: its URL is wrong, or the environment variable that holds it is not set.
        """
        from plinth.online import OnlineStore

        with OnlineStore.of(self.platform.load()) as opened:
            yield opened
