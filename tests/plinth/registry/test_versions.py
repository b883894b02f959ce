"""What is registered comes back as it was, or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plinth.registry import ModelMissing, ModelTampered, Registry, RegistryRefused
from plinth.registry.content import digest_of, hashes_of
from tests.plinth.registry.conftest import PNG, Save, register, registry_in


def test_a_version_holds_all_that_it_was_made_from(registry: Registry, save: Save) -> None:
    made = register(registry, save("a"), tags={"plinth/reason": "first"})
    found = registry.version("recommender", made.version)
    assert found == made
    assert (found.metrics, found.parameters, found.inputs) == (
        {"recall": 0.5},
        {"depth": "3"},
        {"gold/interactions": 7},
    )
    assert (found.seed, found.code, found.origin, found.evaluated_on) == (11, "c0de", "from a", "june")
    assert found.tags == {"plinth/reason": "first"}
    assert found.digest == digest_of(hashes_of(save("a")))
    assert registry.plots(found) == {"recall": PNG}


def test_mlflow_itself_shows_figures_settings_and_inputs(registry: Registry, save: Save) -> None:
    run = registry.store.client.get_run(register(registry, save("a")).run_id)
    assert run.data.metrics == {"recall": 0.5}
    assert run.data.params == {"depth": "3"}
    assert [(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs] == [
        ("gold/interactions", "7")
    ]
    assert run.info.status == "FINISHED"


def test_files_come_back_byte_for_byte(registry: Registry, save: Save) -> None:
    made = register(registry, save("a"))
    folder = registry.fetch(made)
    assert hashes_of(folder) == hashes_of(save("a"))
    assert registry.fetch(made) == folder


def test_an_equal_model_is_not_registered_twice(registry: Registry, save: Save) -> None:
    first = register(registry, save("a"))
    again = register(registry, save("a"), value=0.9, inputs={"gold/interactions": 8})
    assert again == first
    assert [each.version for each in registry.versions("recommender")] == [1]


def test_an_equal_model_of_other_tables_is_found_by_these_from_then_on(registry: Registry, save: Save) -> None:
    register(registry, save("a"), origin="june")
    again = register(registry, save("a"), origin="july")
    assert registry.find("recommender", origin="july") == again
    assert (again.version, again.inputs) == (1, {"gold/interactions": 7})


def test_the_version_of_an_origin_is_found_before_anything_is_trained(registry: Registry, save: Save) -> None:
    register(registry, save("a"))
    second = register(registry, save("b"))
    assert registry.find("recommender", origin="from b") == second
    assert registry.find("recommender", origin="from c") is None


def test_a_registry_that_nobody_wrote_to_is_empty_and_is_not_made_by_reading(tmp_path: Path) -> None:
    registry = registry_in(tmp_path / "none")
    assert (registry.models(), registry.versions("recommender"), registry.champion("recommender")) == ([], [], None)
    assert registry.version("recommender", 1) is None
    assert not (tmp_path / "none").exists()


def test_a_version_of_another_tool_is_left_alone(registry: Registry, save: Save) -> None:
    register(registry, save("a"))
    registry.store.client.create_model_version("recommender", "file:///elsewhere", await_creation_for=0)
    assert [each.version for each in registry.versions("recommender")] == [1]
    assert registry.version("recommender", 2) is None


def artefacts(registry: Registry) -> Path:
    """The folder that the artefact store keeps the only model's files in."""
    (found,) = (registry.store.root / "artifacts" / "recommender").glob("*/artifacts/model")
    return found


@pytest.mark.parametrize("cached", [False, True])
def test_a_changed_file_is_named_and_nothing_is_handed_out(registry: Registry, save: Save, cached: bool) -> None:
    made = register(registry, save("a"))
    file = artefacts(registry) / "arrays" / "weights.npz"
    file.write_bytes(b"b")
    if cached:
        (registry.store.root / "fetched" / made.digest).mkdir(parents=True)
    with pytest.raises(ModelTampered, match=r"arrays/weights\.npz") as refused:
        registry.fetch(made)
    assert made.files["arrays/weights.npz"] in str(refused.value.expected)
    assert refused.value.remedy is not None and "rollback recommender" in refused.value.remedy
    assert not (registry.store.root / "fetched" / made.digest / "settings.json").exists()


