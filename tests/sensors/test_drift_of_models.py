"""Each model is watched by what it learns from and by what became of what it published: the propensity by its features and chances, the uplift by orders."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from assets.models import model_key
from plinth.engine import connect
from plinth.features import load_views
from plinth.features.store import materialise
from plinth.lakehouse.maintenance import maintain
from plinth.lakehouse.tables import TableId
from plinth.promote import UpliftSettings, train_uplift
from plinth.promote.booked import trials
from plinth.promote.choice import Candidate
from plinth.promote.learners import LINEAR
from plinth.registry import RegisteredVersion
from plinth.sections import DriftLimits
from plinth.serving.champion import input_text
from plinth.serving.tables import PURCHASE_PROPENSITY
from plinth.serving.write import Origin, write
from plinth.training.code import code_of_target
from plinth.training.due import why_due
from plinth.training.feature_drift import index_of
from plinth.training.propensity import PropensityTarget
from plinth.training.tags import SEEN, UNTIL
from plinth.training.uplift import UpliftTarget
from plinth.training.watched import Watch
from tests.plinth.registry.conftest import empty_store, register
from tests.plinth.training.shop import FIRST, Shop, shop_in
from tests.sensors.test_retraining import World

pytestmark = pytest.mark.slow

__all__ = ["empty_store"]  # a fixture, looked up by its name
LIMITS = DriftLimits(rows=100, customers=20, buyers=5, feature_rows=50)
CHANCES = PURCHASE_PROPENSITY.id
LINES = TableId("silver", "invoice_lines")
AS_OF = 212
"""The day that chances are published as of in these tests, of a model that has seen the days before it."""
# In five weeks everybody buys twice a week, who bought once a month; rows are those of `Shop.trade`.
EVERYBODY = """SELECT 1000 + i % 120, 900 + i // 120, 'B' || i, DATE '2023-08-01' + to_days((i // 120 * 3)::INTEGER), 9000000 + i, 0,
'I0' || lpad((i % 60)::VARCHAR, 2, '0') FROM range(1200) t(i)"""


def _day(days: int) -> str:
    return f"{FIRST + timedelta(days=days)}T00:00:00"


@pytest.fixture
def world(tmp_path: Path, instance: dg.DagsterInstance, empty_store: Path) -> World:
    made = World(tmp_path, instance, empty_store)
    shutil.copytree(empty_store, made.shop.registry.store.root)
    return made


def champion(shop: Shop, model: str, days: int = AS_OF, code: str = "") -> RegisteredVersion:
    """A champion that has seen the first days."""
    folder = shop.platform.path(f"saved/{model}")
    folder.mkdir(parents=True)
    (folder / "model.bin").write_text(model)
    figures = {"roc_auc": 0.8, "ece": 0.03, "brier": 0.1}
    made = register(
        shop.registry, folder, model=model, metrics=figures, tags={SEEN: _day(days), UNTIL: _day(days)}, code=code
    )
    shop.registry.promote(model, made.version)
    found = shop.registry.champion(model)
    assert found is not None
    return found


def publish(shop: Shop, sql: str, model: str, days: int = AS_OF) -> None:
    """The chances that are published as of a day; `sql` gives customer_no and probability, and may read `lines`."""
    con = connect(shop.platform.profile(), extensions=("delta",), scratch=shop.platform.path("scratch"))
    start, end = FIRST + timedelta(days=days), FIRST + timedelta(days=days + 28)
    con.execute(
        f"CREATE TEMP TABLE customers AS SELECT customer_no, bool_or(invoiced_at >= DATE '{start}' AND invoiced_at < DATE '{end}') AS buys "
        f"FROM {shop.lakehouse.open(LINES).scan} GROUP BY customer_no"
    )
    rows, base, origin = (
        con.execute(sql).to_arrow_table(),
        shop.lakehouse.find(CHANCES),
        Origin({"models/propensity": model}, "1", until=_day(days)),
    )
    as_of = pa.array([FIRST + timedelta(days=days)] * rows.num_rows, pa.date32())
    rows = rows.append_column("as_of", as_of).append_column("model_version", pa.array([1] * rows.num_rows, pa.int32()))
    write(con, shop.lakehouse, PURCHASE_PROPENSITY, base, [rows], origin)
    con.close()


RIGHT = "SELECT customer_no, CASE WHEN buys THEN 0.9 ELSE 0.1 END::DOUBLE AS probability FROM customers"
WRONG = RIGHT.replace("WHEN buys", "WHEN NOT buys")
TOO_HIGH = RIGHT.replace("ELSE 0.1", "ELSE 0.8")


def quality(world: World, sql: str, limits: DriftLimits = LIMITS) -> dg.SensorResult:
    """A tick after the four weeks that published chances are about."""
    world.shop.trade(AS_OF + 28)
    publish(world.shop, sql, input_text(champion(world.shop, "propensity")))
    return world.tick("quality_drift", limits)


def said(result: dg.SensorResult) -> str:
    assert not result.run_requests
    return str(result.skip_reason.skip_message if isinstance(result.skip_reason, dg.SkipReason) else result.skip_reason)


def test_chances_that_came_true_ask_for_nothing_and_say_what_was_seen(world: World) -> None:
    words = said(quality(world, RIGHT))
    assert "propensity: no limit is passed: ROC-AUC 1.000, calibration error 0.0" in words
    assert "uplift: models/uplift has no champion to judge" in words
    assert "propensity: nothing new since the last look" in said(world.tick("quality_drift", LIMITS))


@pytest.mark.parametrize(
    ("sql", "lost", "kept"),
    [
        (WRONG, ["ROC-AUC is 0.000, less than 0.740 (0.800 at training)", "calibration error is 0.8"], []),
        (TOO_HIGH, ["calibration error is", "more than 0.130 (0.030 at training)"], ["ROC-AUC is"]),
    ],
    ids=["who buys is told wrong", "too many are to buy"],
)
def test_chances_that_did_not_come_true_ask_for_their_model_with_both_figures(
    world: World, sql: str, lost: list[str], kept: list[str]
) -> None:
    (request,) = quality(world, sql).run_requests or []
    reason = request.tags["plinth/reason"]
    assert reason.startswith(f"quality drift: of the chances published as of {FIRST + timedelta(days=AS_OF)} ")
    assert all(each in reason for each in lost) and not any(each in reason for each in kept)
    assert request.tags["plinth/asked_by"] == "quality_drift"
    assert request.asset_selection == [model_key("propensity")], "the recommender's lists are as good as they were"


def test_nothing_is_told_before_the_weeks_are_over(world: World) -> None:
    world.shop.trade(AS_OF + 28)
    made = champion(world.shop, "propensity")
    publish(world.shop, WRONG, input_text(made))
    world.shop.trade(AS_OF + 27)
    assert "no chances of version 1 are kept whose 28 days are over" in said(world.tick("quality_drift", LIMITS))
    world.shop.trade(AS_OF + 28)
    assert world.tick("quality_drift", LIMITS).run_requests


def test_last_nights_chances_hide_none_that_can_be_judged_and_other_models_are_not_judged(world: World) -> None:
    world.shop.trade(AS_OF + 28)
    name = input_text(champion(world.shop, "propensity"))
    publish(world.shop, WRONG, "0 another", days=AS_OF - 7)
    publish(world.shop, RIGHT, name, days=AS_OF + 27)
    assert "whose 28 days are over" in said(world.tick("quality_drift", LIMITS))
    publish(world.shop, WRONG, name, days=AS_OF)
    publish(world.shop, RIGHT, name, days=AS_OF + 28)
    (request,) = world.tick("quality_drift", LIMITS).run_requests or []
    assert f"as of {FIRST + timedelta(days=AS_OF)}" in request.tags["plinth/reason"]


def test_too_few_customers_judge_nothing_and_the_tick_says_so(world: World) -> None:
    words = said(quality(world, WRONG, DriftLimits()))
    assert "too few to judge the chances of" in words and "at least 100 and 50 of either kind" in words


def test_older_chances_are_kept_until_they_are_judged_and_their_loss_is_told(world: World) -> None:
    world.shop.trade(AS_OF + 28)
    name = input_text(champion(world.shop, "propensity"))
    publish(world.shop, WRONG, name)
    publish(world.shop, RIGHT, name, days=AS_OF + 20)
    con = connect(world.shop.platform.profile(), extensions=("delta",))
    done = maintain(con, world.shop.lakehouse, world.shop.lakehouse.open(CHANCES), retention_hours=0)
    assert done.removed, "what stood before the newest version"
    con.close()
    words = said(world.tick("quality_drift", LIMITS))
    assert "serving/purchase_propensity" in words and "gone" in words


@pytest.mark.parametrize(
    ("sql", "due"), [(WRONG, "quality drift: of the chances published as of"), (RIGHT, "")], ids=["wrong", "right"]
)
def test_a_run_trains_a_propensity_whose_chances_did_not_come_true_before_its_week_is_over(
    world: World, sql: str, due: str
) -> None:
    world.shop.trade(AS_OF + 28)
    code = code_of_target(PropensityTarget(), load_views(world.shop.platform))
    publish(world.shop, sql, input_text(champion(world.shop, "propensity", days=AS_OF + 26, code=code)))
    watch = Watch(world.shop.lakehouse, world.shop.registry, world.shop.platform.profile(), 7, LIMITS)
    why = why_due(PropensityTarget(), watch)
    assert why.startswith(due) and bool(why) is bool(due)


def snapshots(shop: Shop, *days: int) -> None:
    """Weekly snapshots of what a propensity learns from, of the Mondays so many days after the first."""
    views = load_views(shop.platform)
    for view in ("customer", "buyer"):
        materialise(shop.lakehouse, views, view, [FIRST + timedelta(days=each) for each in days])


def test_features_that_moved_ask_for_their_model_and_name_those_that_moved_most(world: World) -> None:
    world.shop.trade(245)
    champion(world.shop, "propensity", days=210)
    assert "features/customer, features/buyer was never made" in said(world.tick("data_drift", LIMITS))
    snapshots(world.shop, 210)
    assert f"no snapshot after {FIRST + timedelta(days=210)} yet" in said(world.tick("data_drift", LIMITS))
    snapshots(world.shop, 210, 217)
    assert "propensity: no limit is passed" in said(world.tick("data_drift", LIMITS))
    world.shop.trade(245, extra=EVERYBODY)
    snapshots(world.shop, 245)
    (request,) = world.tick("data_drift", LIMITS).run_requests or []
    reason = request.tags["plinth/reason"]
    assert "features of propensity have a PSI > 0.25, most " in reason and "120 customers" in reason
    assert f"{FIRST + timedelta(days=210)} to {FIRST + timedelta(days=245)}" in reason
    assert request.asset_selection == [model_key("propensity")]


def test_orders_that_moved_ask_for_the_uplift(world: World) -> None:
    world.shop.trade(217)
    champion(world.shop, "uplift", days=210)
    assert "uplift: no limit is passed" in said(world.tick("data_drift", LIMITS))
    world.shop.trade(245, extra=EVERYBODY)
    (request,) = world.tick("data_drift", LIMITS).run_requests or []
    assert "features of uplift have a PSI" in request.tags["plinth/reason"]
    assert request.asset_selection == [model_key("uplift")]


TRIALS = 12
"""Trials of ten days, every 20 days from the 30th on; the champion of these tests has seen the first eight."""
_CONTACTS = f"""
SELECT p::INTEGER AS promotion_id, c::INTEGER AS customer_no, DATE '{FIRST}' + (30 + 20 * p)::INTEGER AS contacted_on, 'email' AS channel,
       if(hash(c * 31 + p) % 10 < 6, 'treatment', 'control') AS trial_group, false AS is_redeemed, NULL::DATE AS redeemed_on,
       (DATE '{FIRST}' + (30 + 20 * p)::INTEGER)::TIMESTAMP AS known_at FROM range(1000, 1120) t(c), range({TRIALS}) u(p)
