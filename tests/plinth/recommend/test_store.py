"""A recommender's files: no pickle, the same bytes for the same learning, and anything else refused."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.preprocessing import FunctionTransformer

from plinth.recommend import Recommender, ranker, train_recommender
from plinth.recommend.errors import ModelRefused
from plinth.recommend.store import FILES
from tests.plinth.recommend.conftest import QUICK, Trade
from tests.plinth.recommend.test_session import Planted


@pytest.fixture(scope="module")
def saved(recommender: Recommender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    recommender.save(folder)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_loaded_recommender_answers_as_the_saved_one(recommender: Recommender, saved: Path, tmp_path: Path) -> None:
    loaded = Recommender.load(saved)
    customers = [*range(10_000, 10_100), 99]
    assert loaded.recommend(customers, 20).equals(recommender.recommend(customers, 20))
    assert loaded.similar(5).equals(recommender.similar(5))
    assert loaded.popular(5).equals(recommender.popular(5))
    assert loaded.item_model.to_bytes() == recommender.item_model.to_bytes()
    loaded.save(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(saved)


@pytest.mark.slow
def test_the_same_events_and_seed_give_the_same_bytes(trade: Trade, saved: Path, tmp_path: Path) -> None:
    # The order in which events and items come must not matter either.
    shuffle = np.random.default_rng(0).permutation(trade.events.num_rows)
    again = train_recommender(trade.events.take(shuffle), trade.items, at=trade.at, threads=1, seed=1, settings=QUICK)
    again.save(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(saved)
    other = train_recommender(trade.events, trade.items, at=trade.at, threads=1, seed=2, settings=QUICK)
    other.save(tmp_path / "other")
    assert contents(tmp_path / "other") != contents(saved)


def test_the_files_are_the_named_ones_and_none_is_a_pickle(saved: Path) -> None:
    assert sorted(contents(saved)) == sorted(FILES)
    for name, body in contents(saved).items():
        if name.endswith(".json"):
            json.loads(body)
            continue
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            for member in archive.namelist():
                assert member.endswith((".npy", "schema.json")), member
                if member.endswith(".npy"):
                    np.load(io.BytesIO(archive.read(member)), allow_pickle=False)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "body", [pickle.dumps(Planted()), b"", b"{}", None], ids=["pickle", "empty", "other", "missing"]
)
def test_a_tampered_file_is_refused(copy: Path, name: str, body: bytes | None) -> None:
    if body is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(body)
    with pytest.raises(ModelRefused):
        Recommender.load(copy)


def test_a_cut_file_is_refused(copy: Path) -> None:
    for name in FILES:
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ModelRefused):
            Recommender.load(copy)
        (copy / name).write_bytes(whole)
    Recommender.load(copy)


def test_a_ranker_with_a_type_that_is_not_trusted_is_refused(copy: Path) -> None:
    (copy / "ranker.skops").write_bytes(skops.io.dumps(FunctionTransformer(func=shutil.rmtree)))
    with pytest.raises(ModelRefused, match="not trusted") as refused:
        Recommender.load(copy)
    assert "rmtree" in str(refused.value)


def test_another_model_in_the_rankers_place_is_refused(copy: Path) -> None:
    features, labels = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    forest = RandomForestClassifier(n_estimators=2).fit(features, labels)
    boosted = HistGradientBoostingClassifier(max_iter=2).fit(features, labels)
    for model in ([forest], [boosted], [], [1, 2], boosted):
        (copy / "ranker.skops").write_bytes(skops.io.dumps(model))
        with pytest.raises(ModelRefused, match=r"another model|other estimators|not trusted"):
            Recommender.load(copy)


def test_settings_of_another_version_are_refused(copy: Path) -> None:
    about = json.loads((copy / "settings.json").read_text())
    for changed in (
        about | {"format": 99},
        about | {"features": about["features"][1:]},
        about | {"settings": {**about["settings"], "unheard_of": 1}},
        about | {"settings": {**about["settings"], "trees": "250"}},
        [about],
    ):
        (copy / "settings.json").write_text(json.dumps(changed))
        with pytest.raises(ModelRefused):
            Recommender.load(copy)


def test_arrays_that_point_outside_are_refused(copy: Path) -> None:
    body = io.BytesIO()
    with np.load(copy / "models.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name].copy() for name in archive.files}
    arrays["ease_columns"][0] = 10**6
    np.savez(body, **arrays)
    (copy / "models.npz").write_bytes(body.getvalue())
    with pytest.raises(ModelRefused, match="broken"):
        Recommender.load(copy)


@pytest.mark.slow
def test_cut_offs_side_by_side_give_the_bytes_of_one_after_another_and_tell_how_far_they_are(
    trade: Trade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    asked = {"at": trade.at, "threads": 2, "seed": 1, "settings": QUICK}
    train_recommender(trade.events, trade.items, **asked, tell=heard.append).save(tmp_path / "beside")  # type: ignore[arg-type]
    monkeypatch.setattr(ranker, "SIDE_BY_SIDE", 0)
    train_recommender(trade.events, trade.items, **asked).save(tmp_path / "after")  # type: ignore[arg-type]
    found = [sorted((tmp_path / name).iterdir()) for name in ("beside", "after")]
    assert [file.read_bytes() for file in found[0]] == [file.read_bytes() for file in found[1]]
    assert [line for line in heard if "cut-off" in line] == [
        f"examples of past cut-offs: {n} of 2 done" for n in (1, 2)
    ]
    assert "purchases of" in heard[0] and "ranker" in heard[-1]
