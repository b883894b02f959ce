"""The errors of the recommender.

What belongs here: what can go wrong with its inputs and its files. What does not: programming mistakes, which stay Python's own errors.
"""

from __future__ import annotations

from plinth.errors import PlinthError


class EventsUnusable(PlinthError):
    """The events or the items cannot be learnt from: a column is missing, empty or of the wrong type, or there is too little."""


class ModelRefused(PlinthError):
    """A file of a saved model is not what it should be: it is missing, holds a type that is not trusted, or is no such file at all."""
