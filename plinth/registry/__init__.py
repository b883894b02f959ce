"""The registry of trained models: which versions there are, what each was made from, which one is served, and the way back.

What belongs here: what holds for every model, whatever it predicts. MLflow keeps the record (an SQLite file, or a tracking server); this package
keeps what MLflow leaves open: a digest that is held to before a file is opened, no pickle, a challenger that has to beat the champion on the same
snapshot, and a rollback that lasts. What does not belong here: training and evaluating (`plinth.recommend`, `plinth.promote`).
"""

from plinth.registry.errors import (
    ModelMissing,
    ModelTampered,
    NotComparable,
    NothingToRollBack,
    RegistryRefused,
    RegistryUnavailable,
)
from plinth.registry.registry import Registry
from plinth.registry.version import CHALLENGER, CHAMPION, Decision, RegisteredVersion

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "Decision",
    "ModelMissing",
    "ModelTampered",
    "NotComparable",
    "NothingToRollBack",
    "RegisteredVersion",
    "Registry",
    "RegistryRefused",
    "RegistryUnavailable",
]
