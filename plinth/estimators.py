"""Fitted scikit-learn estimators as files: skops with a list of what may be in it, and the same bytes for the same estimators.

What belongs here: writing, checking and reading one file of estimators. What does not: what the estimators mean, and a model's other files
(`plinth.promote.folder`, `plinth.recommend.store`). Pickle is neither written nor read anywhere. skops names objects and arrays by their addresses in
memory and stamps the time into its archive; both are replaced here, so that a digest names what was learnt and nothing else.
"""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

from plinth.errors import PlinthError

# What gradient boosting is made of beyond what skops trusts by itself. Nothing from outside scikit-learn may ever stand here.
TRUSTED = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
REMEDY = "do not use it; fetch the version from the registry again, or train anew"
_SCHEMA = "schema.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_BROKEN = (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError, EOFError, AttributeError, NotImplementedError)


def estimators_to_bytes(estimators: Sequence[Any]) -> bytes:
    """A list of estimators as a skops file."""
    import skops.io

    # Estimators that were fitted in one process may share parts which they would not share had each been fitted in its own.
    apart = [copy.deepcopy(each) for each in estimators]
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(apart))) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        files = _numbered(schema)
        members = {files[name]: archive.read(name) for name in archive.namelist() if name != _SCHEMA}
    members[_SCHEMA] = json.dumps(schema, separators=(",", ":")).encode()
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), members[name], zipfile.ZIP_DEFLATED, 6)
    return body.getvalue()


def estimators_from_bytes(
    body: bytes, allowed: tuple[type, ...], *, where: object, refused: type[PlinthError]
) -> list[Any]:
    """The estimators of a skops file, after a look at the types in it.

    Args:
        allowed: the types that an estimator may have.
        where: the file, for the message.
        refused: the error of the caller's room.

    Raises:
        PlinthError: of the type `refused`; the file is broken, holds a type that is not trusted, or other estimators.
    """
    import skops.io

    try:
        unknown = sorted(set(skops.io.get_untrusted_types(data=body)) - set(TRUSTED))
        found = skops.io.loads(body, trusted=list(TRUSTED)) if not unknown else None
    except _BROKEN as problem:
        raise refused("the file of the estimators is broken", found=problem, where=where, remedy=REMEDY) from problem
    if unknown:
        raise refused(
            "the file of the estimators holds types that are not trusted",
            expected=f"scikit-learn's own types and {', '.join(TRUSTED)}",
            found=", ".join(unknown),
            where=where,
            remedy=REMEDY,
        )
    if not isinstance(found, list) or any(type(each) not in allowed for each in found):
        raise refused(
            "the file holds other estimators than this model is made of",
            expected=f"a list of {', '.join(each.__name__ for each in allowed)}",
            found=type(found).__name__ if not isinstance(found, list) else [type(each).__name__ for each in found],
            where=where,
            remedy=REMEDY,
        )
    return found


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
