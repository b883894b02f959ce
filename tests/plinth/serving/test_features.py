"""The features that are served are the online values: of everyone, as of the newest data, and equal to what is computed offline at that moment."""

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
from plinth.serving.features import features_kind
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
        "SELECT customer_no::INTEGER AS customer_no, value::DECIMAL(18, 4) AS value, sold_at, known_at "
        f"FROM (VALUES {values}) t(customer_no, value, sold_at, known_at)",
        **classified,
    )


def published(shop: Shop) -> dict[str, dict[str, Any]]:
    """Publishes, and gives the customers' documents by key."""
    with shop.store() as store:
        publish(shop.setting, store, keep=3)
        return {key: json.loads(body) for key, body in store.scan("features", None)}


def skew(shop: Shop) -> ServedSkew:
    with shop.store() as store:
        return measure_served_skew(shop.lakehouse, store)


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
    assert (found.at, found.customers, found.values, found.differences) == (NOW, 3, 15, ())
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
    assert (skew(shop).customers, skew(shop).why) == (
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
        each.key: json.loads(each.body)["features"] for each in documents_of(con, features_kind(views, relations, NOW))
    }
    con.close()
    assert found == {
        "100": {"customer": {"orders": 3, "spent": 1.5}, "season": None},
        "101": {"customer": {"orders": 4, "spent": None}, "season": {"orders": 5, "spent": 2.5}},
        "102": {"customer": None, "season": {"orders": 6, "spent": None}},
    }
