"""What is published says what the tables say, as the API sends it, and only what the serving zone is cleared for."""

from __future__ import annotations

import json
import shutil
from functools import partial

import duckdb
import pytest
from pydantic import BaseModel

from api.routes.models import Recommendations, SimilarItems, TableDescription
from plinth.errors import ResidencyViolation
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import TableId
from plinth.online import Document
from plinth.recommend import ItemModel
from plinth.registry import ModelMissing
from plinth.serving.due import publication_due
from plinth.serving.lengths import ANSWER_LENGTH, LIST_KIND, LIST_LENGTH, REST_KIND
from plinth.serving.lists import make_popular_items, make_recommendations, make_similar_items
from plinth.serving.publish import FORM, Published, publish
from plinth.serving.sample import compare
from plinth.serving.tables import RECOMMENDATIONS
from tests.plinth.serving.shop import CUSTOMERS, ITEMS, Shop, people

pytestmark = pytest.mark.slow


def make_all(shop: Shop) -> Published:
    """Makes the tables and publishes them."""
    for make in (make_recommendations, make_similar_items, make_popular_items):
        make(shop.setting)
    with shop.store() as store:
        return publish(shop.setting, store, keep=3)


def test_documents_are_compact_json_with_sorted_keys_as_the_api_sends_them(shop: Shop) -> None:
    published = make_all(shop)
    assert published.version.documents["recommendations"] == CUSTOMERS
    assert published.version.documents["item"] == ITEMS
    with shop.store() as store:
        bodies = [body for kind in published.version.documents for _, body in store.scan(kind, None) if kind != "model"]
        assert all(
            body == json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            for body in bodies
        )
        listed = json.loads(store.read("recommendations", "100") or b"")
        assert listed["customer"] == "100"
        assert len(listed["items"]) == ANSWER_LENGTH
        assert set(listed["items"][0]) == {"item", "score", "reason", "description"}
        assert listed["items"][0]["description"].startswith("ITEM NUMBER")
        assert json.loads(store.read("item", "I003") or b"") == {
            "description": "ITEM NUMBER 3",
            "item": "I003",
            "price": 4.0,
        }
        assert json.loads(store.read("popular", "") or b"")["country"] is None
        assert json.loads(store.read("popular", "France") or b"")["country"] == "France"
        table = json.loads(store.read("table", "gold/item_catalog") or b"")
        assert (table["rows"], table["layer"], table["columns"][0]["name"]) == (ITEMS, "gold", "item_code")
        model = ItemModel.from_bytes(store.read("model", "item_model") or b"")
        assert len(model.items) == ITEMS
        assert json.loads(store.read("model", "about") or b"")["recommender"]["version"] == 1


def test_a_list_is_published_as_what_is_sent_and_the_rows_after_it(shop: Shop) -> None:
    published = make_all(shop)
    rows = f"SELECT rank, item_code FROM {rows_of(shop.lakehouse.open(RECOMMENDATIONS.id))} WHERE customer_no = 100 ORDER BY rank"
    wanted = [item for _, item in duckdb.sql(rows).fetchall()]
    assert ANSWER_LENGTH < len(wanted) <= LIST_LENGTH
    assert published.version.documents[REST_KIND] == published.version.documents[LIST_KIND] == CUSTOMERS
    with shop.store() as store:
        parts = [json.loads(store.read(kind, "100") or b"") for kind in (LIST_KIND, REST_KIND)]
        assert [each["customer"] for each in parts] == ["100", "100"]
        assert [[row["item"] for row in each["items"]] for each in parts] == [
            wanted[:ANSWER_LENGTH],
            wanted[ANSWER_LENGTH:],
        ]
        assert compare(shop.setting, store).passed


def test_every_body_is_what_the_api_promises(shop: Shop) -> None:
    make_all(shop)
    promised: dict[str, type[BaseModel]] = {
        LIST_KIND: Recommendations, REST_KIND: Recommendations, "similar": SimilarItems, "table": TableDescription,
    }  # fmt: skip
    with shop.store() as store:
        for kind, model in promised.items():
            rows = store.scan(kind, None)
            assert rows
            for _, body in rows:
                said = json.loads(body)
                assert set(said) <= set(model.model_fields) or model is TableDescription
                assert model.model_validate(said).model_dump(exclude_unset=True) == said