"""
SEEN_DAY = 30 + 20 * 8


def moved(trials: int) -> str:
    """Lines of those whom a contact moves, in the first so many trials: every second customer who is contacted orders once more."""
    return (
        f"SELECT customer_no, 800 + promotion_id, 'M' || customer_no || '-' || promotion_id, contacted_on + INTERVAL 50 HOUR, "
        f"8000000 + customer_no * 100 + promotion_id, 0, 'I001' FROM ({_CONTACTS}) "
        f"WHERE trial_group = 'treatment' AND promotion_id < {trials} AND hash(customer_no * 13 + promotion_id) % 2 = 0"
    )


def campaigns(shop: Shop, days: int, moving: int) -> None:
    """The first days of trade, in which contacts of the first so many trials moved customers."""
    shop.trade(
        days,
        extra=f'FROM ({moved(moving)}) t(customer, visit, order_no, "at", line_id, n, item_code) WHERE "at" < DATE \'{FIRST}\' + {days}',
    )
    end = f"DATE '{FIRST}' + {days}"
    shop.write(TableId("silver", "campaign_contacts"), f"FROM ({_CONTACTS}) WHERE contacted_on < {end}")
    shop.write(
        TableId("silver", "promotions"),
        "SELECT p::INTEGER AS promotion_id, 'percent_off' AS promotion_type, 10.0::DOUBLE AS discount_percent, NULL::DOUBLE AS discount_amount, "
        f"DATE '{FIRST}' + (30 + 20 * p)::INTEGER AS starts_on, DATE '{FIRST}' + (39 + 20 * p)::INTEGER AS ends_on FROM range({TRIALS}) u(p)",
    )
    shop.write(
        TableId("silver", "customers"),
        "SELECT c::INTEGER AS customer_no, (1950 + c % 50)::INTEGER AS birth_year FROM range(1000, 1120) t(c)",
    )


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of an uplift that has learnt from the first eight trials."""
    folder = tmp_path_factory.mktemp("learnt")
    shop = shop_in(folder)
    campaigns(shop, SEEN_DAY, 8)
    con = connect(shop.platform.profile(), extensions=("delta",))
    versions = {str(table): shop.lakehouse.open(table) for table in UpliftTarget().inputs}
    quick = UpliftSettings(candidates=(Candidate(LINEAR[0], 0.3),), folds=2, members=3, smallest_arm=20)
    train_uplift(trials(con, versions), seed=1, threads=1, settings=quick).save(folder / "files")
    con.close()
    return folder / "files"


