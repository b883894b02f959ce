"""A model's folder: the file of its estimators, and a `settings.json` with the rest.

What belongs here: writing the two and reading them back. What does not: the estimators' file itself (`plinth.estimators`), and what a model is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plinth.estimators import REMEDY, estimators_from_bytes, estimators_to_bytes
from plinth.promote.errors import ModelFileRefused

ESTIMATORS, SETTINGS = "estimators.skops", "settings.json"


def write_model(folder: Path, estimators: Sequence[Any], settings: dict[str, Any]) -> None:
    """Writes a model's two files into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ESTIMATORS).write_bytes(estimators_to_bytes(estimators))
    (folder / SETTINGS).write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_model(folder: Path, kind: str, allowed: tuple[type, ...]) -> tuple[list[Any], dict[str, Any]]:
    """Reads the two files of `write_model`.

    Args:
        kind: what `settings["kind"]` has to say.
        allowed: the types that an estimator may have.

    Raises:
        ModelFileRefused: a file is missing or broken, holds a type that is not trusted, or belongs to another kind of model.
    """
    settings = _settings(folder / SETTINGS, kind)
    return estimators_from_bytes(
        _bytes(folder / ESTIMATORS), allowed, where=folder / ESTIMATORS, refused=ModelFileRefused
    ), settings


def _settings(path: Path, kind: str) -> dict[str, Any]:
    try:
        settings = json.loads(_bytes(path))
    except ValueError as problem:
        raise ModelFileRefused("the settings are no JSON", found=problem, where=path, remedy=REMEDY) from problem
    if not isinstance(settings, dict) or settings.get("kind") != kind:
        raise ModelFileRefused(
            "the folder holds another kind of model",
            expected=kind,
            found=settings.get("kind") if isinstance(settings, dict) else type(settings).__name__,
            where=path,
            remedy="ask for the model by its own name",
        )
    return settings


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise ModelFileRefused(
            "a file of the model cannot be read", found=problem, where=path, remedy=REMEDY
        ) from problem
