"""What a failed run left undone is found where nothing that it reads has failed, and a sensor and the command line go on with it."""

# No postponed annotations here: Dagster reads that of a context as it stands.

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from assets.unharmed import unharmed
from jobs.launch import run_on
from sensors.going_on import AFTER_TAG, going_on_sensor

FAULTS: set[str] = set()
"""What is to fail in the test at hand: an asset's name, or a check's."""


def _load(name: str) -> dg.AssetsDefinition:
    @dg.asset(name=name, key_prefix="bronze")
    def load() -> None:
        if name in FAULTS:
            raise dg.Failure(f"{name} does not load", allow_retries=False)

    return load


@dg.asset_check(asset=["bronze", "orders"], blocking=True)
def sound() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed="sound" not in FAULTS)


def _models(step: str, reads: dict[str, list[str]]) -> dg.AssetsDefinition:
    """A step that makes several tables, and fails at its end where it could not make one of them."""

    @dg.multi_asset(
        name=step,
        specs=[dg.AssetSpec(key.split("/"), deps=[each.split("/") for each in deps], skippable=True) for key, deps in reads.items()],
        can_subset=True,
    )  # fmt: skip
    def build(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        chosen = [key for key in reads if dg.AssetKey(key.split("/")) in context.selected_asset_keys]
        for key in chosen:
            if key not in FAULTS:
                yield dg.MaterializeResult(asset_key=key.split("/"))
        if FAULTS & set(chosen):
            raise dg.Failure("some models were not published", allow_retries=False)

    return build


SILVER = {"silver/orders": ["bronze/orders"], "silver/people": ["bronze/people"], "silver/both": ["silver/orders", "silver/people"]}  # fmt: skip
GOLD = {"gold/orders": ["silver/orders"], "gold/people": ["silver/people"], "gold/both": ["silver/both"]}
JOB = dg.define_asset_job("refresh", dg.AssetSelection.all())


@pytest.fixture
def repository() -> Iterator[dg.RepositoryDefinition]:
    FAULTS.clear()
    yield dg.Definitions(
        assets=[_load("orders"), _load("people"), _models("silver", SILVER), _models("gold", GOLD)],
        asset_checks=[sound],
        jobs=[JOB],
        sensors=[going_on_sensor([JOB])],
        executor=dg.in_process_executor,
    ).get_repository_def()
    FAULTS.clear()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def failed(repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, *faults: str) -> str:
    """A run in which that fails; its id."""
    FAULTS.update(faults)
    result = repository.get_job("refresh").execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    return result.run_id


@pytest.mark.parametrize(
    ("faults", "left"),
    [
        (["orders"], {"silver/people", "gold/people"}),
        (["sound"], {"silver/people", "gold/people"}),
        (["silver/orders"], {"gold/people", "gold/both"}),
        (["silver/orders", "silver/both"], {"gold/people"}),
        (["silver/both"], {"gold/orders", "gold/people"}),
        (["orders", "people"], set()),
        (["gold/orders"], set()),
    ],
    ids=lambda each: "+".join(sorted(each)) or "nothing",
)
def test_what_is_left_reads_nothing_that_failed(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, faults: list[str], left: set[str]
) -> None:
    run = failed(repository, instance, *faults)
    found = {key.to_user_string() for key in unharmed(instance, run, repository.asset_graph)}
    # Here silver/both is made whatever becomes of silver/orders: within a step the step itself minds what failed.
    assert found == left


def test_a_run_whose_process_died_leaves_nothing_to_go_on_with(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance
) -> None:
    run = instance.create_run_for_job(repository.get_job("refresh"))
    instance.report_run_failed(run, "its process is gone")
    assert not unharmed(instance, run.run_id, repository.asset_graph)


def test_the_command_goes_on_and_tells_both_runs_as_one_that_failed(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance
) -> None:
    FAULTS.update({"orders", "gold/people"})
    lines: list[str] = []
    ran = run_on(repository, instance, "refresh", lines.append)
    assert not ran.success and len(ran.runs) == 2
    assert any(line.startswith("going on with 2 tables") for line in lines)
    assert {"bronze/people", "silver/people"} == set(ran.seen.materialized)
    assert [each.step for each in ran.seen.failures] == ["bronze/orders", "gold"]
    FAULTS.clear()
    whole = run_on(repository, instance, "refresh", lines.append)
    assert whole.success and whole.runs == (whole.run_id,)


def test_the_sensor_asks_for_one_run_of_what_is_left_and_for_none_where_all_stands_behind_what_failed(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance
) -> None:
    sensor = repository.get_sensor_def("goes_on_after_failure")
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED

    cursor: str | None = None

    def tick() -> SensorExecutionData:
        nonlocal cursor
        told = sensor.evaluate_tick(
            dg.build_sensor_context(instance=instance, repository_def=repository, cursor=cursor)
        )
        cursor = told.cursor
        return told

    tick()  # what failed before it was turned on is past
    failed(repository, instance, "orders")
    (asked,) = tick().run_requests or ()
    assert asked.job_name == "refresh" and asked.run_key is not None
    assert asked.asset_selection == [dg.AssetKey(["gold", "people"]), dg.AssetKey(["silver", "people"])]
    FAULTS.update({"gold/people"})
    second = repository.get_job("refresh").execute_in_process(
        instance=instance, raise_on_error=False, asset_selection=asked.asset_selection, tags=dict(asked.tags)
    )
    assert not second.success and second.dagster_run.tags[AFTER_TAG] == asked.run_key
    last = tick()
    assert not last.run_requests and "stands behind what failed" in (last.skip_message or "")
