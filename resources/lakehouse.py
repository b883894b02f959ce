"""The lakehouse as a resource. Assets pass names and versions of tables to each other, never rows: there is no IO manager."""

from __future__ import annotations

import dagster as dg

from plinth.lakehouse.tables import Lakehouse
from resources.platform import PlatformResource


class LakehouseResource(dg.ConfigurableResource[None]):
    """The tables of the platform."""

    platform: PlatformResource

    def tables(self) -> Lakehouse:
        """The lakehouse, by layer and name."""
        return Lakehouse(self.platform.load())
