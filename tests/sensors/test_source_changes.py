"""The sensor of a source: asks only for what changed, bounded, and never stumbles over a source that is away."""

from __future__ import annotations

import json
from collections.abc import Iterable

import dagster as dg
import pytest

from plinth.look import Look
from resources import platform_resources
from sensors.source_changes import ASK_AGAIN, Cursor
from tests.frame.shop import Shop


class Ticks:
    """Ticks of the shop's sensor, one after the other, as the daemon would run them."""

    def __init__(self, shop: Shop, instance: dg.DagsterInstance, cursor: str | None = None) -> None:
        self.shop = shop
        self.instance = instance
        self.cursor = cursor
        self.keys: list[str] = []

    def tick(self) -> tuple[set[str], str]:
        """One tick: the tables asked for, and why none was."""
        sensor = self.shop.definitions().get_repository_def().get_sensor_def("shop_changes")
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources=platform_resources(self.shop.platform)
        )
        with context:
            result = sensor.evaluate_tick(context)
        self.cursor = result.cursor
        requests = result.run_requests or []
        self.keys += [request.run_key for request in requests if request.run_key]
        return {
            key.path[-1] for request in requests for key in request.asset_selection or ()
        }, result.skip_message or ""

    def tables(self, ticks: int) -> set[str]:
        """What several ticks ask for together."""
        return {table for _ in range(ticks) for table in self.tick()[0]}


@pytest.fixture
def ticks(shop: Shop, instance: dg.DagsterInstance) -> Ticks:
    return Ticks(shop, instance)


def test_a_tick_asks_for_two_tables_at_most_and_the_next_tick_goes_on_with_the_others(ticks: Ticks) -> None:
    first, _ = ticks.tick()
    second, _ = ticks.tick()
    assert first == {"client", "orders"}
    assert second == {"stock_dump"}


def test_nothing_is_asked_for_twice_while_its_load_is_on_its_way(ticks: Ticks) -> None:
    ticks.tables(2)
    assert ticks.tables(4) == set()
    assert "asked for already" in ticks.tick()[1]


def test_only_the_table_that_changed_is_asked_for(ticks: Ticks) -> None:
    ticks.shop.load(ticks.instance)
    assert ticks.tables(2) == set()
    ticks.shop.sql("INSERT INTO ORDERS VALUES (13, 1, 2, 'open', '2024-01-06 08:00:00')")
    # Of a table without a cursor, SQLite tells cheaply only that something in the file changed.
    assert ticks.tables(2) == {"orders", "stock_dump"}
    ticks.shop.load(ticks.instance, "orders", "stock_dump")
    assert ticks.tables(2) == set()


@pytest.mark.slow
def test_a_table_that_returns_to_an_earlier_state_is_asked_for_again(ticks: Ticks) -> None:
    shop, change = ticks.shop, "INSERT INTO ORDERS VALUES (13, 1, 2, 'open', '2024-01-06 08:00:00')"
    for statement in (change, "DELETE FROM ORDERS WHERE ORDNO = 13", change):
        shop.load(ticks.instance, "client", "stock_dump")
        shop.load(ticks.instance, "orders", full=True)
        shop.sql(statement)
        assert ticks.tables(2) >= {"orders"}
    assert len(set(ticks.keys)) == len(ticks.keys)


def test_a_load_that_failed_is_asked_for_again_after_an_hour_and_not_before() -> None:
    seen = Look("orders", "the source changed", "token")
    cursor = Cursor().after("orders", [seen], [seen], now=1000.0)
    assert not cursor.wants(seen, now=1000.0 + ASK_AGAIN - 1)
    assert cursor.wants(seen, now=1000.0 + ASK_AGAIN)


def test_a_source_that_is_away_is_a_reason_to_skip_and_not_a_crash(ticks: Ticks) -> None:
    ticks.tick()
    before = ticks.cursor
    away = ticks.shop.database.rename(ticks.shop.folder / "away.sqlite")
    asked, why = ticks.tick()
    assert asked == set()
    assert "shop.sqlite" in why
    assert "what to do" in why
    assert json.loads(ticks.cursor or "") == json.loads(before or "")
    away.rename(ticks.shop.database)
    assert ticks.tick()[0] == {"stock_dump"}


def test_a_table_that_cannot_be_looked_at_does_not_hide_the_others(ticks: Ticks) -> None:
    ticks.shop.sql("DROP TABLE CLIENTS")
    assert ticks.tables(2) == {"orders", "stock_dump"}


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"next": "gone", "asked": {"orders": 1}}', '{"next": "gone"}'])
def test_a_cursor_of_another_release_starts_over(shop: Shop, instance: dg.DagsterInstance, text: str) -> None:
    assert Ticks(shop, instance, text).tables(2) == {"client", "orders", "stock_dump"}


def test_a_request_runs_the_table_and_its_checks(shop: Shop, instance: dg.DagsterInstance) -> None:
    repository = shop.definitions().get_repository_def()
    sensor = repository.get_sensor_def("shop_changes")
    job = repository.get_job(sensor.job_name)
    result = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(["bronze", "client"])])
    assert _assets(result.get_asset_materialization_events()) == {"client"}
    assert {each.asset_key.path[-1] for each in result.get_asset_check_evaluations()} == {"client"}


def test_sensors_and_the_schedule_are_off_until_someone_turns_them_on(shop: Shop) -> None:
    repository = shop.definitions().get_repository_def()
    assert {each.default_status for each in repository.sensor_defs} == {dg.DefaultSensorStatus.STOPPED}
    assert {each.default_status for each in repository.schedule_defs} == {dg.DefaultScheduleStatus.STOPPED}


def _assets(events: Iterable[dg.DagsterEvent]) -> set[str]:
    return {event.asset_key.path[-1] for event in events if event.asset_key}