def test_an_added_and_a_missing_file_are_tampering_too(registry: Registry, save: Save) -> None:
    made = register(registry, save("a"))
    (artefacts(registry) / "extra.pkl").write_bytes(b"x")
    with pytest.raises(ModelTampered, match=r"extra\.pkl"):
        registry.fetch(made)
    (artefacts(registry) / "extra.pkl").unlink()
    (artefacts(registry) / "settings.json").unlink()
    with pytest.raises(ModelTampered, match=r"settings\.json"):
        registry.fetch(made)
    shutil.rmtree(artefacts(registry))
    with pytest.raises(ModelTampered, match="gone"):
        registry.fetch(made)


def test_a_link_out_of_the_model_is_refused(registry: Registry, save: Save, tmp_path: Path) -> None:
    made = register(registry, save("a"))
    (tmp_path / "other").write_bytes(b"a")
    (artefacts(registry) / "arrays" / "weights.npz").unlink()
    os.symlink(tmp_path / "other", artefacts(registry) / "arrays" / "weights.npz")
    with pytest.raises(RegistryRefused, match="no plain file"):
        registry.fetch(made)
    os.symlink(tmp_path / "other", save("b") / "link")
    with pytest.raises(RegistryRefused, match="no plain file"):
        register(registry, save("b"))


def test_a_spoiled_copy_is_fetched_anew(registry: Registry, save: Save) -> None:
    made = register(registry, save("a"))
    (registry.fetch(made) / "settings.json").write_text("{}")
    assert hashes_of(registry.fetch(made)) == made.files


def test_hashes_that_do_not_make_up_the_digest_are_refused(registry: Registry, save: Save) -> None:
    made = register(registry, save("a"))
    (artefacts(registry) / "settings.json").write_text("{}")
    forged = hashes_of(artefacts(registry))
    import json

    registry.store.client.set_model_version_tag("recommender", "1", "plinth.files", json.dumps(forged))
    found = registry.version("recommender", made.version)
    assert found is not None
    with pytest.raises(ModelTampered, match="contradicts itself"):
        registry.fetch(found)


def test_a_moved_project_reads_its_models_and_registers_new_ones(
    registry: Registry, save: Save, tmp_path: Path
) -> None:
    old = register(registry, save("a"))
    moved = registry_in(Path(shutil.move(registry.store.root, tmp_path / "elsewhere")))
    assert hashes_of(moved.fetch(old)) == old.files
    new = register(moved, save("b"))
    assert hashes_of(moved.fetch(new)) == new.files
    assert not registry.store.root.exists()


@pytest.mark.parametrize("name", ["../x", "a/b", "A", "", "a'; DROP TABLE runs; --"])
def test_a_name_that_is_none_is_refused(registry: Registry, save: Save, name: str) -> None:
    with pytest.raises(ModelMissing, match="no name of a model"):
        registry.champion(name)


def test_a_training_that_fails_leaves_no_version(registry: Registry, save: Save) -> None:
    folder = save("a")
    with pytest.raises(FileNotFoundError):
        register(registry, folder, plots={"no/such/folder": PNG})
    assert registry.versions("recommender") == []
    (experiment,) = [each for each in registry.store.client.search_experiments() if each.name == "plinth/recommender"]
    assert [run.info.status for run in registry.store.client.search_runs([experiment.experiment_id])] == ["FAILED"]


@settings(max_examples=60, deadline=None)
@given(
    one=st.dictionaries(st.text(min_size=1).filter(lambda text: "\0" not in text), st.sampled_from("abc")),
    other=st.dictionaries(st.text(min_size=1).filter(lambda text: "\0" not in text), st.sampled_from("abc")),
)
def test_digests_are_equal_exactly_where_the_files_are(one: dict[str, str], other: dict[str, str]) -> None:
    assert (digest_of(one) == digest_of(other)) == (one == other)
    assert digest_of(dict(reversed(one.items()))) == digest_of(one)
