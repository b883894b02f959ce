"""A command that is not told which project it is about takes the one that was run last, whatever the command."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from api.keys.table import KeyTable
from plinth.cli import app
from plinth.platform import load_platform
from plinth.registry import Registry
from plinth.report import SUCCEEDED, Report
from tests.api.published import publish
from tests.frame.shop import Shop
from tests.plinth.registry.conftest import register

RUN = CliRunner()


class TwoProjects:
    """A shop, and beside it other data that were run after it."""

    def __init__(self, shop: Shop) -> None:
        self.overlay = shop.folder / "data" / "other" / "platform.yaml"
        self.overlay.parent.mkdir(parents=True)
        other = {
            "zones": {name: {"root": f"data/other/{name}"} for name in ("on_prem", "cloud")},
            "stores": {"registry": "data/other/registry", "online": "sqlite:///data/other/online/online.db"},
        }
        self.overlay.write_text(yaml.safe_dump(other))
        self.other = load_platform(shop.folder / "platform.yaml", self.overlay)
        self.itself = shop.platform
        newest = Report("other", SUCCEEDED, "2024-01-06T00:00:00+00:00", 1, 1, 1, overlay=str(self.overlay), instance=str(shop.folder / "there"))  # fmt: skip
        newest.write(shop.folder / "report.json")

    def run(self, *words: str) -> Result:
        """Runs a command in the shop's folder."""
        return RUN.invoke(app, words)


@pytest.fixture
def projects(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> TwoProjects:
    """The shop and the other data; the shop's folder is the current one."""
    monkeypatch.chdir(shop.folder)
    for name in ("PLINTH_PLATFORM", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    return TwoProjects(shop)


def names(url: str) -> list[str]:
    table = KeyTable(url)
    table.set_up()
    found = [f"{key.name} {'revoked' if key.revoked_at else 'valid'}" for key in table.all()]
    table.close()
    return found


def test_keys_are_made_listed_and_ended_where_the_newest_run_is_served(projects: TwoProjects) -> None:
    made = projects.run("key", "create", "webshop", "--scope", "recommendations:read").stdout.strip()
    projects.run("key", "create", "own", "--scope", "recommendations:read", "--sample")
    assert "webshop" in projects.run("key", "list").stdout
    assert "webshop" not in projects.run("key", "list", "--sample").stdout
    projects.run("key", "rotate", made.split("_")[1])
    projects.run("key", "revoke", made.split("_")[1])
    assert sorted(names(projects.other.online_url())) == ["webshop revoked", "webshop valid"]
    assert names(projects.itself.online_url()) == ["own valid"]


@pytest.mark.slow
def test_what_is_published_and_which_models_there_are_is_told_of_the_newest_run(
    projects: TwoProjects, tmp_path: Path
) -> None:
    Path(projects.other.online_url().removeprefix("sqlite:///")).parent.mkdir(parents=True)
    publish(projects.other.online_url())
    model = tmp_path / "model"
    model.mkdir()
    (model / "settings.json").write_text("{}")
    register(Registry.of(projects.other), model, 0.5)
    for words, there, nothing in (
        (("online", "versions"), "recommendations", "there is no online store yet"),
        (("model", "list"), "recommender", "No model is registered yet"),
    ):
        assert there in projects.run(*words).stdout
        assert nothing in projects.run(*words, "--sample").output


@pytest.mark.parametrize("words", [("maintain",), ("quarantine", "list"), ("model", "list"), ("key", "list")])
def test_a_command_says_that_it_is_about_other_data_beside_what_it_prints(
    projects: TwoProjects, words: tuple[str, ...]
) -> None:
    assert "Of other, which was run last" in projects.run(*words).stderr
    assert projects.run(*words, "--sample").stderr == ""


def test_an_overlay_that_the_environment_names_is_taken_as_it_is(
    projects: TwoProjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.remove("report.json")
    monkeypatch.setenv("PLINTH_PLATFORM", str(projects.overlay))
    projects.run("key", "create", "named", "--scope", "recommendations:read")
    assert names(projects.other.online_url()) == ["named valid"]
