"""What is known at a moment: read within bounds, looked up right, and newer purchases reach the lists of an older ranker."""

from __future__ import annotations

import tracemalloc
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.recommender_made import made_events, made_items
from plinth.recommend import Recommender, moved
from plinth.recommend.errors import EventsUnusable
from plinth.recommend.features import places_of
from plinth.recommend.item_item import descriptions_alike
from plinth.recommend.known import known_at
from plinth.recommend.log import day_of, encode
from tests.plinth.recommend.conftest import Trade


def test_a_recommender_moved_to_its_own_moment_says_what_it_said(recommender: Recommender, trade: Trade) -> None:
    same = moved(recommender, trade.events, trade.items, trade.at, threads=1)
    customers = recommender.log.customers[:50].tolist()
    assert same.recommend(customers, 20).equals(recommender.recommend(customers, 20))
    assert same.similar(5).equals(recommender.similar(5))


def test_a_newer_purchase_is_in_the_lists_of_an_older_ranker(recommender: Recommender, trade: Trade) -> None:
    customer = int(recommender.log.customers[0])
    before = recommender.recommend([customer], 240).to_pylist()
    never = next(row["item"] for row in reversed(before) if not row["reason"].startswith("bought before"))
    row = {"customer": [customer], "basket": ["newest"], "item": [never], "time": [trade.at], "country": ["France"]}
    events = pa.concat_tables([trade.events, pa.table(row, schema=trade.events.schema)])
    later = moved(recommender, events, trade.items, trade.at + timedelta(days=1), threads=1)
    found = {each["item"]: each for each in later.recommend([customer], 240).to_pylist()}
    assert found[never]["reason"].startswith("bought before")
    assert found[never]["rank"] < next(each["rank"] for each in before if each["item"] == never)
    assert later.ranker is recommender.ranker
    stranger = moved(recommender, events, trade.items, trade.at, threads=1).recommend([customer], 240).to_pylist()
    assert stranger == before, "what is bought at the moment itself is not known at it"


def test_a_moment_before_any_event_is_refused(recommender: Recommender, trade: Trade) -> None:
    with pytest.raises(EventsUnusable):
        moved(recommender, trade.events, trade.items, trade.at - timedelta(days=10_000), threads=1)


def test_pairs_are_found_as_a_look_at_every_pair_finds_them(recommender: Recommender) -> None:
    purchases = recommender.snapshot.purchases
    pairs = [
        (customer, int(item))
        for customer in range(purchases.shape[0])
        for item in purchases.item[purchases.pointer[customer] : purchases.pointer[customer + 1]]
    ]
    wanted = {pair: place for place, pair in enumerate(pairs)}
    random = np.random.default_rng(2)
    owner = random.integers(0, purchases.shape[0], 3000)
    item = random.integers(0, purchases.shape[1], 3000)
    expected = [wanted.get((int(a), int(b)), -1) for a, b in zip(owner, item, strict=True)]
    assert {-1} < set(expected)
    assert places_of(purchases, owner, item).tolist() == expected
    assert places_of(purchases, owner[:0], item[:0]).tolist() == []


def test_a_purchase_that_was_booked_late_is_no_part_of_any_moment_before_that() -> None:
    first = datetime(2024, 1, 1)
    days = [first + timedelta(days=number) for number in range(4)]
    events = pa.table(
        {
            "customer": [1, 1, 2, 2],
            "basket": ["a", "b", "c", "d"],
            "item": ["X", "Y", "X", "Z"],
            "time": pa.array(days, pa.timestamp("us")),
            "known": pa.array([days[0], days[3], days[2], days[3]], pa.timestamp("us")),
        }
    )
    items = pa.table({"item": ["X"], "description": ["CUP"], "price": [1.0]})
    log = encode(events, items)
    for number in range(1, 5):
        at = first + timedelta(days=number)
        cut, read = log.before(day_of(at)), known_at(events, items, at).log
        expected = [basket for basket, known in zip("abcd", (0, 3, 2, 3), strict=True) if known < number]
        assert [("abcd")[basket] for basket in cut.basket] == expected
        assert len(read) == len(cut), "a cut of the log and a reading of the table agree"


def test_texts_without_a_word_are_alike_to_nothing() -> None:
    assert descriptions_alike(np.array(["X", "", "?"]), row_items=5).nnz == 0


def test_reading_events_takes_no_more_than_120_bytes_each() -> None:
    events, items = made_events(1000, 500, 300, seed=3), made_items(500)
    encode(events, items)  # what is imported at the first call is none of it
    tracemalloc.start()
    try:
        encode(events, items)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The finished log is 20 bytes an event; texts of countries alone once took 170.
    assert peak / events.num_rows < 120
