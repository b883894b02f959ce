"""The ranker as a file: skops with a list of what may be in it, and the same bytes for the same ranker.

What belongs here: writing, checking and reading `ranker.skops`. What does not: any other file of the model (`store`).

skops names arrays and objects by their addresses in memory and stamps the time into the archive; both are replaced here, so that a digest
names what was learnt and nothing else.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

from plinth.recommend.errors import ModelRefused

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

# What the ranker is made of beyond what skops trusts itself. Nothing outside scikit-learn may ever stand here.
TRUSTED = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
_SCHEMA = "schema.json"


def ranker_bytes(ranker: HistGradientBoostingClassifier) -> bytes:
    """The ranker as the bytes of a skops file; the same ranker gives the same bytes."""
    import skops.io

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(ranker))) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        files: dict[str, str] = {}
        _rename(schema, {}, files)
        members = {files[name]: archive.read(name) for name in archive.namelist() if name != _SCHEMA}
    members[_SCHEMA] = json.dumps(schema, separators=(",", ":")).encode()
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), members[name], zipfile.ZIP_DEFLATED, 6)
    return body.getvalue()


def ranker_of(body: bytes, features: int, *, where: str) -> HistGradientBoostingClassifier:
    """The ranker of a skops file.

    Raises:
        ModelRefused: it is no such file, holds a type that is not trusted, or another model than this ranker.
    """
    import skops.io
    from sklearn.ensemble import HistGradientBoostingClassifier

    try:
        unknown = sorted(set(skops.io.get_untrusted_types(data=body)) - set(TRUSTED))
        if unknown:
            raise ModelRefused(
                "the ranker's file holds types that are not trusted",
                expected=", ".join(TRUSTED),
                found=", ".join(unknown),
                where=where,
                remedy="do not load it; fetch the version from the registry again and check who wrote it",
            )
        ranker = skops.io.loads(body, trusted=list(TRUSTED))
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        TypeError,
        OSError,
        NotImplementedError,
        AttributeError,
    ) as problem:
        raise ModelRefused("the ranker's file is no skops file", found=problem, where=where) from problem
    if type(ranker) is not HistGradientBoostingClassifier or getattr(ranker, "n_features_in_", None) != features:
        raise ModelRefused(
            "the file holds another model than this ranker",
            expected=f"HistGradientBoostingClassifier of {features} features",
            found=f"{type(ranker).__name__} of {getattr(ranker, 'n_features_in_', 'no')} features",
            where=where,
        )
    return ranker


def _rename(node: Any, ids: dict[int, int], files: dict[str, str]) -> None:
    """Numbers objects and files in the order in which the schema names them."""
    if isinstance(node, dict):
        if isinstance(node.get("__id__"), int):
            node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
        if isinstance(node.get("file"), str):
            ending = node["file"].rpartition(".")[2]
            node["file"] = files.setdefault(node["file"], f"{len(files) + 1:06d}.{ending}")
        for value in node.values():
            _rename(value, ids, files)
    elif isinstance(node, list):
        for value in node:
            _rename(value, ids, files)
