"""When a training is asked for, on a real instance: what drifted, what did not, and never twice for the same."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.models import model_assets, model_key
from plinth.engine import connect
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.tables import TableId
from plinth.sections import DriftLimits
from plinth.serving.judged import lists_to_judge
from plinth.training.contents import contents_of
from plinth.training.drift import Moved, hits_since
from plinth.training.tags import CONTENTS, UNTIL
from plinth.training.targets import TARGETS
from resources import platform_resources
from sensors import retraining
from sensors.retraining import retraining_schedule, retraining_sensors
from tests.plinth.registry.conftest import empty_store, register
from tests.plinth.training.shop import FIRST, SMALL, Shop, shop_in

pytestmark = pytest.mark.slow

__all__ = ["empty_store"]  # a fixture, looked up by its name
LIMITS = DriftLimits(rows=100, customers=20)


class World:
    """A shop with a trained recommender, an instance, and the sensors' cursors."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, store: Path) -> None:
        self.shop, self.instance, self.store = shop_in(folder), instance, store
        self.cursors: dict[str, str | None] = {}

    def trained(self, days: int, recall: float = 0.5) -> None:
        """The tables hold the first days, and a champion has seen them."""
        self.shop.trade(days)
        if not self.shop.registry.store.exists:
            shutil.copytree(self.store, self.shop.registry.store.root)
        folder = self.shop.platform.path(f"saved/{days}")
        folder.mkdir(parents=True)
        (folder / "model.bin").write_text(str(days))
        versions = {str(table): self.shop.lakehouse.open(table) for table in SMALL.inputs}
        tags = {UNTIL: _day(days), CONTENTS: json.dumps(contents_of(versions))}
        made = register(self.shop.registry, folder, metrics={SMALL.metric: recall}, tags=tags)
        self.shop.registry.promote("recommender", made.version)

    def published(self, sql: str, days: int = 240, model: str = "1 x") -> None:
        """The lists that are served, made by a model with the purchases of the first days."""
        table = TableId("serving", "recommendations")
        made = self.shop.write(table, sql)
        state = replace(made.state, watermark=_day(days), inputs={"models/recommender": model})
        commit(self.shop.lakehouse, table, Write(made, made.columns, state))

    def tick(self, name: str, limits: DriftLimits = LIMITS) -> dg.SensorResult:
        """One evaluation of a sensor."""
        sensor = next(each for each in retraining_sensors(self.shop.platform, limits) if each.name == name)
        resources = platform_resources(self.shop.platform)
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(name), resources=resources, sensor_name=name
        ) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursors[name] = result.cursor
        return result

    def asked(self, name: str) -> list[str]:
        """The reasons of the runs that a tick asks for."""
        return [request.tags["plinth/reason"] for request in self.tick(name).run_requests or []]

    def skipped(self, name: str) -> str:
        """Why a tick asks for nothing."""
        result = self.tick(name)
        assert not result.run_requests
        return str(
            result.skip_reason.skip_message if isinstance(result.skip_reason, dg.SkipReason) else result.skip_reason
        )


@pytest.fixture
def world(tmp_path: Path, instance: dg.DagsterInstance, empty_store: Path) -> World:
    return World(tmp_path, instance, empty_store)


NEW_ITEM = """SELECT 1000 + i, 900, 'B' || i, DATE '2023-08-30' + to_hours(i::INTEGER % 20), 9000000 + i, 0, 'NEW' FROM range(400) t(i)"""
ONE_ITEM = NEW_ITEM.replace("1000 + i", "1000 + i % 100").replace("'NEW'", "'I059'")
NEW_PEOPLE = NEW_ITEM.replace("1000 + i", "5000 + i").replace("'NEW'", "'I0' || lpad((i % 60)::VARCHAR, 2, '0')")


def test_nothing_is_asked_before_the_first_training(world: World) -> None:
    assert "nothing was trained yet" in world.skipped("data_drift")
    assert "nothing was published yet" in world.skipped("quality_drift")
    assert world.asked("champion_changes") == []
    assert not world.shop.platform.path("data").exists(), "a look makes no registry"


def test_what_was_trained_on_is_not_looked_at(world: World) -> None:
    world.trained(240)
    assert "was trained on what gold/interactions holds" in world.skipped("data_drift")


@pytest.mark.parametrize(("rows", "limit"), [(NEW_ITEM, "new items"), (ONE_ITEM, "psi"), (NEW_PEOPLE, "new customers")])
def test_each_kind_of_drift_asks_once_with_its_reason(world: World, rows: str, limit: str) -> None:
    world.trained(240)
    world.shop.trade(240, extra=rows)
    (reason,) = world.asked("data_drift")
    assert reason.startswith("data drift: ") and limit in reason
    assert "recommender: nothing new since the last look" in world.skipped("data_drift")


