"""Old versions lose their files, never their record, and never those that serve or could serve next."""

from __future__ import annotations

from pathlib import Path

import pytest

from plinth.registry import ModelMissing, RegisteredVersion, Registry
from tests.plinth.registry.conftest import Save, register

pytestmark = pytest.mark.slow


def files_of(registry: Registry) -> set[int]:
    """The versions whose files are there."""
    runs = {each.run_id: each.version for each in registry.versions("recommender")}
    return {runs[path.parents[2].name] for path in (registry.store.root / "artifacts").rglob("model/settings.json")}


def five(registry: Registry, save: Save) -> list[RegisteredVersion]:
    """Five versions of which the second became champion after the first."""
    made = []
    for name, value in (("a", 0.5), ("b", 0.9), ("c", 0.6), ("d", 0.7), ("e", 0.8)):
        made.append(register(registry, save(name), value))
        registry.challenge(made[-1], "recall", True, "june")
        registry.fetch(made[-1])
    return made


def test_files_of_old_versions_go_and_what_is_known_of_them_stays(registry: Registry, save: Save) -> None:
    made = five(registry, save)
    assert files_of(registry) == {1, 2, 3, 4, 5}
    assert registry.prune("recommender", 1) == [4, 3]
    assert files_of(registry) == {1, 2, 5}, "the champion, the one before it, and the newest, which is the challenger"
    assert registry.prune("recommender", 1) == []
    old = registry.version("recommender", 3)
    assert old is not None and old.metrics == {"recall": 0.6} and old.decision is not None
    assert old.pruned is not None and "1 are kept" in old.pruned
    assert registry.plots(old), "plots are small and stay"
    champion = registry.champion("recommender")
    assert champion is not None and registry.fetch(champion).is_dir()
    assert {path.name for path in (registry.store.root / "fetched").iterdir()} == {made[0].digest, made[1].digest}


def test_a_version_without_files_cannot_be_served_and_says_why(registry: Registry, save: Save) -> None:
    five(registry, save)
    registry.prune("recommender", 1)
    old = registry.version("recommender", 3)
    assert old is not None
    for ask in (
        lambda: registry.promote("recommender", 3),
        lambda: registry.rollback("recommender", 3),
        lambda: registry.fetch(old),
    ):
        with pytest.raises(ModelMissing, match="were removed"):
            ask()
    assert registry.rollback("recommender").version == 1


def test_an_equal_model_is_registered_anew_where_the_files_of_the_old_one_are_gone(
    registry: Registry, save: Save, tmp_path: Path
) -> None:
    five(registry, save)
    registry.prune("recommender", 1)
    again = register(registry, save("c"), 0.6)
    assert again.version == 6
    assert registry.fetch(again).is_dir()