def judged(world: World, files: Path, days: int, trials: int) -> dg.SensorResult:
    """A tick over the trials that have ended since the champion saw its data."""
    campaigns(world.shop, days, trials)
    tags = {SEEN: _day(SEEN_DAY), UNTIL: _day(150)}
    made = register(world.shop.registry, files, model="uplift", metrics={"qini": 0.1}, tags=tags)
    world.shop.registry.promote("uplift", made.version)
    return world.tick("quality_drift", LIMITS)


def test_trials_that_came_to_what_was_expected_ask_for_nothing(world: World, learnt: Path) -> None:
    words = said(judged(world, learnt, SEEN_DAY + 85, TRIALS))
    assert "uplift: no limit is passed: effect 0." in words
    assert "4 trials with contacts from" in words
    assert "uplift: nothing new since the last look" in said(world.tick("quality_drift", LIMITS))


def test_trials_in_which_nobody_is_moved_any_more_ask_for_the_uplift(world: World, learnt: Path) -> None:
    (request,) = judged(world, learnt, SEEN_DAY + 85, 8).run_requests or []
    reason = request.tags["plinth/reason"]
    assert reason.startswith("quality drift: of 4 trials with contacts from")
    assert "was expected" in reason and "standard errors apart, more than 2.5" in reason
    assert request.asset_selection == [model_key("uplift")]


