"""On which executor runs work: processes of one machine, or pods of a cluster (`execution` in platform.yaml)."""

from __future__ import annotations

import importlib.util
import math
import multiprocessing

import dagster as dg

from plinth.errors import ConfigurationError
from plinth.platform import Platform


def platform_executor(platform: Platform) -> dg.ExecutorDefinition:
    """The executor that the platform names.

    Raises:
        ConfigurationError: it names pods, and what makes them is not installed.
    """
    if platform.execution.executor == "multiprocess":
        return _processes(platform)
    if importlib.util.find_spec("dagster_k8s") is None:
        raise ConfigurationError(
            "the executor kubernetes is not installed",
            expected="the extra kubernetes of this project",
            found="no package dagster_k8s",
            where="platform.yaml, execution.executor",
            remedy="install requirements/kubernetes.lock into this environment, or set execution.executor to multiprocess",
        )
    # dagster-k8s and the client below it take a second to load, and laptops never ask for them.
    from jobs.pods import pod_executor

    return pod_executor(platform)


def _processes(platform: Platform) -> dg.ExecutorDefinition:
    """A process per step, as many at once as the default profile has processors.

    Dagster's own default is the processors of the node, which a container with a limit of two does not have. A step's process is forked from a server
    that holds nothing but imports (deltalake panics in a fork of a process that has used it): a refresh of the sample with nothing to do, of 44
    steps, takes 82 CPU seconds so and 164 with processes that begin from nothing (one run of each).
    """
    begun = {"forkserver": {"preload_modules": ["jobs.preload"]}}
    if "forkserver" not in multiprocessing.get_all_start_methods():
        begun = {"spawn": {}}
    return dg.multiprocess_executor.configured(
        {"max_concurrent": max(1, math.floor(platform.profile().cpu)), "start_method": begun}
    )
