"""Every customer who ordered has one chance to buy, by the champion and the newest orders; without a champion the table is empty and says why."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from plinth.engine import connect
from plinth.features import load_views, snapshot, training_set
from plinth.lakehouse.files import rows_of
from plinth.promote import Propensity, PropensitySettings, cutoffs_before, labels, thinned, train_propensity
from plinth.promote.booked import INVOICE_LINES, make_lines
from plinth.serving.champion import PROPENSITY
from plinth.serving.due import declared_inputs, model_inputs
from plinth.serving.examine import broken_propensities
from plinth.serving.propensity import make_purchase_propensity
from plinth.serving.tables import PURCHASE_PROPENSITY
from plinth.stale import stale_tables
from tests.plinth.serving.shop import AT, CUSTOMERS, Shop, events
from tests.plinth.serving.test_tables import rows

pytestmark = pytest.mark.slow

BUYERS = CUSTOMERS - 5
ROOT = Path(__file__).resolve().parents[3]


def learn(shop: Shop) -> int:
    """Trains a propensity on what was bought until four weeks before the end, and makes it the champion."""
    shutil.copyfile(ROOT / "feature_views.yaml", shop.folder / "feature_views.yaml")
    con = connect(shop.platform.profile(), scratch=shop.folder / "scratch")
    make_lines(con, "lines", rows_of(shop.lakehouse.open(INVOICE_LINES)))
    rows = labels(con, "lines", cutoffs_before(AT - timedelta(days=28), AT - timedelta(days=120)))
    con.close()
    table = training_set(shop.lakehouse, load_views(shop.platform), rows, ["customer", "buyer"], tables={})
    cheap = PropensitySettings(iterations=10, smallest_leaf=10)
    model = train_propensity(table, seed=1, threads=1, settings=cheap)
    model.save(shop.folder / "propensity")
    version = shop.registry.log(
        PROPENSITY, files=shop.folder / "propensity", parameters={}, metrics={"brier": 0.1}, plots={}, inputs={}, seed=1
    )
    return int(shop.registry.promote(PROPENSITY, version.version).version)


def test_each_customer_who_ordered_has_one_chance_as_of_the_newest_order(shop: Shop) -> None:
    version = learn(shop)
    scored = make_purchase_propensity(shop.setting)
    assert scored.reason == f"by the champion, version {version}"
    found = rows(
        shop.lakehouse,
        PURCHASE_PROPENSITY.id,
        "SELECT count(*), count(DISTINCT customer_no), min(probability), max(probability), min(as_of), max(as_of), min(model_version) FROM t",
    )
    ((count, customers, low, high, first, last, by),) = found
    newest: date = max(events(1)["time"].to_pylist()).date()
    assert count == customers == BUYERS
    assert 0 <= low < high <= 1
    assert (first, last, by) == (newest + timedelta(days=1), newest + timedelta(days=1), version)
    assert broken_propensities(shop.lakehouse, shop.platform.profile()).rows == 0
    assert not make_purchase_propensity(shop.setting).served.computed
    models, _ = model_inputs(shop.registry, {PROPENSITY: None})
    todays = {**models, **declared_inputs(shop.platform)}
    assert stale_tables(shop.lakehouse, {PURCHASE_PROPENSITY.id: None}, todays) == {}, "nobody has to run for it"
    shop.trade(events(2))
    assert make_purchase_propensity(shop.setting).served.changed, "other orders are other chances"


def test_a_customer_is_scored_by_the_values_that_the_declared_views_have_at_that_moment(shop: Shop) -> None:
    learn(shop)
    make_purchase_propensity(shop.setting)
    ((as_of,),) = rows(shop.lakehouse, PURCHASE_PROPENSITY.id, "SELECT DISTINCT as_of FROM t")
    at, views = datetime.combine(as_of, datetime.min.time()), load_views(shop.platform)
    tables = [snapshot(shop.lakehouse, views.view(name), at) for name in ("customer", "buyer")]
    columns = {
        f"{name}__{feature}": table[feature]
        for name, table in zip(("customer", "buyer"), tables, strict=True)
        for feature in views.view(name).features
    }
    champion = shop.registry.champion(PROPENSITY)
    assert champion is not None and tables[0]["customer_no"].equals(tables[1]["customer_no"])
    chances = Propensity.load(shop.registry.fetch(champion)).predict(pa.table(columns))
    expected = dict(zip(tables[0]["customer_no"].to_pylist(), chances.round(6).tolist(), strict=True))
    assert dict(rows(shop.lakehouse, PURCHASE_PROPENSITY.id, "SELECT customer_no, probability FROM t")) == expected


def test_portions_are_held_against_one_share_of_the_customers(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    learn(shop)
    monkeypatch.setattr("plinth.promote.room_for", lambda *_: 20)
    make_purchase_propensity(shop.setting)
    found = rows(shop.lakehouse, PURCHASE_PROPENSITY.id, "SELECT customer_no, probability, as_of FROM t ORDER BY 1")
    at = pa.array([datetime.combine(found[0][2], datetime.min.time())] * len(found), pa.timestamp("us"))
    customers = pa.table({"customer_no": pa.array([row[0] for row in found], pa.int64()), "at": at})
    asked = training_set(shop.lakehouse, load_views(shop.platform), customers, ["customer", "buyer"], tables={})
    champion = shop.registry.champion(PROPENSITY)
    assert champion is not None
    model, some = Propensity.load(shop.registry.fetch(champion)), thinned(asked, 20)
    assert 5 < some.num_rows < 40 < len(found) == BUYERS
    assert [row[1] for row in found] == model.predict(asked, model.standing(some)).round(6).tolist()


def test_another_declaration_is_asked_anew(shop: Shop) -> None:
    learn(shop)
    assert make_purchase_propensity(shop.setting).served.computed
    assert not make_purchase_propensity(shop.setting).served.computed
    file = shop.folder / "feature_views.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace(
            'gap_median: {from: spaced, expression: "quantile_at(gap, 0.5, gap_place, gap_count)"',
            'gap_median: {from: spaced, expression: "max(gap)"',
        )
    )
    assert text != file.read_text(encoding="utf-8")
    assert make_purchase_propensity(shop.setting).served.computed


def test_without_a_champion_it_is_empty_and_says_why(shop: Shop) -> None:
    scored = make_purchase_propensity(shop.setting)
    assert scored.served.version.rows == 0
    assert scored.reason == "models/propensity has no champion: no version was trained yet"
    version = learn(shop)
    assert make_purchase_propensity(shop.setting).served.version.rows == BUYERS
    assert version == 1


@pytest.mark.parametrize(
    "wrong", ["1.01::DOUBLE", "-0.01::DOUBLE", "'nan'::DOUBLE", "NULL::DOUBLE", "unnest([0.2, 0.3])::DOUBLE"]
)
def test_what_is_no_probability_or_stands_twice_is_found(shop: Shop, wrong: str) -> None:
    make_purchase_propensity(shop.setting)
    rest = "DATE '2024-06-03' AS as_of, 1::INTEGER AS model_version"
    shop.write(
        PURCHASE_PROPENSITY.id,
        f"SELECT 1::BIGINT AS customer_no, {wrong} AS probability, {rest} UNION ALL SELECT 2, 0.5, DATE '2024-06-03', 1",
    )
    assert broken_propensities(shop.lakehouse, shop.platform.profile()).rows == (2 if "unnest" in wrong else 1)
