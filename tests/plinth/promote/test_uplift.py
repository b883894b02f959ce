"""An uplift model finds whom a treatment moves, says how sure it is, and never learns from what nobody may know."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from plinth.estimators import estimators_to_bytes
from plinth.promote import ExamplesUnusable, ModelFileRefused, Propensity, Uplift, UpliftSettings, train_uplift
from plinth.promote.belief import DRAWS
from plinth.promote.folder import ESTIMATORS
from plinth.promote.qini import true_curve
from plinth.promote.uplift import Candidate
from tests.plinth.promote.worlds import trial

ROOT = Path(__file__).resolve().parents[3]
LINEAR = UpliftSettings(candidates=(Candidate("hazard", 0.1), Candidate("logistic", 0.1)), members=8)


@pytest.fixture(scope="module")
def model() -> Uplift:
    return train_uplift(trial(1, effect=1.2).table, seed=3, threads=1, settings=LINEAR)


def test_it_finds_whom_the_treatment_moves(model: Uplift) -> None:
    other = trial(2, effect=1.2)
    found = model.predict(other.table).uplift
    best = true_curve(other.uplift, other.uplift).coefficient
    assert true_curve(found, other.uplift).coefficient > 0.75 * best
    assert found.mean() == pytest.approx(other.uplift.mean(), abs=0.03)
    assert model.metrics.qini_low > 0
    assert model.metrics.uplift_low < other.uplift.mean() < model.metrics.uplift_high


def test_the_parts_of_a_prediction_fit_together(model: Uplift) -> None:
    table = trial(2, effect=1.2).table
    found = model.predict(table)
    assert np.allclose(found.treated - found.untreated, found.uplift)
    assert ((found.untreated >= 0) & (found.untreated <= 1) & (found.treated >= 0) & (found.treated <= 1)).all()
    assert (found.redemption <= found.treated).all()
    assert found.draws.uplift.shape == found.draws.redemption.shape == (DRAWS, table.num_rows)
    assert found.draws.uplift.std(axis=0).mean() > 0.005
    assert np.abs(found.draws.uplift.mean() - found.uplift.mean()) < 0.02
    assert ((found.draws.redemption >= 0) & (found.draws.redemption <= 1)).all()
    assert all(share == pytest.approx(0.8, abs=0.05) for share in model.redeem.values())


def test_rows_are_predicted_one_by_one_whatever_stands_beside_them(
    model: Uplift, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = trial(2, effect=1.2, rows=250).table
    whole = model.predict(table)
    monkeypatch.setattr("plinth.promote.uplift._BLOCK", 100)
    assert np.allclose(model.predict(table).draws.uplift, whole.draws.uplift)
    assert model.predict(table.slice(0, 0)).draws.redemption.shape == (DRAWS, 0)


def test_where_there_is_no_effect_it_says_so() -> None:
    nothing = train_uplift(trial(4, effect=0.0).table, seed=3, threads=1, settings=LINEAR)
    assert nothing.metrics.uplift_low < 0 < nothing.metrics.uplift_high
    found = nothing.predict(trial(5, effect=0.0).table)
    assert np.abs(found.uplift).mean() < 0.03
    # However little is believed of the differences, the level stays as unsure as it is.
    totals = found.draws.uplift.mean(axis=1)
    assert totals.mean() - 3 * totals.std() < 0 < totals.mean() + 3 * totals.std() and totals.std() > 0.005


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["two_models", "x_learner"])
def test_the_trees_find_it_too(kind: str) -> None:
    settings = UpliftSettings(candidates=(Candidate(kind),), members=2, folds=2)
    made = train_uplift(trial(1, effect=1.2).table, seed=3, threads=1, settings=settings)
    other = trial(2, effect=1.2)
    best = true_curve(other.uplift, other.uplift).coefficient
    assert true_curve(made.predict(other.table).uplift, other.uplift).coefficient > 0.5 * best


_THREADS = """
from plinth.promote import UpliftSettings, train_uplift
from plinth.promote.uplift import Candidate
from tests.plinth.promote.worlds import trial
settings = UpliftSettings(candidates=(Candidate("two_models"),), members=1, folds=2)
made = train_uplift(trial(1, effect=1.2).table, seed=3, threads=1, settings=settings)
print(made.members[0][0]._bin_mapper.n_threads)
"""


@pytest.mark.slow
def test_the_threads_are_limited_in_a_process_that_has_not_learnt_before() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", _THREADS], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["1"]


def test_the_choice_is_by_the_coefficient_on_unseen_promotions(model: Uplift) -> None:
    assert set(model.tried) == {"hazard 0.1", "logistic 0.1"}
    assert model.tried[str(model.chosen)] == max(model.tried.values())


def test_with_more_rows_than_it_looks_at_the_level_is_still_that_of_all() -> None:
    world = trial(6, effect=1.2)
    few = UpliftSettings(candidates=(Candidate("hazard", 0.3),), members=3, choice_rows=1500, most_rows=3000)
    made = train_uplift(world.table, seed=3, threads=1, settings=few)
    treated = world.table["treated"].to_numpy(zero_copy_only=False)
    bought = world.table["bought"].to_numpy(zero_copy_only=False)
    assert made.metrics.rows == 1500
    everything = bought[treated].mean() - bought[~treated].mean()
    assert made.belief.levels.mean() == pytest.approx(everything, abs=0.02)
    assert made.predict(world.table).uplift.mean() == pytest.approx(everything, abs=0.02)


def test_neither_outcomes_nor_keys_are_features(model: Uplift) -> None:
    assert set(model.features) == {"f0", "f1", "f2", "f3", "is_percent_off", "is_free_shipping"}


def test_saved_and_loaded_it_predicts_the_same_and_the_bytes_are_the_same(model: Uplift, tmp_path: Path) -> None:
    model.save(tmp_path / "a")
    again = Uplift.load(tmp_path / "a")
    table = trial(2, effect=1.2).table
    assert np.array_equal(again.predict(table).draws.uplift, model.predict(table).draws.uplift)
    assert (again.tried, again.metrics, again.chosen) == (model.tried, model.metrics, model.chosen)
    train_uplift(trial(1, effect=1.2).table, seed=3, threads=1, settings=LINEAR).save(tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_file_of_other_estimators_or_of_another_model_is_refused(model: Uplift, tmp_path: Path) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model.save(tmp_path)
    with pytest.raises(ModelFileRefused, match="another kind"):
        Propensity.load(tmp_path)
    (tmp_path / ESTIMATORS).write_bytes(estimators_to_bytes([HistGradientBoostingClassifier()] * 8))
    with pytest.raises(ModelFileRefused, match="contradict"):
        Uplift.load(tmp_path)


def test_too_little_history_is_said_with_its_remedy() -> None:
    table = trial(1, effect=1.0, rows=400).table
    one = table.set_column(1, "promotion_id", pa.array([7] * 400))
    with pytest.raises(ExamplesUnusable, match="too little campaign history"):
        train_uplift(one, seed=1, threads=1, settings=LINEAR)
    treated = table.filter(table["treated"])
    with pytest.raises(ExamplesUnusable, match="too little campaign history"):
        train_uplift(treated, seed=1, threads=1, settings=LINEAR)
