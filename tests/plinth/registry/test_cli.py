"""`plinth model` on the command line: tables, one command to roll back, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from plinth.cli import app
from plinth.platform import load_platform
from plinth.registry import Registry
from tests.plinth.registry.conftest import Save, register

pytestmark = pytest.mark.slow

# As wide as a pipe, and as the narrowest terminal that one meets.
RUN = CliRunner(env={"COLUMNS": "80"})


@pytest.fixture
def settings(tmp_path: Path, registry: Registry) -> Path:
    """A platform whose models are those of `registry`."""
    values = {
        "zones": {"here": {"root": "here", "clearance": ["public", "internal"]}},
        "layers": dict.fromkeys(("bronze", "silver", "gold", "ops"), "here"),
        "profiles": {"small": {"cpu": 1, "memory": "1GiB"}},
        "default_profile": "small",
        "stores": {"registry": "registry"},
    }
    file = tmp_path / "platform.yaml"
    file.write_text(yaml.safe_dump(values))
    assert Registry.of(load_platform(file)).store.uri == registry.store.uri
    return file


def run(settings: Path, *words: str) -> Result:
    return RUN.invoke(app, ["model", *words, "--platform", str(settings)])


def test_models_are_listed_shown_rolled_back_and_promoted(settings: Path, registry: Registry, save: Save) -> None:
    for name, value in (("a", 0.5), ("b", 0.6)):
        registry.challenge(register(registry, save(name), value), "recall", True, "june")
    listed = run(settings, "list")
    assert listed.exit_code == 0, listed.output
    assert "recall 0.6000 beats 0.5000" in " ".join(listed.output.split())
    assert "…" not in listed.output
    assert [line.split("  ")[:2] for line in listed.output.splitlines() if line.startswith("recommender")] == [
        ["recommender version 2", "champion"],
        ["recommender version 1", f"{registry.versions('recommender')[1].created_at:%Y-%m-%d %H:%M} UTC"],
    ]
    shown = run(settings, "show", "recommender")
    assert all(
        text in shown.output
        for text in ("recommender version 2", "gold/interactions", "settings.json", "depth", "c0de")
    )
    assert (
        "recommender version 1 is the champion, in the place of version 2"
        in run(settings, "rollback", "recommender").output
    )
    assert "rolled back" in run(settings, "list", "recommender").output
    assert "version 2 is the champion" in run(settings, "promote", "recommender", "2").output
    assert "already" in run(settings, "promote", "recommender", "2").output
    back = run(settings, "rollback", "recommender", "--to", "1", "--reason", "complaints")
    assert back.exit_code == 0 and registry.champion("recommender").version == 1  # type: ignore[union-attr]


def test_an_empty_registry_says_what_fills_it(settings: Path) -> None:
    assert "materialise models/" in run(settings, "list").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list", "recomender"), "there is no model 'recomender'"),
        (("show", "recommender", "9"), "recommender has no version 9"),
        (("show", "recommender"), "recommender has no champion"),
        (("rollback", "recommender"), "no earlier champion"),
        (("promote", "recommender", "9"), "no version 9"),
    ],
)
def test_a_refusal_says_what_there_is(
    settings: Path, registry: Registry, save: Save, words: tuple[str, ...], said: str
) -> None:
    register(registry, save("a"))
    refused = run(settings, *words)
    assert refused.exit_code == 1
    assert said in refused.output
    assert "what to do" in refused.output
    assert "Traceback" not in refused.output
