"""Models as assets: described before the first run, checked by their tests, and blocking what stands downstream of a failed one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets import transform_assets
from plinth.platform import Platform, load_platform
from resources import platform_resources
from tests.plinth.transform.shop import GOOD, ORDERS, Shop, shared_project

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_project(tmp_path_factory.getbasetemp())


@pytest.fixture
def shop(tmp_path: Path, shop_project: Path) -> Iterator[Shop]:
    (tmp_path / "dbt_project").symlink_to(shop_project)
    opened = Shop(tmp_path, shop_project)
    yield opened
    opened.con.close()


class Runs:
    """Runs of the shop's models and of a Python asset downstream, on one instance."""

    def __init__(self, platform: Platform) -> None:
        @dg.asset(deps=[dg.AssetKey(["gold", "named"])])
        def report() -> None:
            """Stands downstream of the models."""

        self.assets = [*transform_assets(platform), report]
        self.resources = platform_resources(platform)
        self.instance = dg.DagsterInstance.ephemeral()

    def run(self, *tables: str) -> dg.ExecuteInProcessResult:
        layers = {"orders": "silver", "people": "silver"}
        keys = [dg.AssetKey([layers.get(name, "gold"), name]) for name in tables or GOOD]
        return dg.materialize(
            self.assets,
            selection=dg.AssetSelection.assets(*keys, dg.AssetKey("report")),
            resources=self.resources,
            instance=self.instance,
            raise_on_error=False,
        )


def made(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetMaterialization]:
    return {event.asset_key.to_user_string(): event.step_materialization_data.materialization
            for event in result.all_events if event.is_step_materialization and event.asset_key}  # fmt: skip


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def test_a_run_reports_rows_versions_lineage_and_every_test(shop: Shop) -> None:
    shop.open_shop()
    runs = Runs(shop.lakehouse.platform)
    result = runs.run()
    assert result.success
    totals = made(result)["gold/totals"]
    assert totals.metadata["dagster/row_count"].value == 7 and totals.metadata["changed"].value is True
    assert totals.metadata["inserted"].value == 7 and totals.metadata["delta_version"].value == 0
    lineage = totals.metadata["dagster/column_lineage"].value
    assert lineage.deps_by_column["total"] == [
        dg.TableColumnDep(asset_key=dg.AssetKey(["silver", "orders"]), column_name="amount")
    ]
    assert checks(result) == {
        "orders_above_zero": True, "orders_client_unique": False, "orders_id_unique": True, "totals_unique": True,
    }  # fmt: skip
    assert "report" in made(result)


def test_a_second_run_says_that_nothing_changed_and_that_the_tests_hold(shop: Shop) -> None:
    shop.open_shop()
    runs = Runs(shop.lakehouse.platform)
    first, second = runs.run(), runs.run()
    assert {each.metadata["changed"].value for name, each in made(second).items() if name != "report"} == {False}
    versions = [each.tags["dagster/data_version"] for each in (made(first)["gold/named"], made(second)["gold/named"])]
    assert versions[0] == versions[1]
    assert checks(second) == checks(first)


def test_a_failed_test_blocks_python_assets_downstream(shop: Shop) -> None:
    shop.open_shop(orders=f"{ORDERS} UNION ALL SELECT 500::BIGINT, 3::BIGINT, -1::DECIMAL(10, 2)")
    result = Runs(shop.lakehouse.platform).run()
    assert not result.success
    assert set(made(result)) == {"silver/people"}, "neither a model made from it nor the Python asset was made"
    assert checks(result)["orders_above_zero"] is False
    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data
    assert failure.user_failure_data is not None
    assert "the test orders_above_zero failed" in str(failure.user_failure_data.metadata["silver/orders"].value)


def test_some_models_can_be_run_by_themselves(shop: Shop) -> None:
    shop.open_shop()
    runs = Runs(shop.lakehouse.platform)
    assert set(made(runs.run("orders", "totals"))) == {"silver/orders", "gold/totals", "report"}


def test_every_model_is_described_before_the_first_run() -> None:
    (assets,) = transform_assets(load_platform(ROOT / "platform.yaml"))
    specs = {spec.key.to_user_string(): spec for spec in assets.specs}
    assert {"silver/invoice_lines", "gold/customer_360"} <= set(specs)
    for name, spec in specs.items():
        schema = spec.metadata["dagster/column_schema"]
        assert all(column.description and column.type and column.tags for column in schema.columns), name
        assert spec.owners and spec.description and spec.code_version and {"dbt", "deltalake"} <= spec.kinds, name
        assert spec.metadata["dagster/table_name"] == name.replace("/", ".")
        assert any(key.asset_key == spec.key for key in assets.check_keys), f"{name} has no test"
    customers = {column.name: column for column in specs["silver/customers"].metadata["dagster/column_schema"].columns}
    assert customers["customer_no"].constraints.unique and not customers["customer_no"].constraints.nullable
    assert "pseudonymised: only the year of the birth date" in customers["birth_year"].constraints.other
    assert {column.tags["plinth/classification"] for column in customers.values()} <= {"public", "internal"}


def test_a_warning_is_told_again_where_nothing_changed_and_not_where_something_did(shop: Shop) -> None:
    shop.open_shop()
    runs = Runs(shop.lakehouse.platform)
    first, second = (warnings_of(runs.run()) for _ in range(2))
    assert first == second and [passed for passed, _ in first] == [False]
    shop.put("bronze/orders", f"SELECT * FROM ({ORDERS}) WHERE id < 7")
    assert [passed for passed, _ in warnings_of(runs.run())] == [True]


def warnings_of(result: dg.ExecuteInProcessResult) -> list[tuple[bool, object]]:
    """What became of the warning about orders' clients: whether it passed, and what it follows from."""
    return [
        (each.passed, each.metadata["evidence"].value)
        for each in result.get_asset_check_evaluations()
        if each.check_name == "orders_client_unique"
    ]
