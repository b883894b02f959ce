"""Automation downstream of bronze, on a real instance: what asks for work, and what does not."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from assets.automation import downstream_condition

BRONZE, OTHER, SILVER, GOLD = (
    dg.AssetKey(path) for path in (["bronze", "a"], ["bronze", "b"], ["silver", "m"], ["gold", "m"])
)


def definitions(code: str = "1") -> dg.Definitions:
    """Two bronze tables of which one has a blocking check, a silver model over both, and a gold one over that."""

    @dg.asset(key=BRONZE)
    def a() -> None: ...

    @dg.asset(key=OTHER)
    def b() -> None: ...

    @dg.asset_check(asset=BRONZE, blocking=True)
    def whole() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    @dg.asset(key=SILVER, deps=[BRONZE, OTHER], automation_condition=downstream_condition(), code_version=code)
    def silver() -> None: ...

    @dg.asset(key=GOLD, deps=[SILVER], automation_condition=downstream_condition(), code_version="1")
    def gold() -> None: ...

    return dg.Definitions(assets=[a, b, silver, gold], asset_checks=[whole])


class World:
    """An instance, and the evaluations of all conditions one after the other."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: Any = None

    def asked(self, code: str = "1") -> set[str]:
        """What one tick asks for."""
        result = dg.evaluate_automation_conditions(definitions(code), self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        return {key.path[0] for key in (SILVER, GOLD) if result.get_num_requested(key)}

    def made(self, key: dg.AssetKey, content: str) -> None:
        """A load or a run of a model that ended with this content."""
        event = dg.AssetMaterialization(key, tags={"dagster/data_version": content})
        self.instance.report_runless_asset_event(event)

    def checked(self, passed: bool) -> None:
        """The blocking check of the first bronze table was evaluated."""
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=BRONZE, check_name="whole", passed=passed, metadata={})
        )

    def settled(self) -> None:
        """Everything is there and up to date."""
        self.made(BRONZE, "1")
        self.checked(True)
        self.made(OTHER, "1")
        self.asked()
        self.made(SILVER, "1")
        self.made(GOLD, "1")
        assert self.asked() == set()


@pytest.fixture
def world(instance: dg.DagsterInstance) -> World:
    return World(instance)


def test_nothing_is_built_before_every_input_was_loaded_once(world: World) -> None:
    world.made(BRONZE, "1")
    world.checked(True)
    assert world.asked() == set()
    world.made(OTHER, "1")
    assert world.asked() == {"silver", "gold"}


def test_new_content_builds_what_follows_from_it_in_one_run(world: World) -> None:
    world.settled()
    world.made(BRONZE, "2")
    world.checked(True)
    assert world.asked() == {"silver", "gold"}


def test_a_load_that_found_nothing_new_builds_nothing(world: World) -> None:
    world.settled()
    world.made(BRONZE, "1")
    world.checked(True)
    world.made(OTHER, "1")
    assert world.asked() == set()


def test_what_was_built_once_is_not_asked_for_again(world: World) -> None:
    world.settled()
    world.made(BRONZE, "2")
    world.checked(True)
    world.asked()
    world.made(SILVER, "2")
    world.made(GOLD, "2")
    assert world.asked() == set()
    assert world.asked() == set()


def test_a_model_whose_rows_stayed_as_they_were_starts_nothing_after_it(world: World) -> None:
    world.settled()
    world.made(SILVER, "1")
    assert world.asked() == set()


def test_a_failed_blocking_check_holds_back_until_it_passes(world: World) -> None:
    world.settled()
    world.made(BRONZE, "2")
    world.checked(False)
    assert world.asked() == set()
    assert world.asked() == set()
    world.checked(True)
    assert "silver" in world.asked()


def test_changed_code_builds_from_equal_inputs(world: World) -> None:
    world.settled()
    assert "silver" in world.asked(code="2")


def test_an_input_that_is_being_loaded_is_waited_for_and_not_forgotten(world: World) -> None:
    world.settled()
    world.made(BRONZE, "2")
    world.checked(True)
    job = dg.Definitions.merge(definitions(), dg.Definitions(jobs=[dg.define_asset_job("load", [OTHER])]))
    run = world.instance.create_run_for_job(
        job.get_job_def("load"), asset_selection=frozenset({OTHER}), status=dg.DagsterRunStatus.STARTED
    )
    assert world.asked() == set()
    world.instance.report_run_failed(run)
    assert "silver" in world.asked()
