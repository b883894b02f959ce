"""The pod of models whose profile is `auto`: as large as may be needed while nothing is known, then of the size that was measured."""

from __future__ import annotations

import shutil

import pytest
import yaml

from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.state import Measured
from plinth.lakehouse.tables import TableId
from tests.frame.shop import PROJECT, Shop
from tests.kubernetes.test_runs import limits
from tests.kubernetes.world import MIB, World

pytestmark = pytest.mark.slow
# The lists of an aggregate are what DuckDB cannot spill: 8 million numbers and their text are some 500 MiB.
MODEL = """
{{ config(meta={'profile': 'auto'}) }}
select cast(len(list(i || ' of a text that is no short one')) as bigint) as clients
from range(8000000) as t(i) cross join (select 1 from {{ source('bronze', 'orders') }} limit 1)"""
YAML = """
sources:
  - {name: bronze, schema: bronze, tables: [{name: orders}]}
models:
  - {name: hungry, columns: [{name: clients}]}
  - {name: calm, columns: [{name: orders}]}
"""
CALM = "select count(*) as orders from {{ source('bronze', 'orders') }}"
TABLE, STEP = TableId("silver", "hungry"), "silver_and_gold__auto"


@pytest.fixture
def modelled(shop: Shop) -> None:
    """A dbt project of two models beside the shop, one of them with a fixed small size, before the cluster loads the project."""
    folder = shop.folder / "dbt_project"
    for name in ("macros", "tests"):
        shutil.copytree(PROJECT / "dbt_project" / name, folder / name)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(PROJECT / "dbt_project" / name, folder / name)
    (folder / "models" / "silver").mkdir(parents=True)
    (folder / "models" / "silver" / "hungry.sql").write_text(MODEL)
    (folder / "models" / "silver" / "calm.sql").write_text(CALM)
    (folder / "models" / "models.yml").write_text(YAML)


def price(world: World) -> None:
    """Puts the sizes in an order, the one that no node takes last."""
    file = world.shop.folder / "platform.yaml"
    values = yaml.safe_load(file.read_text())
    for name, each in values["profiles"].items():
        each["price"] = {"small": 1, "medium": 2, "large": 3, "placeless": 4}[name]
    file.write_text(yaml.safe_dump(values))


def succeeded(world: World, *assets: str) -> str:
    run = world.launch(*assets)
    assert world.wait(run, 240).is_success, world.story(run)
    return world.story(run)


@pytest.mark.timeout(900)
def test_the_pod_has_the_size_that_was_measured_and_the_largest_while_nothing_was(modelled: None, world: World) -> None:
    price(world)
    said = succeeded(world, "bronze/orders", "silver/hungry", "silver/calm")
    assert not world.pods("silver_and_gold"), "what asks for the small size stays in the run's pod"
    assert world.shop.lakehouse.open(TableId("silver", "calm")).rows == 1
    assert "gets the profile large: no run of silver/hungry on DuckDB was measured yet" in said
    (pod,) = world.pods(STEP)
    assert limits(pod)["memory"] == str(2048 * MIB)

    # As if it had been small: its next step is no pod at all, but a process of the run's. With more orders it is due, and finds no room.
    found = world.shop.lakehouse.open(TABLE)
    state = found.state.next(changed=False, measured=(Measured(3, 1, 2.0, 200.0, "small", "duckdb"),))
    commit(world.shop.lakehouse, TABLE, Write(found, found.columns, state))
    assert "gets the profile small: silver/hungry: " in succeeded(world, "silver/hungry")
    assert len(world.pods(STEP)) == 1

    world.shop.sql("INSERT INTO ORDERS VALUES (13, 1, 5.50, 'open', '2024-02-03 08:00:00')")
    said = succeeded(world, "bronze/orders", "silver/hungry")
    assert "gets the profile small" in said and "silver/hungry had too little memory" in said
    assert "had too little memory in small: once more with the profile large" in said
    assert [limits(each)["memory"] for each in world.pods(STEP)] == [str(2048 * MIB)] * 2
    assert world.shop.lakehouse.open(TABLE).state.measured[0].peak_mb > 512, "which the next choice knows"
