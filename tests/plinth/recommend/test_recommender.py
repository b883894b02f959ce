"""What a recommender answers: known customers, strangers, new items, reasons, and nothing that came later."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from plinth.recommend import Recommender, train_recommender
from plinth.recommend.errors import EventsUnusable
from plinth.recommend.session import ItemModel, SessionState
from tests.plinth.recommend.conftest import QUICK, Trade


def of(table: pa.Table, customer: int) -> list[dict[str, object]]:
    return table.filter(pc.equal(table.column("customer"), customer)).to_pylist()


def test_each_customer_gets_k_different_items_best_first(recommender: Recommender) -> None:
    customers = [10_005, 10_001, 10_250]
    table = recommender.recommend(customers, 10)
    assert table.schema.names == ["customer", "rank", "item", "score", "reason"]
    assert [row["customer"] for row in table.to_pylist()[::10]] == customers
    for customer in customers:
        rows = of(table, customer)
        assert [row["rank"] for row in rows] == list(range(1, 11))
        assert len({row["item"] for row in rows}) == 10
        assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)  # type: ignore[type-var]


def test_a_list_does_not_depend_on_who_else_is_asked_for(recommender: Recommender) -> None:
    alone = recommender.recommend([10_007], 10).to_pylist()
    assert of(recommender.recommend(list(range(10_000, 10_300)), 10), 10_007) == alone


def test_the_reasons_are_true(recommender: Recommender, trade: Trade) -> None:
    past = trade.events.filter(pc.less(trade.events.column("time"), pa.scalar(trade.at, pa.timestamp("us"))))
    bought: dict[tuple[int, str], set[str]] = {}
    for row in past.select(["customer", "item", "basket"]).to_pylist():
        bought.setdefault((row["customer"], row["item"]), set()).add(row["basket"])
    described = dict(zip(trade.items["description"].to_pylist(), trade.items["item"].to_pylist(), strict=True))
    kinds = set()
    for row in recommender.recommend(list(range(10_000, 10_060)), 20).to_pylist():
        before = bought.get((row["customer"], row["item"]), set())
        again = re.fullmatch(r"bought before (once|(\d+) times), last (today|1 day ago|\d+ days ago)", row["reason"])
        goes = re.fullmatch(r"goes with (.+)", row["reason"])
        assert bool(again) == bool(before), row
        if again:
            assert int(again[2] or 1) == len(before)
        elif goes:
            assert (row["customer"], described[goes[1]]) in bought
        else:
            assert row["reason"].startswith("popular")
        kinds.add("again" if again else "goes" if goes else "popular")
    assert {"again", "goes"} <= kinds


def test_new_only_leaves_out_what_was_bought_before(recommender: Recommender) -> None:
    rows = recommender.recommend(list(range(10_000, 10_050)), 20, new_only=True).to_pylist()
    assert len(rows) == 50 * 20
    assert not [row for row in rows if row["reason"].startswith("bought before")]


def test_a_stranger_gets_what_is_popular_where_he_lives(recommender: Recommender) -> None:
    rows = recommender.recommend([99, 10_001, 98], 5, countries={99: "France", 98: "Atlantis"})
    popular = recommender.popular(5).to_pylist()
    for customer, country in ((99, "France"), (98, None)):
        found = of(rows, customer)
        assert [row["item"] for row in found] == [row["item"] for row in popular if row["country"] == country]
        assert {row["reason"] for row in found} == {f"popular in {country}" if country else "popular"}


def test_a_strangers_session_decides_over_popularity(recommender: Recommender, trade: Trade) -> None:
    described = dict(zip(trade.items["item"].to_pylist(), trade.items["description"].to_pylist(), strict=True))
    seen = ["10003", "10011"]
    assert {described[item].split()[0] for item in seen} == {"PARTY"}
    found = [item for item, _ in recommender.for_session(seen, 10)]
    assert not set(found) & set(seen)
    # One item of eight is of the theme: by chance it would be one or two.
    assert sum(described[item].startswith("PARTY") for item in found) >= 6
    assert recommender.for_session([], 3, country="France") == recommender.for_session(
        ["unheard of"], 3, country="France"
    )


@pytest.mark.slow
def test_a_new_item_enters_by_its_description(trade: Trade) -> None:
    new = pa.table(
        {"item": ["90001", "90002"], "description": ["KITCHEN WHISK", "ZZZ"], "price": [3.0, 3.0]},
        trade.items.schema,
    )
    both = train_recommender(
        trade.events, pa.concat_tables([trade.items, new]), at=trade.at, threads=1, seed=1, settings=QUICK
    )
    described = dict(zip(trade.items["item"].to_pylist(), trade.items["description"].to_pylist(), strict=True))
    similar = both.similar(5).to_pylist()
    assert {described[row["similar_item"]].split()[0] for row in similar if row["item"] == "90001"} == {"KITCHEN"}
    assert not [row for row in similar if row["item"] == "90002"], "a text that says nothing has no neighbours"
    listed = both.recommend(list(range(10_000, 10_300)), 60)
    takers = set(listed.filter(pc.equal(listed.column("item"), "90001"))["customer"].to_pylist())
    kitchen = {item for item, text in described.items() if text.startswith("KITCHEN")}
    counts: dict[int, int] = {}
    for row in trade.events.select(["customer", "item"]).to_pylist():
        counts[row["customer"]] = counts.get(row["customer"], 0) + (row["item"] in kitchen)
    assert takers, "nobody is offered the new item"
    everyone = sum(counts.values()) / len(counts)
    assert sum(counts[customer] for customer in takers) / len(takers) > 2 * everyone
    assert both.item_model.codes["90001"] >= 0
    assert {described.get(item, "")[:7] for item, _ in both.for_session(["90001"], 5)} == {"KITCHEN"}


@pytest.mark.slow
def test_what_comes_later_changes_nothing(recommender: Recommender, trade: Trade) -> None:
    past = trade.events.filter(pc.less(trade.events.column("time"), pa.scalar(trade.at, pa.timestamp("us"))))
    again = train_recommender(past, trade.items, at=trade.at, threads=1, seed=1, settings=QUICK)
    customers = list(range(10_000, 10_300))
    assert again.recommend(customers, 10).equals(recommender.recommend(customers, 10))


def test_an_item_that_is_not_for_sale_is_never_recommended(recommender: Recommender) -> None:
    top = recommender.recommend([10_001], 1)["item"][0].as_py()
    hidden = recommender.sellable.copy()
    hidden[recommender.log.goods.codes([top])] = False
    closed = replace(recommender, sellable=hidden)
    assert top not in closed.recommend([10_001, 99], 240)["item"].to_pylist()
    assert top not in closed.popular(240)["item"].to_pylist()
    assert top not in closed.similar(100)["similar_item"].to_pylist()
    leading = next(
        item
        for item in recommender.log.goods.labels
        if item != top and top in {each for each, score in recommender.for_session([item], 50) if score > 0}
    )
    assert top not in {item for item, _ in closed.for_session([leading], 240)}, "nor to who looks at what goes with it"
    state = SessionState(ItemModel.from_bytes(closed.item_model.to_bytes()))
    assert state.add(top) and state.top(1)[0][1] > 0, "what somebody looks at tells something, for sale or not"


def test_customers_may_be_texts(trade: Trade) -> None:
    texts = trade.events.set_column(0, "customer", trade.events.column("customer").cast(pa.string()))
    quick = replace(QUICK, trees=5, cutoffs=1)
    trained = train_recommender(texts, trade.items, at=trade.at, threads=1, seed=1, settings=quick)
    assert trained.recommend(["10001", "who"], 3)["customer"].to_pylist() == ["10001"] * 3 + ["who"] * 3


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda events: events.drop_columns(["basket"]), "basket"),
        (lambda events: events.drop_columns(["time"]), "time"),
        (lambda events: events.slice(0, 0), "no events"),
        (lambda events: events.slice(0, 3), "too little"),
        (
            lambda events: events.set_column(2, "item", pa.array([None] * events.num_rows, pa.string())),
            "lacks a value",
        ),
    ],
)
def test_events_that_cannot_be_learnt_from_are_refused_with_the_reason(trade: Trade, broken: object, said: str) -> None:
    with pytest.raises(EventsUnusable, match=said):
        train_recommender(broken(trade.events), trade.items, at=trade.at, threads=1, seed=1, settings=QUICK)  # type: ignore[operator]


def test_scores_are_probabilities_in_form(recommender: Recommender) -> None:
    scores = recommender.recommend(list(range(10_000, 10_100)), 20)["score"].to_numpy()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert np.unique(scores).size > 100
