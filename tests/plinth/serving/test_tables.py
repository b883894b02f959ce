"""The serving tables say what the champion says, and cost nothing where it says the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa
import pytest

from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.serving.examine import broken_lists, without_consent
from plinth.serving.lengths import LIST_KIND, LIST_LENGTH, REST_KIND, SIMILAR_LENGTH
from plinth.serving.lists import Setting, make_popular_items, make_recommendations, make_similar_items
from plinth.serving.publish import publish
from plinth.serving.standing import INPUTS
from plinth.serving.tables import (
    EVERYWHERE,
    POPULAR_ITEMS,
    PROMOTION_PLAN,
    RECOMMENDATIONS,
    SIMILAR_ITEMS,
    ServingTable,
)
from plinth.serving.write import Served
from plinth.training.contents import contents_of
from plinth.training.tags import CONTENTS
from tests.plinth.serving.shop import AT, CUSTOMERS, ITEMS, Shop, events, items, make_shop, people

pytestmark = pytest.mark.slow

ROWS = min(LIST_LENGTH, ITEMS)
"""Of a list: what is declared, or all that there is."""
MAKERS = (
    (RECOMMENDATIONS, make_recommendations),
    (SIMILAR_ITEMS, make_similar_items),
    (POPULAR_ITEMS, make_popular_items),
)


def rows(lakehouse: Lakehouse, table: TableId, sql: str = "SELECT * FROM t ORDER BY ALL") -> list[tuple[object, ...]]:
    """Rows of a query over a table, which is called t."""
    return duckdb.sql(f"WITH t AS (FROM {rows_of(lakehouse.open(table))}) {sql}").fetchall()


def test_every_customer_has_a_list_and_those_who_never_bought_get_what_is_popular_where_they_are(shop: Shop) -> None:
    served = make_recommendations(shop.setting)
    assert served.counts.inserted == CUSTOMERS * ROWS
    found = rows(shop.lakehouse, RECOMMENDATIONS.id, "SELECT customer_no, count(*), max(rank) FROM t GROUP BY 1")
    assert sorted(found) == [(100 + each, ROWS, ROWS) for each in range(CUSTOMERS)]
    new = rows(
        shop.lakehouse, RECOMMENDATIONS.id, f"SELECT DISTINCT reason FROM t WHERE customer_no = {99 + CUSTOMERS}"
    )
    assert all("popular" in str(reason) for (reason,) in new)


def test_tables_say_what_the_model_says(shop: Shop) -> None:
    from plinth.recommend import Recommender, moved

    made = make_similar_items(shop.setting)
    make_popular_items(shop.setting)
    champion = shop.registry.champion("recommender")
    assert champion is not None
    until = datetime.fromisoformat(made.version.state.watermark or "")
    model = moved(Recommender.load(shop.registry.fetch(champion)), events(1), items(), until, threads=1)
    similar = {(r["item"], r["rank"]): r["similar_item"] for r in model.similar(SIMILAR_LENGTH).to_pylist()}
    assert similar == {
        (item, rank): other
        for item, rank, other in rows(
            shop.lakehouse, SIMILAR_ITEMS.id, "SELECT item_code, rank, similar_item_code FROM t"
        )
    }
    popular = [r["item"] for r in model.popular(5).to_pylist() if r["country"] is None]
    assert popular == [
        item
        for (item,) in rows(
            shop.lakehouse,
            POPULAR_ITEMS.id,
            f"SELECT item_code FROM t WHERE country = '{EVERYWHERE}' ORDER BY rank LIMIT 5",
        )
    ]


def with_one_more(shop: Shop, customer: int, item: str, time: datetime) -> None:
    """Lets a customer buy an item in a basket of its own."""
    bought = events(1)
    row = {"customer": [customer], "basket": ["newest"], "item": [item], "time": [time], "country": ["France"]}
    shop.trade(pa.concat_tables([bought, pa.table(row, schema=bought.schema)]))


def test_a_customer_s_newest_purchase_reaches_the_published_list_though_the_model_is_old(shop: Shop) -> None:
    def published() -> dict[str, str]:
        make_recommendations(shop.setting)
        with shop.store() as store:
            publish(shop.setting, store, keep=2)
            bodies = [store.read(kind, "101") or b"" for kind in (LIST_KIND, REST_KIND)]
        return {row["item"]: row["reason"] for body in bodies for row in json.loads(body)["items"]}

    champion = shop.registry.champion("recommender")
    assert not published()["I000"].startswith("bought before"), "the other circle's taste"
    with_one_more(shop, 101, "I000", AT + timedelta(days=40, hours=10))
    assert published()["I000"].startswith("bought before")
    assert shop.registry.champion("recommender") == champion
    lists = shop.lakehouse.open(RECOMMENDATIONS.id)
    assert lists.state.watermark == (AT + timedelta(days=41)).isoformat(), (
        "the first moment that the lists know nothing of"
    )


def test_similar_and_popular_items_and_the_session_s_model_follow_the_newest_purchases_too(shop: Shop) -> None:
    makers = (make_recommendations, make_similar_items, make_popular_items)
    for make in makers:
        make(shop.setting)
    assert not any(make(shop.setting).computed for make in makers)
    with shop.store() as store:
        first = publish(shop.setting, store, keep=2)
        model = store.read("model", "item_model")
        with_one_more(shop, 101, "I000", AT + timedelta(days=40, hours=10))
        assert all(make(shop.setting).changed for make in makers)
        assert publish(shop.setting, store, keep=2).version.id > first.version.id
        assert store.read("model", "item_model") != model


def test_a_champion_that_was_stored_with_just_these_purchases_is_served_as_it_is(shop: Shop) -> None:
    shop.trade(events(2))
    tables = {str(table): shop.lakehouse.open(table) for table in INPUTS}
    shop.train(2, {CONTENTS: json.dumps(contents_of(tables))})
    lists = make_recommendations(shop.setting).version
    assert lists.state.watermark == AT.isoformat(), "its own moment, though gold's newest purchase is older"


@pytest.mark.parametrize(("table", "make"), MAKERS, ids=lambda value: getattr(value, "name", ""))
def test_what_was_made_from_the_same_inputs_is_not_made_again(
    shop: Shop, table: ServingTable, make: Callable[[Setting], Served]
) -> None:
    first, again = make(shop.setting), make(shop.setting)
    assert first.computed
    assert not again.computed
    assert again.version.version == first.version.version
    assert broken_lists(shop.lakehouse, shop.platform.profile(), table).rows == 0


def test_a_new_customer_adds_rows_and_touches_no_others(shop: Shop) -> None:
    make_recommendations(shop.setting)
    before = rows(shop.lakehouse, RECOMMENDATIONS.id)
    people(shop, CUSTOMERS + 1)
    served = make_recommendations(shop.setting)
    assert (served.counts.inserted, served.counts.updated, served.counts.deleted) == (ROWS, 0, 0)
    assert set(before) < set(rows(shop.lakehouse, RECOMMENDATIONS.id))


def test_a_customer_who_left_is_taken_out(shop: Shop) -> None:
    make_recommendations(shop.setting)
    people(shop, CUSTOMERS - 2)
    served = make_recommendations(shop.setting)
    assert (served.counts.inserted, served.counts.updated, served.counts.deleted) == (0, 0, 2 * ROWS)


def test_another_champion_makes_the_tables_anew_and_a_rollback_brings_the_old_rows_back(shop: Shop) -> None:
    make_recommendations(shop.setting)
    first = rows(shop.lakehouse, RECOMMENDATIONS.id)
    shop.train(2)
    served = make_recommendations(shop.setting)
    assert served.changed and served.counts.updated > 0
    assert served.counts.inserted == served.counts.deleted == 0, "each customer keeps as many places"
    assert rows(shop.lakehouse, RECOMMENDATIONS.id) != first
    shop.registry.rollback("recommender")
    assert make_recommendations(shop.setting).changed
    assert rows(shop.lakehouse, RECOMMENDATIONS.id) == first


def test_without_a_champion_the_tables_are_there_and_empty(tmp_path_factory: pytest.TempPathFactory) -> None:
    bare = make_shop(tmp_path_factory.mktemp("bare"))
    for _, make in MAKERS:
        assert make(bare.setting).version.rows == 0


def test_lists_that_are_no_lists_are_found(shop: Shop) -> None:
    make_popular_items(shop.setting)
    columns = "SELECT 'France' AS country, rank::INTEGER AS rank, item_code, 0.5::DOUBLE AS score FROM (VALUES {}) t(rank, item_code)"
    for wrong, broken in (
        ("(1, 'I001'), (3, 'I002')", 1),
        ("(1, 'I001'), (2, 'I001')", 2),
        ("(1, 'I001'), (2, 'GONE')", 1),
        ("(1, 'I001'), (2, 'I002')", 0),
    ):
        shop.write(POPULAR_ITEMS.id, columns.format(wrong))
        assert broken_lists(shop.lakehouse, shop.platform.profile(), POPULAR_ITEMS).rows == broken


def test_contacts_without_consent_are_found(shop: Shop) -> None:
    shop.write(
        TableId("silver", "customers"),
        "SELECT * FROM (VALUES (100, true, true), (101, false, true), (102, NULL, true), (103, true, false)) "
        "t(customer_no, has_marketing_consent, is_active)",
    )
    for customer, reason in (
        (100, []),
        (101, ["no consent"]),
        (102, ["no consent"]),
        (103, ["account closed"]),
        (9, ["unknown customer"]),
    ):
        shop.write(PROMOTION_PLAN.id, f"SELECT {customer}::BIGINT AS customer_no, 1::BIGINT AS promotion_id")
        assert without_consent(shop.lakehouse)["reason"].to_pylist() == reason
