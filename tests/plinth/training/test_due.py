"""When the runs that refresh everything train a model: never trained, other code, a week of trade, drift, and otherwise not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from plinth.features import load_views
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.tables import TableId
from plinth.registry import RegisteredVersion
from plinth.sections import DriftLimits
from plinth.training import work
from plinth.training.code import code_of_target
from plinth.training.due import seen_until, why_due
from plinth.training.propensity import PropensityTarget
from plinth.training.tags import SEEN, UNTIL
from plinth.training.target import Target
from plinth.training.watched import Watch
from plinth.training.work import train
from tests.plinth.registry.conftest import empty_store
from tests.plinth.training.shop import FIRST, SMALL, Shop, shop_in

pytestmark = pytest.mark.slow

__all__ = ["empty_store"]  # a fixture, looked up by its name
LIMITS = DriftLimits(rows=100, customers=20)
NEW_ITEM = """SELECT 1000 + i, 900, 'B' || i, DATE '2023-08-30' + to_hours(i::INTEGER % 20), 9000000 + i, 0, 'NEW' FROM range(400) t(i)"""
LISTS = """SELECT c AS customer_no, r AS rank, 'none' AS item_code FROM range(1000, 1120) t(c), range(1, 21) u(r)"""


@pytest.fixture
def shop(tmp_path: Path, empty_store: Path) -> Shop:
    """A shop of 240 days without a model."""
    made = shop_in(tmp_path)
    shutil.copytree(empty_store, made.registry.store.root)
    made.trade(240)
    return made


def due(shop: Shop, target: Target = SMALL, limits: DriftLimits = LIMITS) -> str:
    return why_due(target, Watch(shop.lakehouse, shop.registry, shop.platform.profile(), 7, limits))


def trained(shop: Shop, target: Target = SMALL, *, days: int = 240, recall: float = 0.5, **more: str) -> None:
    """A champion that has seen the first days."""
    folder = shop.platform.path(f"saved/{target.name}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.bin").write_text(target.name)
    until = f"{FIRST + timedelta(days=days)}T00:00:00"
    given: dict[str, object] = {
        "files": folder, "parameters": {}, "metrics": {target.metric: recall}, "plots": {}, "inputs": {}, "seed": 1,
        "code": code_of_target(target, load_views(shop.platform)), "tags": {SEEN: until, UNTIL: until}, **more,
    }  # fmt: skip
    made = shop.registry.log(target.name, **given)  # type: ignore[arg-type]
    shop.registry.promote(target.name, made.version)


def test_what_was_never_trained_is_due_whatever_else_was(shop: Shop) -> None:
    assert due(shop) == "it was never trained"
    trained(shop)
    assert due(shop) == ""
    assert due(shop, PropensityTarget()) == "it was never trained"


def test_a_week_of_trade_makes_due_and_less_does_not(shop: Shop) -> None:
    trained(shop)
    shop.trade(246)
    assert due(shop) == ""
    shop.trade(247)
    assert due(shop) == "7 days of trade since version 1 was trained, at most 7 are to pass"
    assert seen_until(shop.lakehouse, shop.platform.profile()) == f"{FIRST + timedelta(days=247)}T00:00:00"


def test_other_code_makes_due(shop: Shop) -> None:
    trained(shop, code="older")
    assert due(shop) == "its code or the declaration of its features changed"


def test_drift_makes_due_before_the_week_is_over(shop: Shop) -> None:
    trained(shop)
    shop.trade(241)
    assert due(shop) == ""
    shop.trade(241, extra=NEW_ITEM)
    assert due(shop).startswith("data drift: ") and "new items" in due(shop)


def test_lists_that_miss_make_the_recommender_due_and_no_other_model(shop: Shop) -> None:
    # Trained on the newest day, by which the week is not over; its lists are a month old.
    trained(shop)
    trained(shop, PropensityTarget())
    made = shop.write(TableId("serving", "recommendations"), LISTS)
    state = replace(made.state, watermark=f"{FIRST + timedelta(days=212)}T00:00:00")
    commit(shop.lakehouse, made.id, Write(made, made.columns, state))
    shop.trade(241)
    assert due(shop).startswith("quality drift: ")
    assert due(shop, PropensityTarget()) == ""


def champion(shop: Shop) -> RegisteredVersion:
    found = shop.registry.champion(SMALL.name)
    assert found is not None
    return found


def test_a_round_that_is_not_due_leaves_the_model_as_it_is(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(shop)
    shop.trade(243)
    said: list[str] = []
    outcome = train(
        SMALL, shop.lakehouse, shop.registry, profile=shop.platform.profile(), only_if_due=True, tell=said.append
    )
    assert (outcome.trained, outcome.registered, outcome.version) == (False, False, champion(shop))
    assert outcome.reason == "not due: less than 7 days of trade, and no drift"
    assert said == ["recommender: not due"]


@pytest.mark.slow
def test_a_round_that_is_due_says_why_and_the_next_week_begins_with_it(tmp_path: Path) -> None:
    shop = shop_in(tmp_path)

    def refresh(days: int, target: Target = SMALL) -> work.Outcome:
        shop.trade(days)
        return train(target, shop.lakehouse, shop.registry, profile=shop.platform.profile(), only_if_due=True)

    first = refresh(240)
    assert first.trained and first.version is not None
    assert first.version.tags["plinth.reason"] == "it was never trained"
    assert not refresh(243).trained
    second = refresh(247)
    assert second.trained and second.version is not None
    assert "7 days of trade" in second.version.tags["plinth.reason"]
    assert not refresh(250).trained


@pytest.mark.slow
def test_a_training_that_gives_the_same_model_again_is_not_due_the_next_night(tmp_path: Path) -> None:
    shop = shop_in(tmp_path)
    shop.trade(240)
    first = train(SMALL, shop.lakehouse, shop.registry, profile=shop.platform.profile())
    assert first.version is not None
    # As a release leaves it whose code differs in nothing that the model shows.
    shop.registry.note(first.version, {"plinth.code": "older", "plinth.origin": "older", SEEN: "2023-01-02T00:00:00"})
    assert due(shop) == "its code or the declaration of its features changed"
    again = train(SMALL, shop.lakehouse, shop.registry, profile=shop.platform.profile(), only_if_due=True)
    assert (again.trained, again.registered) == (True, False)
    assert due(shop) == ""
