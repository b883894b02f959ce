"""However the parts of a training are spread, the model is the same, and what goes wrong is said."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from plinth.errors import ClusterUnavailable, ConfigurationError, DriverMissing, TableMissing
from plinth.fanout import FanOut
from plinth.promote import PropensitySettings, UpliftSettings, train_propensity, train_uplift
from plinth.promote.uplift import Candidate
from plinth.recommend import RecommenderSettings, train_recommender
from tests.plinth.promote.worlds import buyers, trial
from tests.plinth.recommend.conftest import Trade, trade
from tests.servers.ray import RayCluster

__all__ = ["trade"]

UPLIFT = UpliftSettings(candidates=(Candidate("hazard", 0.1), Candidate("two_models")), members=2)
CHANCES = PropensitySettings(iterations=40, share_of_features=0.4, members=1)
RANKER = RecommenderSettings(trees=10, cutoffs=2, seasons=0, leaf_rows=20)
HERE = [FanOut(threads=1), FanOut(backend="threads", tasks=2, threads=1), FanOut(backend="processes", tasks=2)]


def double(number: int) -> int:
    """A task."""
    time.sleep(0.2 / number)
    return 2 * number


def place(_: int) -> tuple[str, int]:
    """A task that says which node and process it runs in."""
    import ray

    time.sleep(0.5)
    return ray.get_runtime_context().get_node_id(), os.getpid()


def lack(name: str) -> None:
    """A task that fails as ours do."""
    raise TableMissing(f"the table {name} does not exist yet", where=name, remedy="materialise it")


def digests(fan_out: FanOut, trade: Trade, folder: Path) -> list[str]:
    """The bytes of an uplift, a propensity and a recommender that were trained so."""
    train_uplift(trial(1, effect=1.2).table, seed=3, threads=1, settings=UPLIFT, fan_out=fan_out).save(folder / "u")
    train_propensity(buyers(1).table, seed=3, threads=1, settings=CHANCES, fan_out=fan_out).save(folder / "p")
    train_recommender(trade.events, trade.items, at=trade.at, threads=1, seed=1, settings=RANKER, fan_out=fan_out).save(
        folder / "r"
    )
    return [
        hashlib.sha256(b"".join(path.read_bytes() for path in sorted((folder / name).iterdir()))).hexdigest()
        for name in ("u", "p", "r")
    ]


@pytest.mark.parametrize(
    "fan_out",
    [*HERE[:2], pytest.param(HERE[2], marks=pytest.mark.slow)],
    ids=lambda each: each.backend,
)
def test_results_come_in_the_order_of_the_tasks_and_faults_as_they_were_raised(fan_out: FanOut) -> None:
    said: list[str] = []
    assert fan_out.run(double, [(1,), (2,), (3,)], threads=2, what="numbers", tell=said.append) == [2, 4, 6]
    assert said == ["numbers: 1 of 3 done", "numbers: 2 of 3 done", "numbers: 3 of 3 done"]
    assert fan_out.run(double, [], threads=2) == []
    with pytest.raises(TableMissing) as caught:
        fan_out.run(lack, [("gold/orders",)], threads=2)
    assert (caught.value.where, caught.value.remedy) == ("gold/orders", "materialise it")


@pytest.mark.slow
def test_every_way_on_one_machine_gives_the_same_model(trade: Trade, tmp_path: Path) -> None:
    found = []
    for each in HERE:
        (tmp_path / each.backend).mkdir()
        found.append(digests(each, trade, tmp_path / each.backend))
    assert found[0] == found[1] == found[2]


def test_the_threads_of_the_profile_are_shared_among_the_tasks() -> None:
    assert FanOut().threads_each(4) == 4
    assert FanOut().beside(4, 6) == FanOut(backend="threads", tasks=4)
    assert FanOut().beside(16, 6).threads_each(16) == 2
    for kept in (FanOut(threads=1), FanOut(backend="processes", tasks=3)):
        assert kept.beside(4, 6) is kept, "what somebody has set stays"
    assert FanOut().beside(1, 6) == FanOut().beside(4, 1) == FanOut()
    assert FanOut(backend="processes", tasks=3).threads_each(4) == 1
    assert FanOut(backend="threads", tasks=2).threads_each(4) == 2
    assert FanOut(backend="ray", tasks=8, address="h:1").threads_each(4) == 1
    assert FanOut(backend="ray", tasks=8, threads=2, address="h:1").threads_each(4) == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"backend": "dask"}, "'none', 'threads', 'processes' or 'ray'"),
        ({"backend": "ray", "tasks": 2}, "exactly one of address and address_env"),
        ({"backend": "threads", "tasks": 2, "address": "h:1"}, "are for the backend ray"),
        ({"tasks": 2}, "need a backend"),
        ({"backend": "threads", "task": 2}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        FanOut.model_validate(wrong)


def test_a_cluster_that_cannot_be_used_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(address: str | None = None, variable: str | None = None) -> None:
        FanOut(backend="ray", tasks=2, address=address, address_env=variable).run(double, [(1,)], threads=1)

    with pytest.raises(ConfigurationError, match="THE_HEAD is not set"):
        asked(variable="THE_HEAD")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "ray", None)
        with pytest.raises(DriverMissing, match=r"requirements/ray\.lock"):
            asked("127.0.0.1:1")
    pytest.importorskip("ray", reason="Ray is not installed: install requirements/ray.lock")
    began = time.monotonic()
    with pytest.raises(ClusterUnavailable, match="see that the head runs"):
        asked("127.0.0.1:1")
    assert time.monotonic() - began < 30, "Ray's own attempts would take a minute"
    with pytest.raises(ConfigurationError, match="host:port"):
        asked("nowhere")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    pytest.importorskip("ray", reason="Ray is not installed: install requirements/ray.lock")
    started = RayCluster()
    yield started
    started.close()


@pytest.mark.slow
def test_two_nodes_of_ray_share_the_tasks_and_give_the_same_model(
    cluster: RayCluster, trade: Trade, tmp_path: Path
) -> None:
    fan_out = FanOut(backend="ray", tasks=2, address=cluster.address)
    found = fan_out.run(place, [(number,) for number in range(8)], threads=1)
    assert len({node for node, _ in found}) == 2
    assert os.getpid() not in {process for _, process in found}
    with pytest.raises(TableMissing):
        fan_out.run(lack, [("gold/orders",)], threads=1)
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    assert digests(fan_out, trade, tmp_path / "there") == digests(FanOut(threads=1), trade, tmp_path / "here")


@pytest.mark.slow
def test_who_is_no_node_of_the_cluster_reaches_it_as_a_client(cluster: RayCluster) -> None:
    fan_out = FanOut(backend="ray", tasks=2, address=cluster.client_address)
    for left in (2, 1, 0):
        # On a busy machine the head gives up its first server for a client before that is up ("Starting Ray client server failed").
        try:
            assert fan_out.run(double, [(1,), (2,), (3,)], threads=1) == [2, 4, 6]
            break
        except ClusterUnavailable:
            if not left:
                raise
    with pytest.raises(TableMissing) as caught:
        fan_out.run(lack, [("gold/orders",)], threads=1)
    assert (caught.value.where, caught.value.remedy) == ("gold/orders", "materialise it")
