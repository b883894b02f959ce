"""Feature values of many pairs of a customer and an item, as a ranker of somebody else's asks for them: from documents to one body.

What belongs here: which documents a question needs, and the body. What does not: where documents come from (`api.worker`), and HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OF_CUSTOMERS, OF_ITEMS, OF_PAIRS = "features", "item_features", "customer_items"
Pair = tuple[str, str]


@dataclass(frozen=True)
class Held:
    """The documents that a question needs, by key, all of one version."""

    customers: Mapping[str, bytes]
    items: Mapping[str, bytes]
    pairs: Mapping[str, bytes]


def needed(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """The keys of the documents by kind, each once."""
    customers = list(dict.fromkeys(customer for customer, _ in pairs))
    return {OF_CUSTOMERS: customers, OF_ITEMS: list(dict.fromkeys(item for _, item in pairs)), OF_PAIRS: customers}


def body_of_pairs(pairs: Sequence[Pair], held: Held, *, version: int, stale: bool) -> bytes:
    """The body: the values of each customer and item once, and those of the pairs in the order of the question."""
    customers, items, bought = (_read(each) for each in (held.customers, held.items, held.pairs))
    said = {
        "version": version,
        "stale": stale,
        "as_of": next((each["as_of"] for each in _all(customers, items, bought)), None),
        "customers": {customer: _features(customers.get(customer)) for customer, _ in pairs},
        "items": {item: _features(items.get(item)) for _, item in pairs},
        "pairs": list(_of_pairs(pairs, bought)),
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def _read(bodies: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    return {key: json.loads(body) for key, body in bodies.items()}


def _all(*documents: Mapping[str, dict[str, Any]]) -> Iterable[dict[str, Any]]:
    return (each for every in documents for each in every.values())


def _features(document: Mapping[str, Any] | None) -> Any:
    return None if document is None else document["features"]


def _of_pairs(pairs: Sequence[Pair], bought: Mapping[str, dict[str, Any]]) -> Iterable[dict[str, Any]]:
    # Of a customer the rows are looked through once, however many of his pairs are asked for.
    rows = {
        customer: {view: {row["item"]: row["values"] for row in of or ()} for view, of in document["features"].items()}
        for customer, document in bought.items()
    }
    for customer, item in pairs:
        values = {view: of.get(item) for view, of in rows.get(customer, {}).items()}
        yield {"customer": customer, "item": item, "features": values}
