"""On which executor runs work."""

from __future__ import annotations

import math

import dagster as dg

from plinth.platform import Platform


def platform_executor(platform: Platform) -> dg.ExecutorDefinition:
    """A process per step, as many at once as the default profile has processors.

    Dagster's own default is the processors of the node, which a container with a limit of two does not have. Processes are spawned:
    deltalake panics after a fork.
    """
    return dg.multiprocess_executor.configured(
        {"max_concurrent": max(1, math.floor(platform.profile().cpu)), "start_method": {"spawn": {}}}
    )
