"""The figures are those of their formulas, worked out by hand."""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.recommender_made import made_items
from plinth.recommend import Recommender
from plinth.recommend import evaluate as figures
from plinth.recommend.evaluate import Truth, evaluate, window_of
from plinth.recommend.log import encode
from tests.plinth.recommend.conftest import Trade

# Two customers: the first bought items 1, 3 and 5, the second item 2; lists of four.
TRUTH = Truth(np.array([0, 3, 4]), np.array([1, 3, 5, 2]))
LISTS = np.array([[3, 0, 1, 4], [0, 1, 3, -1]])


def test_hits_are_the_listed_items_of_ones_own_truth() -> None:
    assert TRUTH.hits(LISTS).tolist() == [[True, False, True, False], [False] * 4]


def test_an_empty_place_is_no_hit() -> None:
    assert not Truth(np.array([0, 1]), np.array([0])).hits(np.array([[-1, -1]])).any()


def test_recall_precision_and_hit_rate_are_means_over_customers() -> None:
    hits = TRUTH.hits(LISTS)
    assert figures.recall(hits, TRUTH.sizes) == pytest.approx((2 / 3 + 0) / 2)
    assert figures.precision(hits) == pytest.approx((2 / 4 + 0) / 2)
    assert figures.hit_rate(hits) == pytest.approx(1 / 2)


def test_ndcg_discounts_by_log2_and_its_ideal_has_as_many_hits_as_can_be() -> None:
    hits = TRUTH.hits(LISTS)
    dcg = 1 / math.log2(2) + 1 / math.log2(4)
    ideal = 1 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert figures.ndcg(hits, TRUTH.sizes) == pytest.approx((dcg / ideal + 0) / 2)
    # A truth longer than the list: the ideal stops at the list's end, so that a full list counts 1.
    assert figures.ndcg(np.ones((1, 2), dtype=bool), np.array([9])) == pytest.approx(1.0)


def test_average_precision_is_taken_at_each_hit() -> None:
    hits = TRUTH.hits(LISTS)
    assert figures.mean_average_precision(hits, TRUTH.sizes) == pytest.approx(((1 / 1 + 2 / 3) / 3 + 0) / 2)


def test_coverage_novelty_and_bias_look_at_the_lists_alone() -> None:
    popularity = np.array([0.5, 0.25, 0.0, 0.125, 1.0])
    lists = np.array([[0, 1], [0, -1]])
    assert figures.coverage(lists, 5) == pytest.approx(2 / 5)
    assert figures.novelty(lists, popularity) == pytest.approx((1 + 2 + 1) / 3)
    assert figures.novelty(np.array([[2]]), popularity) == pytest.approx(-math.log2(0.125 / 2))
    assert figures.popularity_bias(lists, popularity, np.array([1, 1])) == pytest.approx((0.5 + 0.25 + 0.5) / 3 / 0.25)


def events(*rows: tuple[int, str, str, int]) -> pa.Table:
    """Events of (customer, basket, item, day of January 2024)."""
    customers, baskets, items, days = zip(*rows, strict=True)
    times = pa.array([datetime(2024, 1, day) for day in days], pa.timestamp("us"))
    return pa.table({"customer": list(customers), "basket": list(baskets), "item": list(items), "time": times})


def test_a_window_asks_about_customers_and_items_of_before_and_ends_before_its_last_day() -> None:
    log = encode(
        events(
            (1, "a", "x", 1),
            (1, "b", "y", 2),
            (2, "c", "z", 3),
            (1, "d", "x", 10),  # bought before: no new item
            (1, "d", "z", 10),  # new for this customer
            (1, "e", "new", 11),  # not sold before the window
            (3, "f", "x", 11),  # no purchase before the window
            (2, "g", "z", 20),  # at the end, which belongs to the next window
        ),
        made_items(0),
    )
    window = window_of(log, datetime(2024, 1, 10), 10)
    labels = log.goods.labels
    assert log.customers[window.customers].tolist() == [1]
    assert labels[window.truth.item].tolist() == ["x", "z"]
    assert log.customers[window.new_customers].tolist() == [1]
    assert labels[window.new_truth.item].tolist() == ["z"]


@pytest.mark.slow
def test_a_trained_recommender_beats_popularity_on_what_came_after(recommender: Recommender, trade: Trade) -> None:
    found = evaluate(recommender, trade.events, trade.at, 28)
    log = encode(trade.events, trade.items)
    window = window_of(log, trade.at, 28)
    popular = np.argsort(-window.popularity, kind="stable")[:20]
    plain = figures.recall(window.truth.hits(np.tile(popular, (len(window.customers), 1))), window.truth.sizes)
    assert found.customers == len(window.customers) > 100
    assert found.recall > 2 * plain
    metrics = found.metrics()
    assert {"recall_at_20", "ndcg_at_20", "hit_rate_at_20", "new_recall_at_20", "coverage", "novelty"} <= set(metrics)
    assert all(isinstance(value, float) and math.isfinite(value) for value in metrics.values())
