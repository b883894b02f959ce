"""The features that are served are the online values: of everyone and everything, as of the newest data, and equal to what is computed offline then."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from plinth.engine import connect
from plinth.errors import ResidencyViolation
from plinth.features import load_views, snapshot
from plinth.lakehouse.tables import TableId
from plinth.online import Document
from plinth.serving.documents import documents_of
from plinth.serving.due import publication_due
from plinth.serving.feature_documents import kind_of
from plinth.serving.features import OF_CUSTOMERS
from plinth.serving.publish import publish
from plinth.serving.skew import ServedSkew, measure_served_skew
from tests.plinth.serving.shop import Shop, make_shop

pytestmark = pytest.mark.slow

SALES = TableId("silver", "sales")
DECLARED = """
since: 2024-01-01
views:
  customer:
    owner: team:test
    description: What a customer bought.
    entity:
      customer_no: {type: integer, description: Customer.}
    sources:
      sales:
        table: silver/sales
        event_time: sold_at
        known_time: known_at
        scope: [customer_no]
        columns: {customer_no: customer_no, value: value}
    features:
      orders: {from: sales, expression: count(*), type: long, description: Sales.}
      spent: {from: sales, expression: sum(value), description: Their value.}
      idle_days: {from: sales, expression: min(age), description: Days since the last.}
      last: {from: sales, expression: max(event_time), type: timestamp_ntz, description: When.}
"""
# Of an item the sales of all others count too; of a pair a document holds two rows, the greatest value first.
OF_ITEMS = """
  item:
    owner: team:test
    description: How an item sells.
    entity:
      item_code: {type: string, description: Item.}
    sources:
      sales:
        table: silver/sales
        event_time: sold_at
        known_time: known_at
        scope: [item_code]
        columns: {item_code: item_code, value: value}
      all_sales:
        table: silver/sales
        event_time: sold_at
        known_time: known_at
        window: 30d
        columns: {item_code: item_code, value: value}
    queries:
      shares: SELECT item_code, value, sum(value) OVER () AS whole FROM all_sales
    features:
      orders: {from: sales, expression: count(*), type: long, description: Sales.}
      share: {from: shares, expression: sum(value) / max(whole), description: Of what all items brought in 30 days.}
"""
OF_PAIRS = """
  pair:
    owner: team:test
    description: How a customer stands to an item.
    online: {most: 2, order: spent}
    entity:
      customer_no: {type: integer, description: Customer.}
      item_code: {type: string, description: Item.}
    sources:
      sales:
        table: silver/sales
        event_time: sold_at
        known_time: known_at
        scope: [customer_no]
        columns: {customer_no: customer_no, item_code: item_code, value: value}
    features:
      orders: {from: sales, expression: count(*), type: long, description: Sales.}
      spent: {from: sales, expression: sum(value), description: Their value.}
      dearest: {from: sales, expression: "nullif(max(value), 1)", description: The highest value but 1.}
