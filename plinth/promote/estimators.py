"""Fitted scikit-learn estimators as files: skops with a list of what may be in it, and the same bytes for the same estimators.

What belongs here: writing, checking and reading one file of estimators, and a model's folder of such a file and a `settings.json`. What does not: what
the estimators mean. Pickle is neither written nor read anywhere. skops names objects and arrays by their addresses in memory and stamps the time into
its archive; both are replaced here, so that a digest names what was learnt and nothing else.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from plinth.promote.errors import ModelFileRefused

# What gradient boosting is made of beyond what skops trusts by itself. Nothing from outside scikit-learn may ever stand here.
TRUSTED = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
ESTIMATORS, SETTINGS = "estimators.skops", "settings.json"
_SCHEMA = "schema.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_BROKEN = (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError, EOFError, AttributeError, NotImplementedError)


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
    return estimators_from_bytes(_bytes(folder / ESTIMATORS), allowed, where=folder / ESTIMATORS), settings


def estimators_to_bytes(estimators: Sequence[Any]) -> bytes:
    """A list of estimators as a skops file."""
    import skops.io

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(list(estimators)))) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        files = _numbered(schema)
        members = {files[name]: archive.read(name) for name in archive.namelist() if name != _SCHEMA}
    members[_SCHEMA] = json.dumps(schema, separators=(",", ":")).encode()
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), members[name], zipfile.ZIP_DEFLATED, 6)
    return body.getvalue()


def estimators_from_bytes(body: bytes, allowed: tuple[type, ...], *, where: object) -> list[Any]:
    """The estimators of a skops file, after a look at the types in it.

    Raises:
        ModelFileRefused: as `read_model`.
    """
    import skops.io

    try:
        unknown = sorted(set(skops.io.get_untrusted_types(data=body)) - set(TRUSTED))
        found = skops.io.loads(body, trusted=list(TRUSTED)) if not unknown else None
    except _BROKEN as problem:
        raise ModelFileRefused(
            "the file of the estimators is broken", found=problem, where=where, remedy=_REMEDY
        ) from problem
    if unknown:
        raise ModelFileRefused(
            "the file of the estimators holds types that are not trusted",
            expected=f"scikit-learn's own types and {', '.join(TRUSTED)}",
            found=", ".join(unknown),
            where=where,
            remedy=_REMEDY,
        )
    if not isinstance(found, list) or any(type(each) not in allowed for each in found):
        raise ModelFileRefused(
            "the file holds other estimators than this model is made of",
            expected=f"a list of {', '.join(each.__name__ for each in allowed)}",
            found=type(found).__name__ if not isinstance(found, list) else [type(each).__name__ for each in found],
            where=where,
            remedy=_REMEDY,
        )
    return found


_REMEDY = "do not use it; fetch the version from the registry again, or train anew"


def _settings(path: Path, kind: str) -> dict[str, Any]:
    try:
        settings = json.loads(_bytes(path))
    except ValueError as problem:
        raise ModelFileRefused("the settings are no JSON", found=problem, where=path, remedy=_REMEDY) from problem
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
            "a file of the model cannot be read", found=problem, where=path, remedy=_REMEDY
        ) from problem


def _numbered(schema: dict[str, Any]) -> dict[str, str]:
    """Numbers objects and files in the order in which the schema names them; gives each file's new name."""
    ids: dict[int, int] = {}
    files: dict[str, str] = {}
    for number, node in enumerate(_nodes(schema), start=1):
        if isinstance(node.get("__id__"), int):
            # Python decides which small values share an object; so each of them counts as its own.
            alone = node.get("__loader__") == "JsonNode"
            node["__id__"] = number if alone else ids.setdefault(node["__id__"], number)
        if isinstance(node.get("file"), str):
            node["file"] = files.setdefault(node["file"], f"{len(files) + 1:06d}.{node['file'].rpartition('.')[2]}")
    return files


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in list(node.values()):
            yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)
