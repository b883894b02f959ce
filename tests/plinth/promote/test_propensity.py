"""A propensity learns, is calibrated on the last cut-off, and its files hold the model and nothing that runs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from plinth.estimators import estimators_to_bytes
from plinth.promote import ExamplesUnusable, ModelFileRefused, Propensity, measure_propensity, train_propensity
from plinth.promote.calibration import Curve, log_odds
from plinth.promote.columns import matrix, numbers
from plinth.promote.folder import ESTIMATORS, SETTINGS
from plinth.promote.propensity import PropensitySettings
from plinth.promote.standing import Standing
from tests.plinth.promote.worlds import buyers

QUICK = PropensitySettings(iterations=40, learning_rate=0.04, share_of_features=0.4, members=1, newest=1)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def model() -> Propensity:
    return train_propensity(buyers(1).table, seed=3, threads=1, settings=QUICK)


def test_it_finds_the_chances_of_customers_it_has_not_seen(model: Propensity) -> None:
    other = buyers(2)
    chance = model.predict(other.table)
    bought = numbers(other.table, "bought")
    assert np.corrcoef(chance, other.chance)[0, 1] > 0.9
    assert measure_propensity(chance, bought).ece < 0.03
    assert measure_propensity(chance, bought).roc_auc > measure_propensity(other.chance, bought).roc_auc - 0.03


def test_a_last_window_with_more_trade_lifts_the_chances() -> None:
    table = buyers(4).table
    last = np.asarray(table["at"].to_numpy()) == max(table["at"].to_numpy())
    more = np.where(last & (np.random.default_rng(5).random(table.num_rows) < 0.3), True, numbers(table, "bought") > 0)
    made = train_propensity(table.set_column(2, "bought", pa.array(more)), seed=3, threads=1, settings=QUICK)
    window = table.filter(pa.array(last))
    # One in two classifiers has seen the window itself, which the curve does not know.
    assert made.predict(window).mean() == pytest.approx(more[last].mean(), abs=0.04)
    assert made.uncalibrated(window).mean() < more[last].mean() - 0.1


def test_what_only_the_last_window_shows_is_learnt_too_but_not_by_those_that_it_calibrates() -> None:
    table = buyers(4).table
    last = np.asarray(table["at"].to_numpy()) == max(table["at"].to_numpy())
    turned = np.where(last, numbers(table, "f2") > 0, numbers(table, "bought") > 0)
    made = train_propensity(table.set_column(2, "bought", pa.array(turned)), seed=3, threads=1, settings=QUICK)
    values = matrix(buyers(5).table, made.features)
    kinds = (values, Standing.of(values)(values))
    gaps = [
        each.predict_proba(kinds[n % 2][values[:, 2] > 0])[:, 1].mean()
        - each.predict_proba(kinds[n % 2][values[:, 2] < 0])[:, 1].mean()
        for n, each in enumerate(made.classifiers)
    ]
    assert abs(gaps[0]) < 0.05 < 0.15 < gaps[1]


def test_the_newest_take_the_cutoffs_between_the_windows_in_turn() -> None:
    table, between = buyers(4).table, buyers(9).table
    half_way = pa.array([at - timedelta(days=14) for at in between["at"].to_pylist()], pa.timestamp("us"))
    turned = pa.array(numbers(between, "f2") > 0)
    between = between.set_column(1, "at", half_way).set_column(2, "bought", turned)
    settings = replace(QUICK, newest=3)
    made = train_propensity(pa.concat_tables([between, table]), seed=3, threads=1, settings=settings)
    assert made.trained_until == max(table["at"].to_pylist())
    values = matrix(buyers(5).table, made.features)
    kinds = (values, Standing.of(values)(values))
    gaps = [
        each.predict_proba(kinds[n % 2][values[:, 2] > 0])[:, 1].mean()
        - each.predict_proba(kinds[n % 2][values[:, 2] < 0])[:, 1].mean()
        for n, each in enumerate(made.classifiers)
    ]
    # What only the cut-offs half-way show is known to the one classifier that learns from them.
    assert max(map(abs, gaps[:3])) < 0.05 and gaps[3] > 0.5
    alone = train_propensity(table, seed=3, threads=1, settings=settings)
    assert np.array_equal(alone.classifiers[1].predict_proba(kinds[1]), made.classifiers[1].predict_proba(kinds[1]))


def test_to_every_second_one_only_where_a_value_stands_at_its_instant_counts(model: Propensity) -> None:
    table = buyers(1).table
    _, cutoff = np.unique(table["at"].to_numpy(), return_inverse=True)
    grown = table
    for name in model.features:
        # Other units at each cut-off, in powers of two, which are exact; and all of it cubed.
        values = (numbers(table, name) * 2.0**cutoff) ** 3
        grown = grown.set_column(grown.schema.get_field_index(name), name, pa.array(values, from_pandas=True))
    again = train_propensity(grown, seed=3, threads=1, settings=QUICK)
    one, two = (estimators_to_bytes(each.classifiers[1:]) for each in (model, again))
    assert one == two
    assert estimators_to_bytes(model.classifiers[:1]) != estimators_to_bytes(again.classifiers[:1])


@pytest.mark.slow
def test_every_number_of_threads_gives_the_same_bytes_and_each_classifier_is_told(
    model: Propensity, tmp_path: Path
) -> None:
    heard: list[str] = []
    made = train_propensity(buyers(1).table, seed=3, threads=2, settings=QUICK, tell=heard.append)
    folders = tmp_path / "one", tmp_path / "two"
    for each, folder in zip((model, made), folders, strict=True):
        each.save(folder)
    assert (folders[0] / ESTIMATORS).read_bytes() == (folders[1] / ESTIMATORS).read_bytes()
    assert (folders[0] / SETTINGS).read_bytes() == (folders[1] / SETTINGS).read_bytes()
    assert heard == ["classifiers: 1 of 2 done", "classifiers: 2 of 2 done"]


def test_a_portion_of_the_customers_is_held_against_all_of_them(model: Propensity) -> None:
    table = buyers(6).table
    everybody, among = model.predict(table), model.standing(table)
    parts = [model.predict(table.slice(first, 1000), among) for first in range(0, table.num_rows, 1000)]
    assert np.array_equal(np.concatenate(parts), everybody)
    assert not np.array_equal(model.predict(table.slice(0, 1000)), everybody[:1000])


def test_files_of_a_model_that_learnt_from_the_values_are_asked_about_the_values(tmp_path: Path) -> None:
    made = train_propensity(buyers(1).table, seed=3, threads=1, settings=replace(QUICK, standing=False))
    made.save(tmp_path)
    about = json.loads((tmp_path / SETTINGS).read_text(encoding="utf-8"))
    del about["settings"]["standing"]
    (tmp_path / SETTINGS).write_text(json.dumps(about), encoding="utf-8")
    again, table = Propensity.load(tmp_path), buyers(8).table
    assert np.array_equal(again.predict(table), made.predict(table))
    odds = [log_odds(each.predict_proba(matrix(table, made.features))[:, 1]) for each in made.classifiers]
    assert again.predict(table) == pytest.approx(made.curve.of_odds(np.mean(odds, axis=0)), rel=1e-3)


def test_cutoffs_of_which_none_lies_a_window_before_the_last_are_too_few() -> None:
    table = buyers(1, rows=200).table
    near = table.slice(0, 400)
    moved = pa.array(
        [at - timedelta(days=14 * (n < 200)) for n, at in enumerate([near["at"][0].as_py()] * 400)], pa.timestamp("us")
    )
    with pytest.raises(ExamplesUnusable, match="two cut-offs") as refused:
        train_propensity(near.set_column(1, "at", moved), seed=1, threads=1, settings=QUICK)
    assert refused.value.found == 2 and "28 days apart" in str(refused.value.expected)


def test_a_row_is_asked_in_single_precision_so_that_the_order_of_a_sum_means_nothing(model: Propensity) -> None:
    table = buyers(6).table
    nudged = table
    for name in model.features:
        place = table.schema.get_field_index(name)
        nudged = nudged.set_column(place, name, pa.array(np.nextafter(numbers(table, name), np.inf)))
    assert not nudged.equals(table)
    assert np.mean(model.predict(nudged) == model.predict(table)) > 0.999


def test_calibration_keeps_the_order(model: Propensity) -> None:
    table = buyers(6).table
    assert model.curve.slope > 0
    assert np.array_equal(
        np.argsort(model.predict(table), kind="stable"), np.argsort(model.uncalibrated(table), kind="stable")
    )


def test_platt_finds_the_curve_that_made_the_outcomes() -> None:
    rng = np.random.default_rng(7)
    odds = rng.normal(size=60_000)
    bought = (rng.random(60_000) < 1 / (1 + np.exp(-(0.5 + 1.7 * odds)))).astype(float)
    curve = Curve.fitted(odds, bought)
    assert (curve.slope, curve.intercept) == (pytest.approx(1.7, abs=0.06), pytest.approx(0.5, abs=0.05))


def test_a_column_in_which_nobody_has_a_value_is_left_out() -> None:
    table = buyers(1).table
    empty = table.append_column("f9", pa.nulls(table.num_rows, pa.float64()))
    made = train_propensity(empty, seed=3, threads=1, settings=QUICK)
    assert made.features == ("f0", "f1", "f2")


def test_saved_and_loaded_it_predicts_the_same(model: Propensity, tmp_path: Path) -> None:
    model.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [ESTIMATORS, SETTINGS]
    again = Propensity.load(tmp_path)
    table = buyers(8).table
    assert np.array_equal(again.predict(table), model.predict(table))
    assert (again.features, again.trained_until, again.settings, again.seed) == (
        model.features,
        model.trained_until,
        QUICK,
        3,
    )


_TRAIN = """
import sys
from pathlib import Path
from plinth.promote import train_propensity
from tests.plinth.promote.worlds import buyers
from tests.plinth.promote.test_propensity import QUICK
train_propensity(buyers(1).table, seed=3, threads=1, settings=QUICK).save(Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_the_same_examples_and_seed_give_the_same_bytes_in_another_process(model: Propensity, tmp_path: Path) -> None:
    model.save(tmp_path / "here")
    subprocess.run([sys.executable, "-c", _TRAIN, str(tmp_path / "there")], cwd=ROOT, check=True)
    for name in (ESTIMATORS, SETTINGS):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    other = train_propensity(buyers(1).table, seed=4, threads=1, settings=QUICK)
    other.save(tmp_path / "other")
    assert (tmp_path / "other" / ESTIMATORS).read_bytes() != (tmp_path / "here" / ESTIMATORS).read_bytes()


class Intruder:
    """A type that no model is made of."""

    def __init__(self) -> None:
        self.run = "whatever stands here"


def test_a_file_with_a_foreign_type_is_refused_before_it_is_opened(model: Propensity, tmp_path: Path) -> None:
    model.save(tmp_path)
    (tmp_path / ESTIMATORS).write_bytes(estimators_to_bytes([Intruder()]))
    with pytest.raises(ModelFileRefused, match="not trusted") as refused:
        Propensity.load(tmp_path)
    assert "Intruder" in str(refused.value.found)


def test_other_estimators_than_its_own_are_refused(model: Propensity, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    model.save(tmp_path)
    (tmp_path / ESTIMATORS).write_bytes(estimators_to_bytes([LogisticRegression()]))
    with pytest.raises(ModelFileRefused, match="other estimators"):
        Propensity.load(tmp_path)


@pytest.mark.parametrize("place", [0, 200, -40])
def test_a_file_cut_short_or_changed_is_refused(model: Propensity, tmp_path: Path, place: int) -> None:
    model.save(tmp_path)
    body = (tmp_path / ESTIMATORS).read_bytes()
    (tmp_path / ESTIMATORS).write_bytes(body[:place])
    with pytest.raises(ModelFileRefused, match="broken"):
        Propensity.load(tmp_path)


def test_settings_of_other_features_or_another_model_are_refused(model: Propensity, tmp_path: Path) -> None:
    model.save(tmp_path)
    text = (tmp_path / SETTINGS).read_text(encoding="utf-8")
    (tmp_path / SETTINGS).write_text(text.replace('"f0",\n', ""), encoding="utf-8")
    with pytest.raises(ModelFileRefused, match="contradict"):
        Propensity.load(tmp_path)
    (tmp_path / SETTINGS).write_text(text.replace('"propensity"', '"uplift"'), encoding="utf-8")
    with pytest.raises(ModelFileRefused, match="another kind"):
        Propensity.load(tmp_path)
    (tmp_path / SETTINGS).unlink()
    with pytest.raises(ModelFileRefused, match="cannot be read"):
        Propensity.load(tmp_path)


def test_a_missing_column_is_named(model: Propensity) -> None:
    with pytest.raises(ExamplesUnusable) as refused:
        model.predict(buyers(1).table.drop_columns(["f1"]))
    assert refused.value.expected == "f1"


def test_nobody_to_ask_about_is_no_error(model: Propensity) -> None:
    assert model.predict(buyers(1).table.slice(0, 0)).shape == (0,)


def test_one_cutoff_or_no_buyer_is_too_little() -> None:
    table = buyers(1, rows=200).table
    with pytest.raises(ExamplesUnusable, match="two cut-offs"):
        train_propensity(table.slice(0, 200), seed=1, threads=1, settings=QUICK)
    nobody = table.set_column(2, "bought", pa.array([False] * table.num_rows))
    with pytest.raises(ExamplesUnusable, match="nothing to tell apart"):
        train_propensity(nobody, seed=1, threads=1, settings=QUICK)
