"""The fingerprint of the code that a model comes from, without loading it.

What belongs here: which sources and libraries decide what a training yields. What does not: the data and the settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from plinth.features import FeatureViews
from plinth.training.target import Target

_LIBRARIES = ("numpy", "scipy", "scikit-learn", "skops")
"""Another release of one of these may give other bytes from the same code."""

_ROOM = Path(__file__).resolve().parents[1]


def code_of_target(target: Target, views: FeatureViews) -> str:
    """What a model's training yields follows from: code, libraries, and what its feature views declare."""
    code = code_of(target.packages)
    if not target.feature_views:
        return code
    declared = {name: views.views[name].fingerprint for name in target.feature_views if name in views.views}
    return hashlib.sha256(f"{code} {sorted(declared.items())}".encode()).hexdigest()[:16]


@cache
def code_of(packages: Sequence[str]) -> str:
    """A fingerprint of packages and modules of `plinth`, by their names below it, and of the libraries that they compute with."""
    hasher = hashlib.sha256()
    for package in sorted(packages):
        for path in sorted((_ROOM / package).rglob("*.py")) or [(_ROOM / package).with_suffix(".py")]:
            hasher.update(f"{path.relative_to(_ROOM).as_posix()}\0".encode())
            hasher.update(path.read_bytes())
    for library in _LIBRARIES:
        hasher.update(f"{library} {_version(library)}\0".encode())
    return hasher.hexdigest()[:16]


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"
