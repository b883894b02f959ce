"""Profiles of `platform.yaml`: what is taken, and what is refused with the key and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from plinth.errors import ConfigurationError
from plinth.platform import Platform, load_platform
from plinth.profile import GRANTED_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, Any] = {"cpu": 1, "memory": "1GiB"}


def loaded(folder: Path, profiles: dict[str, Any], **more: Any) -> Platform:
    """A platform of one zone with these profiles, read from its file."""
    settings = {
        "zones": {"here": {"root": "here", "clearance": ["public", "internal", "confidential", "restricted"]}},
        "layers": dict.fromkeys(("bronze", "silver", "gold", "ops"), "here"),
        "profiles": {"small": SMALL, **profiles},
        "default_profile": "small",
        **more,
    }
    file = folder / "platform.yaml"
    file.write_text(yaml.safe_dump(settings))
    return load_platform(file)


def test_the_projects_own_file_shows_every_kind_of_profile() -> None:
    profiles = load_platform(ROOT / "platform.yaml").profiles
    assert profiles["small"].next == "memory" and profiles["memory"].memory == 4 * 2**30
    assert (profiles["spark"].engine, profiles["spark"].scratch) == ("spark", 50 * 2**30)
    assert profiles["gpu"].gpu == 1 and profiles["gpu"].tolerations[0].key == "nvidia.com/gpu"


def test_the_projects_own_profiles_can_be_pods_without_more_settings(tmp_path: Path) -> None:
    overlay = tmp_path / "cluster.yaml"
    overlay.write_text("execution: {executor: kubernetes}")
    assert load_platform(ROOT / "platform.yaml", overlay).execution.executor == "kubernetes"


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    small = loaded(tmp_path, {}).profile()
    assert (small.threads, small.engine, small.gpu, small.spot, small.scratch, small.next) == (1, "duckdb", 0, False, None, None)  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"engine": "pandas"}, r"profiles\.big\.engine: .*'duckdb' or 'spark'.*found 'pandas'"),
        ({"scratch": "50 gigs"}, r"profiles\.big\.scratch: a size such as 512MiB or 2GiB is expected, found '50 gigs'"),
        ({"gpu": -1}, r"profiles\.big\.gpu: .*greater than or equal to 0"),
        ({"cpu": float("inf")}, r"profiles\.big\.cpu: .*less than or equal to 1024, found inf"),
        ({"cpu": 2000}, r"profiles\.big\.cpu: .*less than or equal to 1024"),
        ({"threads": 100_000}, r"profiles\.big\.threads: .*less than or equal to 1024"),
        ({"memory": "9" * 20 + "GiB"}, r"profiles\.big\.memory: .*less than or equal to 70368744177664"),
        ({"price": float("inf")}, r"profiles\.big\.price: .*finite"),
        ({"spott": True}, r"profiles\.big\.spott: unknown key; allowed here: cpu, memory.*did you mean 'spot'"),
        ({"node_selector": {"a b": "c"}}, r"profiles\.big\.node_selector: a label such as .*found 'a b': 'c'"),
        ({"tolerations": [{"key": "x", "operator": "In"}]}, r"tolerations\.0\.operator: .*'Equal' or 'Exists'"),
        ({"tolerations": [{"key": "x"}]}, r"tolerations\.0: operator Equal: a key and a value are expected"),
        ({"tolerations": [{"operator": "Exists", "value": "x"}]}, r"operator Exists: no value is expected"),
        ({"tolerations": [{"operator": "Exists", "efect": "x"}]}, r"tolerations\.0\.efect: unknown key; allowed here: .*'effect'"),
        ({"tolerations": [{"operator": "Exists", "tolerationSeconds": 5}]}, r"only effect NoExecute has them"),
        ({"next": "bigg"}, r"profiles\.big\.next: a profile is expected, one of big, small; found 'bigg' \(did you mean 'big'"),
        ({"next": "big"}, r"profiles\.big\.next: a profile with more memory"),
        ({"next": "small"}, r"profiles\.big\.next: a profile with more memory than 2147483648 bytes"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_key_and_what_is_allowed(
    tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        loaded(tmp_path, {"big": {"cpu": 2, "memory": "2GiB", **wrong}})
    assert str(tmp_path / "platform.yaml") in str(refused.value)


def test_the_next_profile_has_no_less_of_anything(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"profiles\.big\.next: at least as much cpu \(2\.0\) is expected, found 1\.0"
    ):
        loaded(tmp_path, {"big": {"cpu": 2, "memory": "2GiB", "next": "wide"}, "wide": {"cpu": 1, "memory": "4GiB"}})
    with pytest.raises(ConfigurationError, match=r"no less scratch disk"):
        loaded(tmp_path, {"big": {"cpu": 2, "memory": "2GiB", "next": "wide"}, "wide": {"cpu": 2, "memory": "4GiB", "scratch": "1GiB"}})  # fmt: skip


def test_the_pod_of_a_larger_profile_works_within_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GRANTED_VARIABLE, "big")
    platform = loaded(tmp_path, {"big": {"cpu": 2, "memory": "2GiB"}})
    assert platform.profile("small").memory == 2 * 2**30
    assert platform.declared("small").memory == 2**30
    monkeypatch.setenv(GRANTED_VARIABLE, "gone")
    with pytest.raises(ConfigurationError, match="PLINTH_PROFILE: a profile is expected, one of small; found 'gone'"):
        loaded(tmp_path, {})


def test_spot_pods_need_to_be_told_where_spot_nodes_are(tmp_path: Path) -> None:
    cheap = {"cheap": {**SMALL, "spot": True}}
    loaded(tmp_path, cheap)
    with pytest.raises(ConfigurationError, match=r"execution\.kubernetes\.spot: .*profiles\.cheap\.spot is set"):
        loaded(tmp_path, cheap, execution={"executor": "kubernetes"})
    with pytest.raises(ConfigurationError, match=r"execution\.kubernetes\.imagee: unknown key; .*did you mean 'image'"):
        loaded(tmp_path, {}, execution={"kubernetes": {"imagee": "x"}})
    with pytest.raises(ConfigurationError, match=r"execution\.kubernetes\.in_run: a profile is expected"):
        loaded(tmp_path, {}, execution={"executor": "kubernetes", "kubernetes": {"in_run": ["tiny"]}})


def test_a_pod_too_small_for_a_process_is_refused_and_on_one_machine_it_is_a_setting_as_any_other(
    tmp_path: Path,
) -> None:
    tiny = {"tiny": {"cpu": 1, "memory": "256MiB"}}
    assert loaded(tmp_path, tiny).profile("tiny").memory == 256 * 2**20
    with pytest.raises(
        ConfigurationError, match=r"profiles\.tiny\.memory: at least 512MiB is expected of a pod.*found 256MiB"
    ):
        loaded(tmp_path, tiny, execution={"executor": "kubernetes"})
