"""The errors of the promotions room.

What belongs here: what can go wrong with its inputs, its models' files and its plans. What does not: programming mistakes, which stay Python's own.
"""

from __future__ import annotations

from plinth.errors import PlinthError


class ExamplesUnusable(PlinthError):
    """A model cannot be trained or asked: a column is missing or of the wrong type, or there is too little to learn from."""


class ModelFileRefused(PlinthError):
    """A file of a saved model is missing, holds a type that is not trusted, or is not what this program wrote."""


class PlanImpossible(PlinthError):
    """The plan cannot be made as asked: an input lacks a column, or a term is out of its range."""
