"""The platform's settings as Dagster sees them: plain values, so that each step's process gets those its code location was made with."""

from __future__ import annotations

import os
from typing import Any

import dagster as dg

from plinth.platform import Platform
from plinth.profile import GRANTED_VARIABLE


class PlatformResource(dg.ConfigurableResource[None]):
    """`platform.yaml`, with its overlay, as it was when the definitions were loaded. It holds no secret, only the names of their variables."""

    home: str
    settings: dict[str, Any]

    @classmethod
    def of(cls, platform: Platform) -> PlatformResource:
        """The resource that gives back this platform."""
        return cls(home=str(platform.home), settings=platform.model_dump(mode="json", exclude_none=True))

    def load(self) -> Platform:
        """The settings as the typed object, with the profile that this process was given: it is the pod's, not the definitions'."""
        return Platform.model_validate(
            {**self.settings, "home": self.home, "granted": os.environ.get(GRANTED_VARIABLE) or None}
        )