def test_the_version_names_what_it_was_made_from(shop: Shop) -> None:
    inputs = make_all(shop).version.inputs
    assert inputs["serving/recommendations"] == "0"
    assert inputs["models/recommender"].startswith("1 ")
    assert inputs["gold/item_catalog"] == "0"


def test_what_a_release_publishes_in_another_form_is_due_though_no_table_changed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_all(shop)
    due = partial(publication_due, shop.platform, shop.lakehouse, shop.registry)
    assert due() == ""
    monkeypatch.setattr("plinth.serving.publish._FORM", "3")
    assert due() == f"{FORM} changed"
    assert make_all(shop).version.id > first.version.id
    assert due() == ""


def test_publishing_the_same_again_confirms_the_version_and_a_change_costs_what_changed(shop: Shop) -> None:
    first = make_all(shop)
    again = make_all(shop)
    assert again.version.id == first.version.id
    assert not again.changed
    assert again.version.verified_at > first.version.verified_at
    people(shop, CUSTOMERS + 1)
    third = make_all(shop)
    # One list more, in its two documents, and of the catalogue the two tables that changed.
    assert third.version.changed == 4


def test_a_sample_of_what_is_served_equals_the_tables_and_a_difference_is_found(shop: Shop) -> None:
    make_all(shop)
    with shop.store() as store:
        finding = compare(shop.setting, store, size=20)
        assert finding.passed
        assert finding.compared >= 40
        assert finding.counts["recommendations"] == (CUSTOMERS, CUSTOMERS)
        current = store.current()
        assert current is not None
        wrong = [
            document
            for kind in ("similar", "popular", "recommendations")
            for document in _changed(store.scan(kind, None), kind)
        ]
        store.publish(wrong, inputs=current.inputs)
        found = compare(shop.setting, store, size=1000)
    assert not found.passed
    assert ("recommendations", "100") in found.differing
    assert found.counts["recommendations"] == (CUSTOMERS - 1, CUSTOMERS)


def _changed(rows: list[tuple[str, bytes]], kind: str) -> list[Document]:
    kept = [(key, body) for key, body in rows if (kind, key) != ("recommendations", "101")]
    return [Document(kind, key, body.replace(b"I001", b"I002") if key == "100" else body) for key, body in kept]


def test_a_column_that_may_not_be_in_the_cloud_stops_the_publish_and_readers_see_what_they_saw(shop: Shop) -> None:
    first = make_all(shop)
    shutil.rmtree(shop.lakehouse.uri_of(TableId("gold", "item_catalog")))
    shop.write(
        TableId("gold", "item_catalog"),
        "SELECT 'I001' AS item_code, 'THE BUYER IS MRS. GREEN' AS description, 1.0::DECIMAL(10,2) AS list_price, 1.0::DECIMAL(12,4) AS average_price",
        description="restricted",
    )
    with shop.store() as store, pytest.raises(ResidencyViolation, match="description"):
        publish(shop.setting, store, keep=3)
    with shop.store() as store:
        current = store.current()
        assert current is not None
        assert current.id == first.version.id
        assert b"GREEN" not in (store.read("item", "I001") or b"")


def test_lists_and_session_model_are_of_one_model_also_while_another_became_champion(shop: Shop) -> None:
    make_all(shop)
    shop.train(2)
    with shop.store() as store:
        assert publish(shop.setting, store, keep=3).version.inputs["models/recommender"].startswith("1 ")
    assert make_all(shop).version.inputs["models/recommender"].startswith("2 ")


def test_a_model_that_left_the_registry_is_told_of(shop: Shop) -> None:
    make_all(shop)
    base = shop.lakehouse.open(RECOMMENDATIONS.id)
    assert base.state.inputs["models/recommender"].startswith("1 ")
    shutil.rmtree(shop.folder / "data" / "registry")
    with shop.store() as store, pytest.raises(ModelMissing, match="recommender"):
        publish(shop.setting, store, keep=3)