def test_an_uplift_is_judged_by_no_trial_that_it_was_trained_or_judged_with(world: World, learnt: Path) -> None:
    assert "uplift: no trial has ended since version 1" in said(judged(world, learnt, SEEN_DAY + 9, 8))
    campaigns(world.shop, SEEN_DAY + 11, 9)
    assert "1 trial with contacts from" in said(world.tick("quality_drift", LIMITS))
    campaigns(world.shop, SEEN_DAY + 12, 9)
    words = said(world.tick("quality_drift", LIMITS.model_copy(update={"customers": 70})))
    assert "too few to judge the effect by:" in words and "at least 70 of either" in words


def test_the_index_is_that_of_the_bins_with_one_for_missing_values() -> None:
    def column(*values: float | None) -> pa.ChunkedArray:
        return pa.chunked_array([pa.array(values, pa.float64())])

    even = column(*map(float, range(1000)))
    assert index_of(even, even) == 0
    halved = column(*(each % 500.0 for each in range(1000)))
    moved = (0.2 - 0.1) * np.log(2.0) * 5 + (1e-4 - 0.1) * np.log(1e-3) * 5
    assert index_of(even, halved) == pytest.approx(moved, rel=0.01)
    nothing = column(*[None] * 300, *map(float, range(700)))
    without = index_of(nothing, column(*[None] * 600, *map(float, range(400))))
    assert without > 0.25
    assert index_of(column(*[0.0] * 99, 1.0), column(*[0.0] * 98, 1.0, 1.0)) < 0.01, "most tenths are one value"
    assert index_of(column(), even) == 0
