"""Models of two sizes: a step for each, with a pod of that size, and the same tables and results as from one step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import transform_assets
from assets.profiles import POD_TAG, PROFILE_TAG
from assets.unharmed import unharmed
from plinth.platform import Platform
from plinth.profile import Profile
from resources import platform_resources
from tests.plinth.transform.shop import MODELS, ORDERS, PEOPLE, YAML, Shop, write_project

pytestmark = pytest.mark.slow
GIB = 2**30
SMALL = ["silver/orders", "silver/people"]
LARGE = ["gold/totals", "gold/summary", "gold/named", "gold/initials"]
INITIALS = "select initial, count(*) as people from {{ ref('people') }} group by initial"
KNOWN = ("orders_in_totals", "people_in_totals")
"""Tests of silver that read gold: every client of a table has a total."""


@pytest.fixture(scope="module")
def sized_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's project, with gold in a size of its own where the platform has it, and two tests that look ahead."""
    folder = write_project(tmp_path_factory.mktemp("sized") / "dbt_project")
    for table in LARGE:
        model = folder / "models" / f"{table}.sql"
        model.write_text("{{ config(meta={'profile': 'large'}) }}\n" + MODELS.get(f"{table}.sql", INITIALS))
    known = "- relationships: {{name: {}, arguments: {{to: ref('totals'), field: client}}}}"
    said = YAML.replace("description: Client., data_type: long, data_tests: [", f"description: Client., data_type: long, data_tests: [{known.format(KNOWN[0])[2:]}, ")  # fmt: skip
    said = said.replace(
        "  - name: people\n    columns:\n      - {name: client, description: Client.}\n",
        "  - name: people\n    columns:\n      - name: client\n        description: Client.\n        data_tests:\n"
        f"          {known.format(KNOWN[1])}\n",
    )
    assert all(name in said for name in KNOWN)
    described = "  - {name: initials, columns: [{name: initial}, {name: people}]}\n"
    (folder / "models" / "models.yml").write_text(said + described)
    return folder


