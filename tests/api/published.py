"""A small published version: three customers, four items, two tables, and an item model by which an event changes a list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from plinth.online import Document, OnlineStore, OnlineVersion
from plinth.recommend.session import ItemModel

ITEMS = ("10001", "10002", "10003", "10004", "10005", "10006")
CUSTOMERS = ("1", "2", "3")


def item_model() -> ItemModel:
    """Each item goes with the next one, and a little with the one after that."""
    count = len(ITEMS)
    columns = np.array([[(row + 1) % count, (row + 2) % count] for row in range(count)], dtype=np.int32)
    return ItemModel(
        items=np.array(ITEMS),
        pointer=np.arange(0, 2 * count + 1, 2, dtype=np.int64),
        columns=columns.ravel(),
        weights=np.tile(np.array([1.0, 0.25], dtype=np.float32), count),
        popularity=np.linspace(1, 0.1, count).astype(np.float32),
    )


def documents(mark: str = "first") -> Iterator[Document]:
    """Every document of a version; `mark` stands in each, so that two versions can be told apart."""
    for customer in CUSTOMERS:
        rows = [row(item, 0.9 - place / 10, f"bought before ({mark})") for place, item in enumerate(ITEMS[:3])]
        yield document("recommendations", customer, {"customer": customer, "items": rows})
        yield document("promotions", customer, {"customer": customer, "offers": [{"promotion": "P-1", "name": mark}]})
        values = {"customer_rfm": {"orders": 3, "last": None}}
        yield document("features", customer, {"customer": customer, "as_of": "2026-07-27", "features": values})
        pairs = [{"item": item, "values": {"orders": 2, "last": None}} for item in ITEMS[:2]]
        stands = {"customer_item": pairs, "other": None}
        yield document("customer_items", customer, {"customer": customer, "as_of": "2026-07-27", "features": stands})
    for place, item in enumerate(ITEMS):
        yield document("item", item, {"item": item, "description": f"ITEM {item}", "price": 2.5})
        values = {"item": {"orders_30d": place, "price": None}}
        yield document("item_features", item, {"item": item, "as_of": "2026-07-27", "features": values})
        others = [row(other, 0.5, mark) for other in ITEMS[place + 1 :]]
        yield document("similar", item, {"item": item, "items": others})
    for country in ("", "France"):
        # As a run publishes them: without a reason, and some without a description.
        rows = [{"item": item, "score": 1.0, "description": None} for item in ITEMS[::-1]]
        yield document("popular", country, {"country": country or None, "items": rows})
    for name in ("customer_360", "interactions", "item_catalog"):
        table = {"table": f"gold/{name}", "layer": "gold", "name": name, "owner": "team:commerce", "description": mark}
        yield document("table", f"gold/{name}", {**table, "columns": [{"name": "id", "type": "long"}], "version": 3})
    yield Document("model", "item_model", item_model().to_bytes())
    yield document("model", "about", {"model": "recommender", "version": 1})


def row(item: str, score: float, reason: str) -> dict[str, Any]:
    return {"item": item, "score": round(score, 3), "reason": reason, "description": f"ITEM {item}"}


def document(kind: str, key: str, body: dict[str, Any]) -> Document:
    return Document(kind, key, json.dumps(body, separators=(", ", ": ")).encode())


def publish(url: str, mark: str = "first") -> OnlineVersion:
    """Publishes a version into a store."""
    with OnlineStore.open(url) as store:
        return store.publish(documents(mark), inputs={"models/recommender": mark}, label=mark)
