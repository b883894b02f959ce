"""What is put into the basket next: the first half of each invoice of the window is shown, the rest is asked for.

What belongs here: the invoices, the figure, and the time from an event to the changed list. What does not: the item model
(`plinth.recommend.session`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plinth.recommend.session import ItemModel, SessionState, blend

_LEAST = 3


@dataclass(frozen=True)
class Invoice:
    """An invoice of at least three items: its customer, what is shown, and what is asked for."""

    customer: int
    shown: tuple[str, ...]
    asked: frozenset[str]


def invoices_of(events: pa.Table, at: datetime, days: int) -> list[Invoice]:
    """The invoices of a window in the order of their lines; items that were not sold before it are left out."""
    time = events.column("time")
    start, end = (pa.scalar(each, pa.timestamp("us")) for each in (at, at + timedelta(days=days)))
    known = set(pc.unique(events.filter(pc.less(time, start)).column("item")).to_pylist())
    inside = events.filter(pc.and_(pc.greater_equal(time, start), pc.less(time, end)))
    order = [("basket", "ascending"), ("line" if "line" in events.column_names else "item", "ascending")]
    baskets: dict[tuple[str, int], list[str]] = {}
    for row in inside.sort_by(order).select(["basket", "customer", "item"]).to_pylist():
        if row["item"] in known:
            baskets.setdefault((row["basket"], row["customer"]), []).append(row["item"])
    return [
        Invoice(customer, tuple(items[: len(items) // 2]), frozenset(items[len(items) // 2 :]))
        for (_, customer), items in baskets.items()
        if len(items) >= _LEAST
    ]


def session_recall(
    model: ItemModel, invoices: Sequence[Invoice], stored: Mapping[int, Sequence[tuple[str, float]]] | None, k: int
) -> float:
    """Mean over invoices of the share of what was asked for that stands in the list of k.

    Args:
        stored: the customers' lists as published before the window, which the session is blended with; none for the session alone.
    """
    found = []
    for invoice in invoices:
        state = SessionState(model)
        for item in invoice.shown:
            state.add(item)
        listed = state.top(k) if stored is None else blend(stored.get(invoice.customer, ()), state, k)
        found.append(len(invoice.asked & {item for item, _ in listed}) / len(invoice.asked))
    return float(np.mean(found))


def event_times(
    model: ItemModel, invoices: Sequence[Invoice], stored: Mapping[int, Sequence[tuple[str, float]]], k: int
) -> np.ndarray:
    """Milliseconds from each event to the changed list: the event is added and the stored list blended with the session."""
    times = []
    for invoice in invoices:
        state = SessionState(model)
        base = stored.get(invoice.customer, ())
        for item in invoice.shown:
            started = time.perf_counter_ns()
            state.add(item)
            blend(base, state, k)
            times.append((time.perf_counter_ns() - started) / 1e6)
    return np.array(times)
