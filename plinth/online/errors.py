"""What can go wrong with the online store, as errors of the platform."""

from __future__ import annotations

from plinth.errors import PlinthError


class StoreUnavailable(PlinthError):
    """The online store did not answer: its server or file is away, or the connection was cut. Whether a write landed is not known."""

    transient = True


class StoreConflict(PlinthError):
    """A transaction lost against others as often as it may be tried; nothing of it was written."""

    transient = True


class PublishSuperseded(PlinthError):
    """Another publisher began after this one; nothing of this version is or will be visible."""

    transient = True


class VersionMissing(PlinthError):
    """The version was never published, or is older than those that are kept."""


class DocumentRefused(PlinthError):
    """A document cannot be stored as it is; nothing of its version was published."""


class EventRefused(PlinthError):
    """An event cannot be stored as it is; nothing of its batch was stored."""
