"""Every customer who ordered has one chance to buy, by the champion and the newest orders; without a champion the table is empty and says why."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from plinth.engine import connect
from plinth.lakehouse.files import rows_of
from plinth.promote import PropensitySettings, cutoffs_before, examples, train_propensity
from plinth.promote.booked import make_lines, make_orders
from plinth.serving.champion import PROPENSITY
from plinth.serving.examine import broken_propensities
from plinth.serving.propensity import LINES, make_purchase_propensity
from plinth.serving.tables import PURCHASE_PROPENSITY
from tests.plinth.serving.shop import AT, CUSTOMERS, Shop, events
from tests.plinth.serving.test_tables import rows

pytestmark = pytest.mark.slow

BUYERS = CUSTOMERS - 5


def learn(shop: Shop) -> int:
    """Trains a propensity on what was bought until four weeks before the end, and makes it the champion."""
    con = connect(shop.platform.profile(), scratch=shop.folder / "scratch")
    make_lines(con, "lines", rows_of(shop.lakehouse.open(LINES)))
    make_orders(con, "orders", "lines")
    cutoffs = cutoffs_before(AT - timedelta(days=28), AT - timedelta(days=120))
    cheap = PropensitySettings(iterations=10, smallest_leaf=10)
    model = train_propensity(examples(con, "orders", cutoffs, lines="lines"), seed=1, threads=1, settings=cheap)
    con.close()
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
    shop.trade(events(2))
    assert make_purchase_propensity(shop.setting).served.changed, "other orders are other chances"


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