def test_more_of_the_same_is_growth_and_not_drift(world: World) -> None:
    world.trained(240)
    world.shop.trade(261)
    assert "recommender: no limit is passed" in world.skipped("data_drift")
    assert "recommender: nothing new since the last look" in world.skipped("data_drift")
    world.shop.trade(285)
    (reason,) = world.asked("data_drift")
    assert "growth" in reason and "psi" not in reason and "new items" not in reason


def test_a_second_drift_waits_for_the_first_request_to_be_answered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.trained(240)
    world.shop.trade(240, extra=NEW_ITEM)
    assert len(world.asked("data_drift")) == 1
    world.shop.trade(285)
    assert "within the last day" in world.skipped("data_drift")
    monkeypatch.setattr(retraining, "ASK_AGAIN", -1.0)
    assert len(world.asked("data_drift")) == 1


def _day(days: int) -> str:
    return f"{FIRST.fromordinal(FIRST.toordinal() + days)}T00:00:00"


LISTS = """SELECT c AS customer_no, r AS rank, 'I' || lpad(((c % 2) * 30 + (r - 1) + {shift})::VARCHAR, 3, '0') AS item_code
FROM range(1000, 1120) t(c), range(1, 21) u(r)"""


def test_lists_that_still_hit_ask_for_nothing(world: World) -> None:
    world.trained(240)
    world.published(LISTS.format(shift=0))
    world.shop.trade(268)
    assert "recommender: no limit is passed" in world.skipped("quality_drift")


def test_lists_that_miss_ask_once_with_both_figures(world: World) -> None:
    world.trained(240)
    world.published(LISTS.format(shift=300))
    world.shop.trade(268)
    (reason,) = world.asked("quality_drift")
    assert "quality drift: the published lists hit 0.000" in reason and "0.7 x 0.500" in reason
    assert "recommender: nothing new since the last look" in world.skipped("quality_drift")


def test_a_loss_that_a_training_did_not_mend_asks_again_after_a_week_of_trade_and_not_every_night(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retraining, "ASK_AGAIN", -1.0)
    world.trained(240)
    world.published(LISTS.format(shift=300))
    world.shop.trade(268)
    assert len(world.asked("quality_drift")) == 1
    folder = world.shop.platform.path("saved/lost")
    folder.mkdir(parents=True)
    (folder / "model.bin").write_text("lost")
    register(world.shop.registry, folder, metrics={SMALL.metric: 0.4}, tags={UNTIL: _day(268)})
    for days in (268, 269, 274):
        world.shop.trade(days)
        words = world.skipped("quality_drift")
        assert "quality drift: the published lists hit 0.000" in words, "it is told all the same"
        assert f"Version 2 was trained on what was there on {_day(268)[:10]} and did not become champion" in words
    world.shop.trade(275)
    assert len(world.asked("quality_drift")) == 1


def test_what_is_bought_in_more_days_than_at_training_is_no_drift(world: World) -> None:
    """Half of a list is bought in any four weeks, and ever more of the items beside it in any longer time."""
    world.trained(240, recall=0.5)
    world.published(LISTS.format(shift=0))
    found = {}
    for days in (28, 84, 168):
        world.shop.trade(240 + days)
        lists = world.shop.lakehouse.open(TableId("serving", "recommendations"))
        interactions = world.shop.lakehouse.open(TableId("gold", "interactions"))
        con = connect(world.shop.platform.profile(), extensions=("delta",))
        until = datetime.fromordinal(FIRST.toordinal() + 240)
        found[days] = hits_since(con, lists, interactions, until, 20, 28)
        longer = hits_since(con, lists, interactions, until, 20, days)
        con.close()
        assert longer.recall <= found[days].recall + 0.02
    assert found[168].recall == pytest.approx(found[28].recall, abs=0.05)
    assert found[168].customers == pytest.approx(found[28].customers, rel=0.2), (
        "of one window, however many have passed"
    )


def test_lists_are_judged_from_their_own_moment_on_not_from_their_model_s(world: World) -> None:
    world.trained(240)
    # Bought before they were made, though after the model was: that they do not have it is no fault of theirs.
    world.published(LISTS.format(shift=300), days=268)
    world.shop.trade(268)
    assert "recommender: no limit is passed" in world.skipped("quality_drift")
    world.shop.trade(296)
    assert len(world.asked("quality_drift")) == 1


