"""The definitions load quickly and from anywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from definitions import build_definitions
from plinth.errors import ConfigurationError, ContractError
from plinth.platform import load_platform
from tests.frame.shop import PROJECT, Shop

HEAVY = ("dagster_k8s", "dbt", "deltalake", "duckdb", "kubernetes", "numpy", "pandas", "pyarrow", "sqlalchemy")
"""What takes long to load, and only a step's own work needs."""


def test_loading_the_definitions_loads_no_heavy_library() -> None:
    script = (
        "import definitions, json, sys; definitions.defs.get_repository_def(); print(json.dumps(sorted(sys.modules)))"
    )
    for _ in range(2):  # the first load after a change of the dbt project has dbt parse it
        done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert set(HEAVY) & set(json.loads(done.stdout.splitlines()[-1])) == set()


@pytest.mark.slow
def test_dagster_validates_the_workspace_from_any_folder(tmp_path: Path) -> None:
    tool = Path(sys.executable).with_name("dagster")
    done = subprocess.run(
        [str(tool), "definitions", "validate", "-w", str(PROJECT / "workspace.yaml")],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All code locations passed validation" in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("folder", [".", "plinth"])
def test_dg_checks_the_definitions_from_any_folder_of_the_project(folder: str) -> None:
    tool = Path(sys.executable).with_name("dg")
    if not tool.exists():
        pytest.skip("dg is not installed: it comes with requirements/dev.lock")
    done = subprocess.run([str(tool), "check", "defs"], cwd=PROJECT / folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All definitions loaded successfully" in done.stdout + done.stderr


def test_two_sets_of_definitions_share_nothing(shop: Shop) -> None:
    first, second = build_definitions(shop.platform), build_definitions(shop.platform)
    assert first is not second
    assert not {id(asset) for asset in first.assets or ()} & {id(asset) for asset in second.assets or ()}


def test_a_wrong_contract_is_refused_with_its_file_and_line(shop: Shop) -> None:
    (shop.folder / "shop.odcs.yaml").write_text(
        "apiVersion: v3.2.0\nkind: DataContract\nid: x\nversion: 1\nschema: 3\n"
    )
    with pytest.raises(ContractError, match=r"line 5"):
        build_definitions(shop.platform)


def test_a_wrong_platform_is_refused_with_its_key(shop: Shop) -> None:
    file = shop.folder / "platform.yaml"
    file.write_text(file.read_text().replace("tables_per_tick", "tables_per_tock"))
    with pytest.raises(ConfigurationError, match=r"tables_per_tock.*did you mean 'tables_per_tick'"):
        load_platform(file)


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:geheim@h/db", "postgresql://u@h/db?password=geheim", "mysql://u@h/db?ssl_ca=a&passwd=geheim"],
)
def test_a_password_in_the_platform_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    file = tmp_path / "platform.yaml"
    zones = "zones: {z: {root: z, clearance: [public]}}\nlayers: {bronze: z}\n"
    sizes = "profiles: {small: {cpu: 1, memory: 1GiB}}\ndefault_profile: small\n"
    file.write_text(f"{zones}{sizes}sources: {{shop: {{url: '{url}', contract: shop.odcs.yaml}}}}\n")
    with pytest.raises(ConfigurationError, match="a password stands in url") as refused:
        load_platform(file)
    assert "geheim" not in str(refused.value)


def test_the_instance_calls_nobody_and_gives_each_table_one_writer(stored_instance: dg.DagsterInstance) -> None:
    assert not stored_instance.telemetry_enabled
    assert not stored_instance.nux_enabled
    pools = stored_instance.get_concurrency_config().pool_config
    assert pools.default_pool_limit == 1
    assert not stored_instance.run_retries_retry_on_asset_or_op_failure
    assert stored_instance.run_monitoring_enabled