class Runs:
    """Runs of the models on one instance: in two steps, or in one where both sizes have one name."""

    def __init__(self, home: Path, project: Path, default: str = "small") -> None:
        home.mkdir()
        (home / "dbt_project").symlink_to(project)
        self.shop = Shop(home, home / "dbt_project")
        profiles = {"small": Profile(cpu=1, memory=GIB // 2, threads=1), "large": Profile(cpu=2, memory=2 * GIB)}
        values = self.shop.lakehouse.platform.model_dump() | {"home": home, "profiles": profiles, "default_profile": default}  # fmt: skip
        self.shop.lakehouse.platform = self.platform = Platform.model_validate(values)
        self.assets = transform_assets(self.platform)
        self.instance = dg.DagsterInstance.ephemeral()

    def run(self, *tables: str, config: dict[str, Any] | None = None) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            self.assets,
            selection=dg.AssetSelection.assets(*(table.split("/") for table in tables or (*SMALL, *LARGE))),
            resources=platform_resources(self.platform),
            instance=self.instance,
            run_config=config,
            raise_on_error=False,
        )

    def tables(self) -> dict[str, list[tuple[object, ...]]]:
        return {table: self.shop.rows(table) for table in (*SMALL, *LARGE)}


@pytest.fixture
def runs(tmp_path: Path, sized_project: Path) -> Iterator[Runs]:
    made = Runs(tmp_path / "two", sized_project)
    yield made
    made.shop.con.close()


def done(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """What each table that was made was computed as."""
    return {
        event.asset_key.to_user_string(): str(event.step_materialization_data.materialization.metadata["mode"].value)
        for event in result.all_events
        if event.is_step_materialization and event.asset_key
    }


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {each.check_name: each.passed for each in result.get_asset_check_evaluations()}


def lineage(assets: list[dg.AssetsDefinition]) -> Mapping[dg.AssetKey, set[dg.AssetKey]]:
    return {spec.key: {dep.asset_key for dep in spec.deps} for step in assets for spec in step.specs}


def test_two_sizes_are_two_steps_each_with_its_pod_and_one_size_is_one(runs: Runs, tmp_path: Path) -> None:
    steps = {step.op.name: step for step in runs.assets}
    assert set(steps) == {"silver_and_gold", "silver_and_gold__large"}
    assert {key.to_user_string() for key in steps["silver_and_gold__large"].keys} == set(LARGE)
    for name, profile, memory in (("silver_and_gold", "small", GIB // 2), ("silver_and_gold__large", "large", 2 * GIB)):
        assert steps[name].op.tags[PROFILE_TAG] == profile and steps[name].op.pool == "transform"
        limits = json.loads(steps[name].op.tags[POD_TAG])["container_config"]["resources"]["limits"]
        assert limits["memory"] == str(memory)
    one = Runs(tmp_path / "one", runs.shop.project, default="large")
    assert [step.op.name for step in one.assets] == ["silver_and_gold"]
    assert lineage(list(one.assets)) == lineage(list(runs.assets))
    assert {key.name for step in one.assets for key in step.check_keys} == {key.name for step in runs.assets for key in step.check_keys}  # fmt: skip
    one.shop.con.close()


def test_two_steps_give_what_one_gives_also_for_changes_and_do_nothing_for_none(
    runs: Runs, tmp_path: Path, sized_project: Path
) -> None:
    one = Runs(tmp_path / "one", sized_project, default="large")
    both = (runs, one)
    for each in both:
        each.shop.open_shop()
    first = [each.run() for each in both]
    assert all(result.success for result in first)
    assert checks(first[0]) == checks(first[1]) and set(KNOWN) < set(checks(first[0]))
    assert runs.tables() == one.tables()

    # A client that has no total yet: the tests that look ahead see none of it before its total is made.
    more = f"{ORDERS} UNION ALL SELECT 200, 8, 5::DECIMAL(10, 2)"
    for each in both:
        each.shop.put("bronze/orders", more)
    second = [each.run() for each in both]
    assert all(result.success for result in second)
    assert done(second[0]) == done(second[1])
    assert {done(second[0])[table] for table in ("silver/orders", "gold/totals")} == {"touched scopes"}
    assert checks(second[0]) == checks(second[1])
    assert runs.tables() == one.tables() and len(runs.shop.rows("gold/totals")) == 8

    versions, third = runs.shop.versions(), runs.run()
    assert set(done(third).values()) == {"nothing to do"} and runs.shop.versions() == versions
    assert checks(third) == checks(second[0])
    said = [each.metadata["message"].value for each in third.get_asset_check_evaluations() if each.check_name in KNOWN]
    assert all(str(each).startswith("held") for each in said) and len(said) == 2
    one.shop.con.close()


def test_each_step_can_be_run_by_itself_in_part_and_reads_what_the_other_has_published(runs: Runs) -> None:
    runs.shop.open_shop()
    assert not runs.run("gold/totals").success, "there are no orders yet"
    assert set(done(runs.run("silver/orders"))) == {"silver/orders"}
    assert set(done(runs.run("gold/totals"))) == {"gold/totals"}
    anew = {"ops": {"silver_and_gold__large": {"config": {"full_refresh": True}}}}
    assert done(runs.run("silver/orders", "gold/totals", config=anew)) == {
        "silver/orders": "nothing to do",
        "gold/totals": "all rows",
    }


def test_a_test_over_both_steps_fails_in_the_second_as_long_as_it_does_and_holds_back_what_reads_its_tables(
    runs: Runs,
) -> None:
    runs.shop.open_shop()
    assert runs.run().success
    before = runs.shop.rows("gold/named")
    runs.shop.put("bronze/people", PEOPLE.replace("range(7)", "range(8)"), {"email": "confidential"})
    for attempt in range(2):
        result = runs.run()
        assert not result.success and checks(result)[KNOWN[1]] is False, attempt
        assert checks(result)[KNOWN[0]] is True
        assert not {"gold/named", "gold/initials"} & set(done(result)), "made from people of whom one has no total"
        assert {"silver/people", "gold/totals"} <= set(done(result))
    assert runs.shop.rows("gold/named") == before
    runs.shop.put("bronze/people", PEOPLE, {"email": "confidential"})
    result = runs.run()
    assert result.success and checks(result)[KNOWN[1]] is True


def test_a_failed_model_of_one_size_holds_back_what_reads_it_alone(runs: Runs) -> None:
    runs.shop.open_shop()
    assert runs.run().success
    graph = dg.Definitions(assets=runs.assets, resources=platform_resources(runs.platform)).resolve_asset_graph()
    runs.shop.put("bronze/orders", f"{ORDERS} UNION ALL SELECT 200, 8, -5::DECIMAL(10, 2)")
    runs.shop.put("bronze/people", PEOPLE.replace("range(7)", "range(6)"), {"email": "confidential"})
    first = runs.run()
    assert not first.success and set(done(first)) == {"silver/people"}
    left = {key.to_user_string() for key in unharmed(runs.instance, first.run_id, graph)}
    assert left == {"gold/initials"}
    before = runs.shop.rows("gold/initials")
    second = runs.run(*left)
    assert done(second) == {"gold/initials": "all rows"} and runs.shop.rows("gold/initials") != before


def test_a_test_over_both_steps_runs_again_where_only_a_table_of_the_first_changed(runs: Runs) -> None:
    runs.shop.open_shop()
    assert runs.run().success
    runs.shop.put("bronze/people", PEOPLE.replace("range(7)", "range(8)"), {"email": "confidential"})
    assert runs.run("silver/people").success
    # Of the second step only totals, which do not read people and so are not due.
    result = runs.run("gold/totals")
    assert done(result) == {"gold/totals": "nothing to do"}
    assert checks(result)[KNOWN[1]] is False and not result.success


def test_automation_asks_for_the_tables_of_both_steps_in_one_tick(runs: Runs) -> None:
    bronze = [dg.AssetSpec(["bronze", name]) for name in ("orders", "people")]
    definitions = dg.Definitions(assets=[*bronze, *runs.assets], resources=platform_resources(runs.platform))

    def loaded(name: str, content: str) -> None:
        event = dg.AssetMaterialization(["bronze", name], tags={"dagster/data_version": content})
        runs.instance.report_runless_asset_event(event)

    runs.shop.open_shop()
    loaded("orders", "1")
    loaded("people", "1")
    assert runs.run().success
    before = dg.evaluate_automation_conditions(definitions, runs.instance)
    loaded("orders", "2")
    after = dg.evaluate_automation_conditions(definitions, runs.instance, cursor=before.cursor)
    asked = {table for table in (*SMALL, *LARGE) if after.get_num_requested(dg.AssetKey(table.split("/")))}
    assert asked == {"silver/orders", "gold/totals", "gold/summary", "gold/named"}
