"""What can go wrong with a registry of models, as errors that say what to do.

What belongs here: the types. What does not: when they are raised.
"""

from __future__ import annotations

from plinth.errors import PlinthError


class RegistryUnavailable(PlinthError):
    """The registry's database or its tracking server did not answer; nothing was registered."""

    transient = True


class RegistryRefused(PlinthError):
    """The registry answered, but does not do what was asked: its schema is another release's, or a name or value is not allowed."""


class ModelMissing(PlinthError):
    """A model or a version of it was asked for that nobody has registered."""


class ModelTampered(PlinthError):
    """The files of a registered version are not those that were registered; none of them was opened."""


class NotComparable(PlinthError):
    """Two versions have no figures on the same snapshot, so neither can be said to be better."""


class NothingToRollBack(PlinthError):
    """There is no earlier champion to return to."""
