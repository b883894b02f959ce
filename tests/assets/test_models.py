"""Models in Dagster: what a round reports, what checks say of it, and who is told when nothing changed."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.model_checks import BEATS, IN_RANGE, LOST, OPEN, OUTCOME, RECORDED, model_checks
from assets.models import NOTHING, WHEN_DUE, WHEN_TAG, model_assets, model_key
from plinth.features import load_views
from plinth.registry import RegisteredVersion
from plinth.training.code import code_of
from plinth.training.due import SEEN, seen_until
from plinth.training.target import tables_of
from plinth.training.targets import TARGETS
from plinth.training.uplift import UpliftTarget
from resources import platform_resources
from tests.plinth.registry.conftest import empty_store, register
from tests.plinth.training.shop import SMALL, Shop, shop_in

pytestmark = pytest.mark.slow

__all__ = ["empty_store"]  # a fixture, looked up by its name
RECOMMENDER = model_key("recommender")


def definitions(shop: Shop) -> dg.Definitions:
    """The models and their checks, the recommender as quickly as it can be trained."""
    targets = (SMALL, UpliftTarget())
    return dg.Definitions(
        assets=model_assets(shop.platform, targets),
        asset_checks=model_checks(targets),
        resources=platform_resources(shop.platform),
        executor=dg.in_process_executor,
    )


def run(
    shop: Shop, instance: dg.DagsterInstance, key: dg.AssetKey = RECOMMENDER, **more: Any
) -> dg.ExecuteInProcessResult:
    """Materialises one model and evaluates its checks."""
    job = definitions(shop).get_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, asset_selection=[key], raise_on_error=False, **more)


def evaluate(shop: Shop, instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckEvaluation]:
    """Evaluates the recommender's checks without materialising anything."""
    checks = dg.Definitions(
        asset_checks=model_checks((SMALL,)),
        resources=platform_resources(shop.platform),
        executor=dg.in_process_executor,
    )
    result = checks.get_implicit_global_asset_job_def().execute_in_process(instance=instance)
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def said(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """What the asset reported."""
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def assert_image(text: str) -> None:
    """A picture within the text, as the UI shows it."""
    head, _, body = text.partition("base64,")
    assert head.endswith("(data:image/png;")
    assert base64.b64decode(body.rstrip(")")).startswith(b"\x89PNG")


def data_version(result: dg.ExecuteInProcessResult) -> str | None:
    (event,) = result.get_asset_materialization_events()
    return (event.materialization.tags or {}).get("dagster/data_version")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_every_model_says_what_it_is_before_its_first_run(tmp_path: Path) -> None:
    shop = shop_in(tmp_path)
    specs = [spec for asset in model_assets(shop.platform) for spec in asset.specs]
    assert [spec.key for spec in specs] == [model_key(target.name) for target in TARGETS]
    for spec, target in zip(specs, TARGETS, strict=True):
        assert spec.group_name == "models"
        assert spec.owners == ["team:data-science"]
        assert spec.kinds == {"scikitlearn", "mlflow"}
        assert spec.code_version
        assert {dep.asset_key for dep in spec.deps} == {
            dg.AssetKey([table.layer, table.name]) for table in tables_of(target, load_views(shop.platform))
        } | {dg.AssetKey(["features", name]) for name in target.feature_views}
        assert target.metric in (spec.description or "")
        assert spec.automation_condition is None, "gold changes every night, a training takes a minute"
        assert "dagster/code_references" in spec.metadata
    assert {asset.op.pool for asset in model_assets(shop.platform)} == {"training"}, "one training at a time"
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_rounds_report_figures_plots_and_the_decision(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    shop = shop_in(tmp_path)
    shop.trade(240)
    first = run(shop, instance, tags={"plinth/reason": "a test"})
    assert first.success
    told = said(first)
    assert told["trained"] is True and told["promoted"] is True and told["registry_version"] == 1
    assert isinstance(told[SMALL.metric], float) and 0 < told[SMALL.metric] < 1
    assert told["digest"] == told["champion_digest"] == data_version(first)
    assert [record.data["table"] for record in told["inputs"].records] == [str(table) for table in SMALL.inputs]
    assert told["trained_because"] == "a test"
    assert_image(told["plot_figures"])
    order = list(told)
    assert order[:3] == ["decision", SMALL.metric, "plot_figures"], "what a person looks for comes first"
    assert order[-3:] == ["digest", "champion_digest", "files"], "and last what only a search looks for"
    version = shop.registry.champion("recommender")
    assert (
        version is not None and version.tags["plinth.reason"] == "a test" and version.tags["plinth.run"] == first.run_id
    )
    assert {each.check_name: each.passed for each in first.get_asset_check_evaluations()} == {
        BEATS: True, IN_RANGE: True, RECORDED: True,
    }  # fmt: skip

    again = run(shop, instance)
    assert said(again)["trained"] is False and "nothing changed" in said(again)["reason"]
    assert said(again)[SMALL.metric] == told[SMALL.metric], "the line on the asset's page goes on"
    assert data_version(again) == data_version(first)
    assert said(again)["plot_figures"] == told["plot_figures"]

    seeded = run(shop, instance, run_config={"ops": {"models__recommender": {"config": {"seed": 5}}}})
    assert said(seeded)["registered"] is True and said(seeded)["seed"] == 5
    assert_image(said(seeded)["plot_history"])
    won = said(seeded)["promoted"]
    assert (data_version(seeded) == data_version(first)) is not won, "what is served from it follows the champion"
    evaluation = evaluate(shop, instance)[BEATS]
    assert evaluation.passed is won
    assert ("beats" if won else "does not beat") in evaluation.metadata["decision"].value
    assert evaluation.severity is dg.AssetCheckSeverity.WARN and not evaluation.blocking


def test_nothing_to_train_on_is_told_and_is_no_failure(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    shop = shop_in(tmp_path)
    shop.trade(30)
    empty = "SELECT 1 AS promotion_id, 1 AS customer_no, 'treatment' AS trial_group WHERE false"
    from plinth.lakehouse.tables import TableId

    for name in ("campaign_contacts", "promotions", "customers"):
        shop.write(TableId("silver", name), empty)
    result = run(shop, instance, model_key("uplift"))
    assert result.success
    assert "no campaign history with a hold-out" in said(result)["reason"]
    assert (said(result)["trained"], data_version(result)) == (False, NOTHING)
    assert all(each.passed for each in result.get_asset_check_evaluations())


def test_a_missing_input_fails_with_what_to_do(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    result = run(shop_in(tmp_path), instance)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "gold/interactions" in str(failure.event_specific_data)
    assert "materialise the asset" in str(failure.event_specific_data)


@pytest.fixture
def registered(tmp_path: Path, empty_store: Path) -> tuple[Shop, RegisteredVersion]:
    """A shop with tables and a champion whose files nobody opens here."""
    shop = shop_in(tmp_path)
    shutil.copytree(empty_store, shop.registry.store.root)
    shop.trade(30)
    made = champion(shop, "a", 0.5, {str(table): 0 for table in SMALL.inputs})
    return shop, made


def test_a_run_that_refreshes_everything_leaves_a_model_that_is_not_due(
    registered: tuple[Shop, RegisteredVersion], instance: dg.DagsterInstance
) -> None:
    shop, made = registered
    shop.registry.note(
        made, {SEEN: seen_until(shop.lakehouse, shop.platform.profile()), "plinth.code": code_of(SMALL.packages)}
    )
    result = run(shop, instance, tags={WHEN_TAG: WHEN_DUE})
    assert result.success
    told = said(result)
    assert (told["trained"], told["registry_version"], data_version(result)) == (False, made.version, made.digest)
    assert told["reason"] == "not due: less than 7 days of trade, and no drift"
    asked = run(shop, instance)
    assert "not due" not in said(asked)["reason"], "whoever asks for the model itself has decided"


def champion(shop: Shop, name: str, value: float, inputs: dict[str, int]) -> RegisteredVersion:
    folder = shop.platform.path(f"saved/{name}")
    folder.mkdir(parents=True)
    (folder / "model.bin").write_text(name)
    made = register(shop.registry, folder, metrics={SMALL.metric: value, "customers": 1_000.0}, inputs=inputs)
    shop.registry.challenge(made, SMALL.metric, True, "june")
    return made


def test_checks_hold_after_a_rollback_by_hand(
    registered: tuple[Shop, RegisteredVersion], instance: dg.DagsterInstance
) -> None:
    shop, _ = registered
    champion(shop, "b", 0.6, {str(table): 0 for table in SMALL.inputs})
    shop.registry.rollback("recommender")
    found = evaluate(shop, instance)
    assert found[RECORDED].passed and found[RECORDED].metadata["version"].value == 1
    assert found[IN_RANGE].passed and found[IN_RANGE].metadata["version"].value == 1


def test_a_challenge_that_was_lost_is_told_in_a_sentence_and_as_lost(
    registered: tuple[Shop, RegisteredVersion], instance: dg.DagsterInstance
) -> None:
    shop, _ = registered
    champion(shop, "b", 0.4, {})
    found = evaluate(shop, instance)[BEATS]
    assert (found.passed, found.metadata[OUTCOME].value) == (False, LOST)
    assert found.description == (
        f"{SMALL.metric} 0.4000 does not beat 0.5000 of the champion, version 1, on the same snapshot; version 1 is served"
    )


def test_a_champion_that_was_rolled_back_since_passes_no_longer(
    registered: tuple[Shop, RegisteredVersion], instance: dg.DagsterInstance
) -> None:
    shop, _ = registered
    champion(shop, "b", 0.6, {})
    assert evaluate(shop, instance)[BEATS].passed
    shop.registry.rollback("recommender", reason="complaints")
    found = evaluate(shop, instance)[BEATS]
    assert not found.passed
    assert "version 2 was rolled back" in str(found.description) and "complaints" in str(found.description)
    assert str(found.description).endswith("version 1 is served")
    shop.registry.promote("recommender", 2)
    assert evaluate(shop, instance)[BEATS].passed, "brought back by hand"


def test_a_decision_that_waits_for_a_person_is_open(
    registered: tuple[Shop, RegisteredVersion], instance: dg.DagsterInstance
) -> None:
    shop, _ = registered
    folder = shop.platform.path("saved/b")
    folder.mkdir(parents=True)
    (folder / "model.bin").write_text("b")
    made = register(shop.registry, folder, snapshot="july", metrics={SMALL.metric: 0.9})
    shop.registry.challenge(made, SMALL.metric, True, "july", evaluate=lambda _: None)
    found = evaluate(shop, instance)[BEATS]
    assert (found.passed, found.metadata[OUTCOME].value) == (False, OPEN)
    assert "plinth model promote recommender 2" in str(found.description)


@pytest.mark.parametrize("value", [1.5, -0.1])
def test_a_figure_that_cannot_be_is_found(
    registered: tuple[Shop, RegisteredVersion], instance: dg.DagsterInstance, value: float
) -> None:
    shop, _ = registered
    shop.registry.promote("recommender", champion(shop, "b", value, {}).version)
    found = evaluate(shop, instance)[IN_RANGE]
    assert not found.passed
    assert found.metadata["out_of_range"].value == f"{SMALL.metric} {value:g}"


def test_an_input_that_is_not_recorded_or_no_longer_there_is_found(
    registered: tuple[Shop, RegisteredVersion], instance: dg.DagsterInstance
) -> None:
    shop, _ = registered
    champion(shop, "b", 0.9, {"gold/interactions": 7, "gold/item_catalog": 0, "silver/invoice_lines": 0})
    found = evaluate(shop, instance)[RECORDED]
    assert not found.passed
    assert found.metadata["not_recorded"].value == "gold/customer_orders"
    assert found.metadata["no_longer_there"].value == "gold/interactions"
