"""The same registry on a tracking server, and what is said when it does not answer."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from plinth.platform import Platform, Stores, Zone
from plinth.profile import Profile
from plinth.registry import ModelTampered, Registry, RegistryUnavailable
from plinth.registry.content import hashes_of
from plinth.registry.store import faults
from tests.plinth.registry.conftest import PNG, Save, register
from tests.servers.ports import free_port

PYTHON = "PLINTH_MLFLOW_PYTHON"
"""Names the Python of an environment that has the whole of MLflow; ours has only what a client needs."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of an MLflow server, and its artefacts."""
    python = os.environ.get(PYTHON) or (sys.executable if importlib.util.find_spec("flask") else None)
    if python is None:
        pytest.skip(
            f"mlflow-skinny has no server (it lacks flask): install mlflow==3.17.2 into an environment of its own and set {PYTHON} to its Python"
        )
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    process = subprocess.Popen(
        [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
         "--backend-store-uri", f"sqlite:///{folder / 'm.db'}", "--artifacts-destination", str(folder / "files")],
        cwd=folder, stdout=(folder / "log").open("w"), stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while not _answers(url):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.3)
        yield url, folder / "files"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.mark.slow
def test_a_tracking_server_keeps_models_as_a_file_does(server: tuple[str, Path], save: Save, tmp_path: Path) -> None:
    registry = Registry(server[0], tmp_path / "here")
    first, second = register(registry, save("a"), 0.5), register(registry, save("b"), 0.6)
    assert register(registry, save("a")).version == first.version
    assert hashes_of(registry.fetch(first)) == first.files
    assert registry.plots(first) == {"recall": PNG}
    assert registry.challenge(first, "recall", True, "june").promoted
    assert registry.challenge(second, "recall", True, "june").promoted
    assert registry.rollback("recommender").version == first.version
    assert registry.models() == ["recommender"]
    assert registry.version("recommender", 9) is None
    (file,) = server[1].glob(f"*/{second.run_id}/artifacts/model/settings.json")
    file.write_text("{}")
    with pytest.raises(ModelTampered, match=r"settings\.json"):
        registry.fetch(second)


def test_a_server_that_does_not_answer_is_a_passing_fault_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    registry = Registry(f"http://someone:secret@127.0.0.1:{free_port()}", tmp_path)
    with pytest.raises(RegistryUnavailable, match="cannot do what was asked") as refused:
        registry.champion("recommender")
    assert refused.value.transient
    assert "127.0.0.1" in str(refused.value)
    text = "".join(traceback.format_exception(refused.value))
    assert "secret" not in text and "someone" not in text


def test_the_settings_choose_server_or_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS", "https://models.example")
    for stores, uri in (
        (Stores(), f"sqlite:///{tmp_path / 'data/registry/mlflow.db'}"),
        (Stores(tracking="http://models.example"), "http://models.example"),
        (Stores(tracking_env="MODELS"), "https://models.example"),
    ):
        assert Registry.of(_platform(stores, tmp_path)).store.uri == uri


def test_pickle_stays_closed_and_nothing_is_called(registry: Registry) -> None:
    _ = registry.store.client
    from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION, MLFLOW_DISABLE_TELEMETRY

    assert MLFLOW_ALLOW_PICKLE_DESERIALIZATION.get() is False
    assert MLFLOW_DISABLE_TELEMETRY.get() is True


def test_an_error_of_the_database_is_one_of_ours(registry: Registry) -> None:
    from sqlalchemy.exc import OperationalError

    with pytest.raises(RegistryUnavailable, match="locked"), faults("sqlite:///x"):
        raise OperationalError("SELECT 1", {}, Exception("database is locked"))


def _platform(stores: Stores, home: Path) -> Platform:
    return Platform(
        zones={"here": Zone(root="here", clearance=("internal",))},
        layers={"bronze": "here", "silver": "here", "gold": "here", "ops": "here"},
        profiles={"small": Profile(cpu=1, memory=2**30)},
        default_profile="small",
        stores=stores,
        home=home,
    )
