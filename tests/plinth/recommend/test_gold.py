"""Events and items come out of a lakehouse that the project's own models built from the sample warehouse."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow.compute as pc
import pytest

from plinth.errors import TableMissing
from plinth.recommend import events_from_lakehouse, items_from_lakehouse, train_recommender
from plinth.recommend.gold import inputs
from plinth.sample import SampleSpec, write_sample
from tests.dbt.conftest import House, make_house
from tests.plinth.recommend.conftest import QUICK


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    made = make_house(tmp_path_factory.mktemp("house"))
    write_sample(made.url, SampleSpec(customers=150, days=200))
    made.load()
    made.build()
    return made


def test_without_gold_the_missing_table_is_named(tmp_path: Path) -> None:
    empty = make_house(tmp_path)
    with pytest.raises(TableMissing, match="interactions"):
        events_from_lakehouse(empty.con, empty.lakehouse, datetime(2030, 1, 1))


@pytest.mark.slow
def test_gold_gives_each_item_of_each_basket_once_and_nothing_later(house: House) -> None:
    events = events_from_lakehouse(house.con, house.lakehouse, datetime(2030, 1, 1))
    count, customers, items = house.one(
        "SELECT count(DISTINCT (customer_no, invoice_no, item_code)), count(DISTINCT customer_no), count(DISTINCT item_code) "
        "FROM {silver/invoice_lines} WHERE customer_no IS NOT NULL AND line_type = 'sale' AND item_kind = 'goods'"
    )
    assert events.schema.names == ["customer", "basket", "item", "time", "country", "known"]
    assert events.num_rows == count
    assert pc.count_distinct(events.column("customer")).as_py() == customers
    assert pc.count_distinct(events.column("item")).as_py() == items
    assert sum(events.column(name).null_count for name in events.schema.names) == 0
    middle = events.column("time")[events.num_rows // 2].as_py()
    earlier = events_from_lakehouse(house.con, house.lakehouse, middle)
    assert pc.max(earlier.column("time")).as_py() < middle
    assert 0 < earlier.num_rows < events.num_rows
    assert pc.max(earlier.column("known")).as_py() < middle
    assert earlier.equals(events.filter(pc.less(events.column("known"), middle))), "one read serves all earlier moments"


@pytest.mark.slow
def test_what_was_still_on_sale_at_a_past_moment_can_be_recommended_at_it(house: House) -> None:
    gone = house.one(
        "SELECT c.item_code, c.discontinued_on, max(l.invoiced_at) FROM {gold/item_catalog} c JOIN {silver/invoice_lines} l USING (item_code) "
        "WHERE c.status = 'discontinued' AND c.discontinued_on < (SELECT max(bought_at)::DATE FROM {gold/interactions}) "
        "GROUP BY ALL HAVING min(l.invoiced_at) < c.discontinued_on ORDER BY c.discontinued_on DESC LIMIT 1"
    )
    item, day = gone[0], gone[1]
    assert isinstance(day, date), "the sample discontinues items while it goes on"
    before = datetime(day.year, day.month, day.day) - timedelta(days=1)
    for at, sellable in ((before, True), (before + timedelta(days=1), False), (datetime(2030, 1, 1), False)):
        items = items_from_lakehouse(house.con, house.lakehouse, at)
        assert dict(zip(items["item"].to_pylist(), items["sellable"].to_pylist(), strict=True))[item] is sellable


@pytest.mark.slow
def test_a_recommender_learns_from_gold_and_offers_only_what_is_on_sale(house: House) -> None:
    versions = inputs(house.lakehouse)
    assert set(versions) >= {"gold/interactions", "gold/item_catalog"}
    last = house.one("SELECT max(bought_at) FROM {gold/interactions}")[0]
    assert isinstance(last, datetime)
    events = events_from_lakehouse(house.con, house.lakehouse, last, versions=versions)
    items = items_from_lakehouse(house.con, house.lakehouse, last, versions=versions)
    assert items.schema.names == ["item", "description", "price", "sellable"]
    trained = train_recommender(events, items, at=last, threads=1, seed=1, settings=QUICK)
    table = trained.recommend(sorted(set(events.column("customer").to_pylist())), 10)
    on_sale = set(items.filter(items.column("sellable")).column("item").to_pylist())
    assert set(table.column("item").to_pylist()) <= on_sale
    assert table.num_rows == 10 * pc.count_distinct(events.column("customer")).as_py()
