"""Independent parts of a training, side by side: in this process, in threads, in processes, or on a Ray cluster.

What belongs here: handing tasks to joblib under the caps that the setting gives. What does not: what a task does. A task is a function of the
module's top level and its arguments, so that every way can carry it; its result depends on nothing else, so that every way gives the same model.

On one machine the tasks one after another are the default: each then has all threads of the profile. Ray pays where there are more machines;
on one it was slower (TRAPS: 11.6 s against 54.9 s for a small search on 2 cores).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from plinth.errors import ClusterUnavailable, ConfigurationError, DriverMissing
from plinth.secret import variable

T = TypeVar("T")

Tell = Callable[[str], None]
"""Hears how far a work of minutes has come, in words for people."""

_PROBE_SECONDS = 5.0


def silent(_: str) -> None:
    """Tells nobody."""


class FanOut(BaseModel):
    """How the independent parts of a training are spread; `training.fan_out` in platform.yaml.

    Attributes:
        backend: `none` does one task after another; `threads` and `processes` use this machine; `ray` a cluster.
        tasks: how many at once; on Ray no more than the cluster has processors.
        threads: cap of the threads of each task; 0 shares those of the profile among the
            tasks, and is 1 on Ray. A model's digest depends on it.
        address: of the Ray cluster: `host:port` of its head from a machine of the cluster, or `ray://host:port` from elsewhere.
        address_env: name of the environment variable that holds the address instead.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: Literal["none", "threads", "processes", "ray"] = "none"
    tasks: int = Field(default=1, ge=1)
    threads: int = Field(default=0, ge=0)
    address: str | None = None
    address_env: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.backend == "ray" and (self.address is None) == (self.address_env is None):
            raise ValueError("exactly one of address and address_env is expected where backend is ray")
        if self.backend != "ray" and (self.address or self.address_env):
            raise ValueError(f"address and address_env are for the backend ray, found {self.backend!r}")
        if self.backend == "none" and self.tasks != 1:
            raise ValueError(f"tasks above 1 need a backend: threads, processes or ray; found none with {self.tasks}")
        return self

    def threads_each(self, threads: int) -> int:
        """The cap of each task, of a profile with so many threads."""
        if self.threads:
            return self.threads
        # Ray counts one processor for a task of joblib's.
        return {"none": threads, "ray": 1}.get(self.backend, max(1, threads // self.tasks))

    def beside(self, threads: int, tasks: int) -> FanOut:
        """The same with as many of so many tasks at once as there are threads, where they would be done one after another.

        For tasks that use one thread well and several badly, and give the same with any number. What they hold at once grows with the threads.
        """
        slots = min(threads, tasks)
        if self.backend != "none" or self.threads or slots < 2:
            return self
        return FanOut(backend="threads", tasks=slots)

    def run(
        self,
        function: Callable[..., T],
        tasks: Sequence[tuple[Any, ...]],
        *,
        threads: int,
        what: str = "tasks",
        tell: Tell = silent,
    ) -> list[T]:
        """The results of a function for the arguments of each task, in their order.

        Args:
            threads: of the profile.
            what: the tasks are called so where `tell` hears how many are done.

        Raises:
            DriverMissing: Ray is not installed.
            ClusterUnavailable: the cluster does not answer, or lost a task too often.
            Whatever a task raises.
        """
        from plinth.threads import capped

        each = self.threads_each(threads)
        if self.backend == "none":
            with capped(each):
                return counted((function(*task) for task in tasks), len(tasks), what, tell)
        import joblib  # type: ignore[import-untyped]  # it has no types

        work = [joblib.delayed(_limited)(each, function, task) for task in tasks]
        with capped(each), ExitStack() as stack:
            slots, backend = self.tasks, {"threads": "threading", "processes": "loky", "ray": "ray"}[self.backend]
            options = {}
            if self.backend == "ray":
                slots = min(slots, stack.enter_context(_cluster(self._found_address())))
                # Ray would put all that need no processor of their own onto one node.
                options = {"ray_remote_args": {"num_cpus": 1}}
            stack.enter_context(joblib.parallel_config(backend, **options))
            # In their order: a task that takes long holds back the word of those after it, not their work. Ray's pool gives all at the end.
            gives = "list" if self.backend == "ray" else "generator"
            return counted(joblib.Parallel(n_jobs=slots, return_as=gives)(work), len(tasks), what, tell)

    def _found_address(self) -> str:
        return self.address or variable(self.address_env or "", "training.fan_out.address_env")


def counted(results: Iterable[T], of: int, what: str, tell: Tell) -> list[T]:
    """All of so many results; `tell` hears of each as it comes."""
    found: list[T] = []
    for each in results:
        found.append(each)
        tell(f"{what}: {len(found)} of {of} done")
    return found


def _limited(threads: int, function: Callable[..., T], task: tuple[Any, ...]) -> T:
    from plinth.threads import capped

    with capped(threads):
        return function(*task)


@contextmanager
def _cluster(address: str) -> Iterator[int]:
    """A connection to a Ray cluster, known to joblib, until the end; gives the processors that it has now."""
    # It would report its use to its makers; nothing of ours calls out.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        from ray.exceptions import RayError
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise DriverMissing(
            "training is to fan out to a Ray cluster, but Ray is not installed",
            expected="ray",
            found=error,
            where="platform.yaml, training.fan_out.backend",
            remedy="install requirements/ray.lock into this environment, or name another backend",
        ) from None
    _probe(address)
    try:
        ray.init(address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _unavailable(address, error) from error
    try:
        register_ray()  # type: ignore[no-untyped-call]
        yield max(1, int(ray.cluster_resources().get("CPU", 0)))  # type: ignore[no-untyped-call]
    except RayError as error:
        raise _unavailable(address, error) from error
    finally:
        ray.shutdown()


def _probe(address: str) -> None:
    # Ray would try a closed port for most of a minute.
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise ConfigurationError(
            "the address of the Ray cluster is none",
            expected="host:port, or ray://host:port",
            found=address,
            where="platform.yaml, training.fan_out.address",
        )
    try:
        socket.create_connection((host, port), timeout=_PROBE_SECONDS).close()
    except OSError as error:
        raise _unavailable(address, error) from None


def _unavailable(address: str, error: Exception) -> ClusterUnavailable:
    return ClusterUnavailable(
        "the Ray cluster cannot do the training's tasks; no model was registered",
        found=str(error).splitlines()[0] if str(error) else type(error).__name__,
        where=address,
        remedy="see that the head runs and that its workers have the same Plinth and Python, or name another backend in training.fan_out",
    )
