"""The same registry on a tracking server, and what is said when it does not answer."""

from __future__ import annotations

import shutil
import traceback
from pathlib import Path

import pytest

from plinth.platform import Platform, Stores, Zone
from plinth.profile import Profile
from plinth.registry import ModelTampered, Registry, RegistryUnavailable
from plinth.registry.content import hashes_of
from plinth.registry.store import faults
from plinth.training.work import train
from tests.jobs.test_publishing import model, project_of, served
from tests.plinth.registry.conftest import PNG, Save, register
from tests.plinth.serving.shop import copy_of, trained_shop
from tests.plinth.training.shop import SMALL
from tests.servers import MlflowServer
from tests.servers.ports import free_port


@pytest.fixture
def server(mlflow_server: MlflowServer, tmp_path: Path) -> MlflowServer:
    """The server without a model, whatever another test left there."""
    client = Registry(mlflow_server.url, tmp_path / "emptying").store.client
    for each in client.search_registered_models():
        client.delete_registered_model(each.name)
    return mlflow_server


@pytest.mark.slow
def test_a_tracking_server_keeps_models_as_a_file_does(server: MlflowServer, save: Save, tmp_path: Path) -> None:
    registry = Registry(server.url, tmp_path / "here")
    first, second = register(registry, save("a"), 0.5), register(registry, save("b"), 0.6)
    assert register(registry, save("a")).version == first.version
    assert hashes_of(registry.fetch(first)) == first.files
    assert registry.plots(first) == {"recall": PNG}
    assert registry.challenge(first, "recall", True, "june").promoted
    assert registry.challenge(second, "recall", True, "june").promoted
    assert registry.rollback("recommender").version == first.version
    assert registry.models() == ["recommender"]
    assert registry.version("recommender", 9) is None
    (file,) = server.artefacts.glob(f"*/{second.run_id}/artifacts/model/settings.json")
    file.write_text("{}")
    with pytest.raises(ModelTampered, match=r"settings\.json"):
        registry.fetch(second)


@pytest.mark.slow
def test_a_model_is_trained_served_promoted_and_rolled_back_by_a_server(
    server: MlflowServer, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = project_of(copy_of(trained_shop(tmp_path_factory), tmp_path / "shop"), tracking=server.url)
    shutil.rmtree(shop.folder / "data" / "registry")
    first = train(SMALL, shop.lakehouse, shop.registry, profile=shop.platform.profile()).version
    assert first is not None and first.aliases == ("champion",)
    assert capsys.readouterr() == ("", ""), "MLflow's links and waiting are no business of whoever trains"
    again = train(SMALL, shop.lakehouse, shop.registry, profile=shop.platform.profile())
    assert (again.trained, again.champion) == (False, first)

    said = model(shop, "promote", "recommender", "1")
    assert "version 1 of the online store is served now" in said and served(shop) == (1, "1")
    assert shop.train(2).version == 2
    model(shop, "promote", "recommender", "2")
    assert served(shop) == (2, "2")
    said = model(shop, "rollback", "recommender", "--reason", "complaints")
    assert "version 1 is the champion, in the place of version 2" in said and served(shop) == (3, "1")
    here = {path.name for path in (shop.folder / "data" / "registry").iterdir() if not path.name.startswith(".")}
    assert here == {"fetched"}, "nothing but copies is kept beside the server"


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