def test_lists_that_are_made_anew_every_night_are_judged_by_the_oldest_that_is_kept(world: World) -> None:
    world.trained(240)
    world.published(LISTS.format(shift=300), model="0 y")
    for days in (241, 250, 268):
        # Those of the first night miss everything; nobody can tell yet of last night's.
        world.published(LISTS.format(shift=300 if days == 241 else 0), days=days)
    world.shop.trade(268)
    lists = world.shop.lakehouse.open(TableId("serving", "recommendations"))
    judged = lists_to_judge(world.shop.lakehouse, lists)
    assert judged is not None and judged.until.isoformat() == _day(241), "the first of this model"
    assert len(world.asked("quality_drift")) == 1
    later = lists_to_judge(world.shop.lakehouse, lists, datetime.now(UTC) + timedelta(days=30))
    assert later is not None and later.table.version == lists.version, "older files may be gone by then"


def test_a_handful_of_customers_says_nothing_of_the_lists(world: World) -> None:
    world.trained(240)
    world.published(LISTS.format(shift=300).replace("1120", "1010"))
    world.shop.trade(268)
    assert "recommender: no limit is passed" in world.skipped("quality_drift")


def test_a_request_is_one_that_dagster_takes(world: World) -> None:
    world.trained(240)
    world.shop.trade(240, extra=NEW_ITEM)
    sensor = next(each for each in retraining_sensors(world.shop.platform, LIMITS) if each.name == "data_drift")
    job = dg.Definitions(
        assets=model_assets(world.shop.platform), sensors=[sensor], resources=platform_resources(world.shop.platform)
    )
    with dg.build_sensor_context(
        instance=world.instance,
        repository_def=job.get_repository_def(),
        resources=platform_resources(world.shop.platform),
        sensor_name="data_drift",
    ) as context:
        tick = sensor.evaluate_tick(context)
    (request,) = tick.run_requests or []
    assert request.tags["plinth/asked_by"] == "data_drift"
    assert {*(request.asset_selection or ())} in ({model_key(target.name) for target in TARGETS}, set())
    assert json.loads(tick.cursor or "{}")["asked_at"] > 0


def test_a_champion_that_was_changed_by_hand_is_told_once(world: World) -> None:
    world.trained(200)
    world.trained(240)

    def told() -> None:
        champion = world.shop.registry.champion("recommender")
        assert champion is not None
        event = dg.AssetMaterialization(model_key("recommender"), tags={"dagster/data_version": champion.digest})
        world.instance.report_runless_asset_event(event)

    told()
    assert world.asked("champion_changes") == []
    world.shop.registry.rollback("recommender")
    (request,) = world.tick("champion_changes").run_requests or []
    assert request.asset_selection == [model_key("recommender")]
    assert request.tags["plinth/reason"] == "version 1 of recommender was made champion by hand"
    (same,) = world.tick("champion_changes").run_requests or []
    assert same.run_key == request.run_key, "asked again, it is the same run"
    told()
    assert world.asked("champion_changes") == []


def test_a_registry_that_does_not_answer_skips_the_tick(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    stores = world.shop.platform.stores.model_copy(update={"tracking": "http://127.0.0.1:9"})
    world.shop = Shop(world.shop.platform.model_copy(update={"stores": stores}))
    for name in ("data_drift", "champion_changes"):
        assert "cannot do what was asked" in world.skipped(name)


@pytest.mark.parametrize(
    "text", ["", "x", "[]", '{"asked_at": "never"}', '{"seen": "a-after-1", "asked_at": 5}', "null"]
)
def test_a_cursor_of_another_release_begins_anew(text: str) -> None:
    assert retraining.Cursor.parse(text) == retraining.Cursor()


def test_few_rows_are_never_drift() -> None:
    moved = Moved(rows=99, growth=9.0, new_items=1.0, new_customers=1.0, psi=9.0)
    assert moved.reason(LIMITS) == ""
    assert "psi 9.000 > 0.1" in replace(moved, rows=100).reason(LIMITS)


def test_everything_is_off_until_someone_turns_it_on(tmp_path: Path) -> None:
    schedule = retraining_schedule()
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert schedule.cron_schedule == "0 4 * * 1"
    sensors: list[Any] = list(retraining_sensors(shop_in(tmp_path).platform))
    assert {each.default_status for each in sensors} == {dg.DefaultSensorStatus.STOPPED}
    assert {each.name for each in sensors} == {"data_drift", "quality_drift", "champion_changes"}