"""
# Customer 3 bought first on the Wednesday after the last Monday; the last row was known the day after it happened.
ROWS = [
    (1, "9.5", "2024-05-02 10:00", "2024-05-02 10:05"),
    (1, "0.5", "2024-05-20 10:00", "2024-05-20 10:05"),
    (2, "7.25", "2024-05-28 10:00", "2024-05-28 10:05"),
    (3, "3", "2024-06-05 09:00", "2024-06-05 09:05"),
    (2, "1", "2024-06-04 09:00", "2024-06-05 11:00:00.25"),
]
NOW = datetime(2024, 6, 5, 11, 0, 1)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = make_shop(tmp_path / "shop")
    (made.folder / "feature_views.yaml").write_text(DECLARED)
    sell(made, ROWS)
    return made


def sell(shop: Shop, rows: list[tuple[int, str, str, str]], table: TableId = SALES, **classified: str) -> None:
    """Makes these the sales."""
    values = ", ".join(f"({who}, {value}, TIMESTAMP '{sold}', TIMESTAMP '{known}')" for who, value, sold, known in rows)
    shop.write(
        table,
        # Items as legacy systems name them, one of them not in ASCII.
        "SELECT customer_no::INTEGER AS customer_no, ['A 1/x', 'ÄÖ', 'b'][1 + value::INTEGER % 3] AS item_code, "
        "value::DECIMAL(18, 4) AS value, sold_at, known_at "
        f"FROM (VALUES {values}) t(customer_no, value, sold_at, known_at)",
        **classified,
    )


def published(shop: Shop, kind: str = "features") -> dict[str, dict[str, Any]]:
    """Publishes, and gives the documents of a kind by key."""
    with shop.store() as store:
        publish(shop.setting, store, keep=3)
        return {key: json.loads(body) for key, body in store.scan(kind, None)}


def skew(shop: Shop, view: str = "customer") -> ServedSkew:
    with shop.store() as store:
        return measure_served_skew(shop.lakehouse, store)[view]


def test_everyone_who_is_known_is_served_the_values_as_of_the_newest_data(shop: Shop) -> None:
    documents = published(shop)
    assert {key: document["as_of"] for key, document in documents.items()} == dict.fromkeys("123", NOW.isoformat())
    assert {key: document["features"]["customer"]["orders"] for key, document in documents.items()} == {
        "1": 2,
        "2": 2,
        "3": 1,
    }
    view = load_views(shop.platform).view("customer")
    for row in snapshot(shop.lakehouse, view, NOW).to_pylist():
        served = documents[str(row["customer_no"])]["features"]["customer"]
        assert served == {**{name: row[name] for name in view.features}, "last": str(row["last"])}


def test_a_row_that_is_not_known_yet_or_dated_into_the_future_does_not_count(shop: Shop) -> None:
    sell(shop, [*ROWS, (9, "1", "2204-01-01", "2204-01-01"), (1, "1", "2024-05-01", "2204-01-01")])
    documents = published(shop)
    assert set(documents) == {"1", "2", "3"}
    assert documents["1"]["as_of"] == NOW.isoformat()
    assert documents["1"]["features"]["customer"]["orders"] == 2


def test_what_is_published_follows_from_the_rows_and_the_declaration_alone(shop: Shop) -> None:
    def due() -> str:
        return publication_due(shop.platform, shop.lakehouse, shop.registry)

    published(shop)
    with shop.store() as store:
        again = publish(shop.setting, store, keep=3)
    assert not again.changed and due() == ""
    sell(shop, [*ROWS, (4, "2", "2024-06-06 09:00", "2024-06-06 09:05")])
    assert due() == "silver/sales changed"
    assert set(published(shop)) == {"1", "2", "3", "4"}
    (shop.folder / "feature_views.yaml").write_text(DECLARED.replace("sum(value)", "sum(value) * 2"))
    assert due() == "features/customer changed"
    assert published(shop)["1"]["features"]["customer"]["spent"] == 20


def test_what_is_served_equals_what_is_computed_offline_and_a_difference_is_found(shop: Shop) -> None:
    with shop.store() as store:
        store.set_up()
    assert skew(shop).why == "nothing was published yet"
    published(shop)
    found = skew(shop)
    assert (found.at, found.entities, found.values, found.differences) == (NOW, 3, 15, ())
    with shop.store() as store:
        held = store.scan("features", None)
        current = store.current()
        assert current is not None
        documents = [
            Document("features", key, body.replace(b'"orders":2', b'"orders":3')) for key, body in held if key != "3"
        ]
        store.publish(documents, inputs=current.inputs)
    wrong = {(each.entity["customer_no"], each.feature): (each.offline, each.online) for each in skew(shop).differences}
    assert wrong[(1, "customer.orders")] == (2, 3) and wrong[(2, "customer.orders")] == (2, 3)
    assert wrong[(3, "as_of")] == (NOW.isoformat(), None), "the customer without a document"


def test_documents_of_another_moment_and_of_rows_that_changed_since_are_told_apart(shop: Shop) -> None:
    published(shop)
    sell(shop, [*ROWS, (4, "2", "2024-06-06 09:00", "2024-06-06 09:05")])
    assert skew(shop).differences == (), "the rows that the documents name are compared, not newer ones"
    with shop.store() as store:
        held, current = store.scan("features", None), store.current()
        assert current is not None
        moved = [Document("features", key, body.replace(b"2024-06-05T", b"2024-06-03T")) for key, body in held]
        store.publish(moved, inputs=current.inputs)
    assert {each.feature for each in skew(shop).differences} == {"as_of"}
    (shop.folder / "feature_views.yaml").write_text(DECLARED.replace("sum(value)", "sum(value) * 2"))
    assert (skew(shop).entities, skew(shop).why) == (
        0,
        "the declarations changed since; the next publication follows them",
    )


def test_a_feature_of_a_column_that_may_not_be_in_the_cloud_stops_the_publication(shop: Shop) -> None:
    published(shop)
    (shop.folder / "feature_views.yaml").write_text(DECLARED.replace("silver/sales", "gold/sales"))
    sell(shop, ROWS, table=TableId("gold", "sales"), value="restricted")
    with shop.store() as store, pytest.raises(ResidencyViolation, match="spent"):
        publish(shop.setting, store, keep=3)


def test_features_of_several_views_stand_in_one_document_and_what_is_no_number_is_null(shop: Shop) -> None:
    declared = DECLARED.split("views:")[1]
    (shop.folder / "feature_views.yaml").write_text(f"{DECLARED}{declared.replace('  customer:', '  season:', 1)}")
    views = {
        name: view.model_copy(update={"features": {key: view.features[key] for key in ("orders", "spent")}})
        for name, view in load_views(shop.platform).views.items()
    }
    relations = {
        "customer": "(SELECT * FROM (VALUES (100, 3, 1.5::DOUBLE), (101, 4, 'nan'::DOUBLE)) t(customer_no, orders, spent))",
        "season": "(SELECT * FROM (VALUES (101, 5, 2.5::DOUBLE), (102, 6, 'inf'::DOUBLE)) t(customer_no, orders, spent))",
    }
    con = connect(shop.platform.profile(), scratch=shop.folder / "scratch")
    found = {
        each.key: json.loads(each.body)["features"]
        for each in documents_of(con, kind_of(OF_CUSTOMERS, views, relations, NOW))
    }
    con.close()
    assert found == {
        "100": {"customer": {"orders": 3, "spent": 1.5}, "season": None},
        "101": {"customer": {"orders": 4, "spent": None}, "season": {"orders": 5, "spent": 2.5}},
        "102": {"customer": None, "season": {"orders": 6, "spent": None}},
    }


@pytest.fixture
def whole(shop: Shop) -> Shop:
    """The same with views of items and of pairs beside that of customers."""
    (shop.folder / "feature_views.yaml").write_text(DECLARED + OF_ITEMS + OF_PAIRS)
    sell(shop, [*ROWS, (1, "2", "2024-05-03", "2024-05-03"), (1, "6", "2024-05-04", "2024-05-04")])
    return shop


def test_items_are_served_the_values_of_their_view_as_of_the_moment_of_the_customers(whole: Shop) -> None:
    documents = published(whole, "item_features")
    view = load_views(whole.platform).view("item")
    rows = {row["item_code"]: row for row in snapshot(whole.lakehouse, view, NOW).to_pylist()}
    assert set(rows) == {"A 1/x", "ÄÖ", "b"} == set(documents)
    for key, document in documents.items():
        values = {"item": {name: rows[key][name] for name in view.features}}
        assert document == {"as_of": NOW.isoformat(), "features": values, "item": key}
    assert {document["as_of"] for document in published(whole).values()} == {NOW.isoformat()}


def test_of_pairs_so_many_rows_are_served_as_the_view_says_the_greatest_first(whole: Shop) -> None:
    documents = published(whole, "customer_items")
    view = load_views(whole.platform).view("pair")
    rows = snapshot(whole.lakehouse, view, NOW).to_pylist()
    assert documents.keys() == {"1", "2", "3"} and len([row for row in rows if row["customer_no"] == 1]) == 3
    for key, document in documents.items():
        mine = sorted((row for row in rows if str(row["customer_no"]) == key), key=lambda row: -row["spent"])[:2]
        expected = [{"item": row["item_code"], "values": {name: row[name] for name in view.features}} for row in mine]
        assert document == {"as_of": NOW.isoformat(), "customer": key, "features": {"pair": expected}}


def test_a_pair_without_a_bound_is_served_to_nobody_and_another_bound_is_another_publication(whole: Shop) -> None:
    assert len(published(whole, "customer_items")["1"]["features"]["pair"]) == 2
    (whole.folder / "feature_views.yaml").write_text(DECLARED + OF_ITEMS + OF_PAIRS.replace("most: 2", "most: 1"))
    assert publication_due(whole.platform, whole.lakehouse, whole.registry) == "features/pair changed"
    assert len(published(whole, "customer_items")["1"]["features"]["pair"]) == 1
    unbounded = OF_PAIRS.replace("    online: {most: 2, order: spent}\n", "")
    (whole.folder / "feature_views.yaml").write_text(DECLARED + OF_ITEMS + unbounded)
    assert published(whole, "customer_items") == {}


@pytest.mark.parametrize(
    ("view", "kind", "change", "wrong"),
    [
        ("item", "item_features", (b'"orders":', b'"orders":1'), {"item.orders"}),
        ("pair", "customer_items", (b'"orders":1', b'"orders":7'), {"pair.orders"}),
        ("pair", "customer_items", (b'"item":"A 1/x"', b'"item":"A 1/y"'), {"rows"}),
    ],
)
def test_a_difference_is_found_in_each_view_and_told_apart(
    whole: Shop, view: str, kind: str, change: tuple[bytes, bytes], wrong: set[str]
) -> None:
    published(whole)
    for name, entities in (("customer", 3), ("item", 3), ("pair", 3)):
        found = skew(whole, name)
        assert (found.at, found.entities, found.differences) == (NOW, entities, ()), name
        assert found.values > 8
    with whole.store() as store:
        current = store.current()
        assert current is not None
        held = [
            Document(each, key, body.replace(*change) if each == kind else body)
            for each in ("features", "item_features", "customer_items")
            for key, body in store.scan(each, None)
        ]
        store.publish(held, inputs=current.inputs)
    assert {each.feature for each in skew(whole, view).differences} == wrong
    assert all(skew(whole, name).differences == () for name in {"customer", "item", "pair"} - {view})


def test_a_view_that_was_declared_since_is_not_compared_with_what_does_not_hold_it(shop: Shop) -> None:
    published(shop)
    (shop.folder / "feature_views.yaml").write_text(DECLARED + OF_ITEMS)
    assert skew(shop, "item") == ServedSkew(why="what is served does not hold it yet")
    assert skew(shop).differences == () and skew(shop).entities == 3
