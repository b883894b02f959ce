"""A recommender's files: `ranker.skops`, `log.npz`, `models.npz`, `settings.json`.

What belongs here: writing and reading them, without pickle and with the same bytes for the same model. What does not: where they lie and
whether their digest is right, which the registry checks before anything here opens them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from plinth.estimators import estimators_from_bytes, estimators_to_bytes
from plinth.recommend.errors import ModelRefused
from plinth.recommend.features import FEATURES
from plinth.recommend.log import Array, Goods, Log
from plinth.recommend.session import pack, unpack
from plinth.recommend.settings import RecommenderSettings
from plinth.recommend.snapshot import ItemModels

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

    from plinth.recommend.recommender import Recommender

FILES = ("log.npz", "models.npz", "ranker.skops", "settings.json")
FORMAT = 2
_LOG = ("customers", "countries", "country", "customer", "item", "basket", "day")
_GOODS = ("labels", "descriptions", "prices")
_MODELS = ("ease", "taste", "together", "baskets", "text")
_PARTS = ("pointer", "columns", "weights")


def save(recommender: Recommender, folder: Path) -> None:
    """Writes the files into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    log, models = recommender.log, recommender.models
    arrays = {name: getattr(log, name) for name in _LOG} | {name: getattr(log.goods, name) for name in _GOODS}
    (folder / "log.npz").write_bytes(pack(arrays | {"sellable": recommender.sellable}))
    matrices = {name: getattr(models, name) for name in _MODELS}
    (folder / "models.npz").write_bytes(
        pack({f"{name}_{part}": array for name, matrix in matrices.items() for part, array in _parts(matrix).items()})
    )
    (folder / "ranker.skops").write_bytes(estimators_to_bytes([recommender.ranker]))
    about = {
        "format": FORMAT,
        "at": recommender.at,
        "seed": recommender.seed,
        "features": list(FEATURES),
        "settings": recommender.settings.to_dict(),
    }
    (folder / "settings.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load(folder: Path, threads: int) -> Recommender:
    """Reads the files of `save`.

    Raises:
        ModelRefused: one is missing, is not what it should be, or is of another version of this program.
    """
    from plinth.recommend.recommender import Recommender

    about = _about(folder)
    arrays = unpack(_bytes(folder, "log.npz"), (*_LOG, *_GOODS, "sellable"), where=str(folder / "log.npz"))
    # What is stored was known when it was; of later moments there is nothing to tell apart.
    stored = {name: arrays[name] for name in _LOG}
    log = Log(goods=Goods(*(arrays[name] for name in _GOODS)), known=stored["day"], **stored)
    names = [f"{name}_{part}" for name in _MODELS for part in _PARTS]
    matrices = unpack(_bytes(folder, "models.npz"), names, where=str(folder / "models.npz"))
    return Recommender(
        at=float(about["at"]),
        log=log,
        models=ItemModels(*(_matrix(matrices, name, len(log.goods), folder) for name in _MODELS)),
        sellable=arrays["sellable"],
        ranker=_ranker(_bytes(folder, "ranker.skops"), folder / "ranker.skops"),
        settings=RecommenderSettings.from_dict(about["settings"]),
        seed=int(about["seed"]),
        threads=threads,
    )


def _ranker(body: bytes, where: Path) -> HistGradientBoostingClassifier:
    from sklearn.ensemble import HistGradientBoostingClassifier

    found = estimators_from_bytes(body, (HistGradientBoostingClassifier,), where=where, refused=ModelRefused)
    if len(found) != 1 or getattr(found[0], "n_features_in_", None) != len(FEATURES):
        raise ModelRefused(
            "the file holds another model than this ranker",
            expected=f"one classifier of {len(FEATURES)} features",
            found=", ".join(
                f"{type(each).__name__} of {getattr(each, 'n_features_in_', 'no')} features" for each in found
            )
            or "none",
            where=where,
        )
    ranker: HistGradientBoostingClassifier = found[0]
    return ranker


def _parts(matrix: sparse.csr_matrix) -> dict[str, Array]:
    return {
        "pointer": matrix.indptr.astype(np.int64),
        "columns": matrix.indices.astype(np.int32),
        "weights": matrix.data.astype(np.float32),
    }


def _matrix(arrays: dict[str, Array], name: str, size: int, folder: Path) -> sparse.csr_matrix:
    pointer, columns, weights = (arrays[f"{name}_{part}"] for part in _PARTS)
    try:
        matrix = sparse.csr_matrix((weights, columns, pointer), shape=(size, size))
        matrix.check_format(full_check=True)
    except (ValueError, TypeError, IndexError) as problem:
        raise ModelRefused(
            "a matrix of the model is broken", found=problem, where=f"{folder / 'models.npz'}, {name}"
        ) from problem
    return matrix


def _bytes(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as problem:
        raise ModelRefused(
            "a file of the model cannot be read", expected=", ".join(FILES), found=problem, where=folder
        ) from problem


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads(_bytes(folder, "settings.json"))
    except ValueError as problem:
        raise ModelRefused("settings.json is no JSON", found=problem, where=folder) from problem
    keys = {"format", "at", "seed", "features", "settings"}
    if (
        not isinstance(about, dict)
        or set(about) != keys
        or about["format"] != FORMAT
        or about["features"] != list(FEATURES)
    ):
        raise ModelRefused(
            "the model was written by another version of this program",
            expected=f"format {FORMAT} with the features of this version",
            found=about.get("format") if isinstance(about, dict) else type(about).__name__,
            where=folder / "settings.json",
            remedy="train it again: materialise models/recommender",
        )
    return about
