"""How a profile's memory is shared where Spark computes: its JVM, DuckDB beside it, and what both hold besides.

What belongs here: the shares, their bounds, and what is refused. What does not: the other settings of a session (`plinth.spark.session`), and a process
without Spark (`plinth.engine`).

Measured on 3 to 6 million rows that were grouped, sorted, joined and written as Delta, on 2 cores: a JVM held 560 MiB beyond a heap of 563, and 743 beyond
1,689, so half a gigabyte (classes, compiled code, buffers of compression and network) and an eighth of its heap. Python held 250 MiB beside it, and DuckDB
up to a quarter more than its limit. Shares of the whole profile, as they were before, let a step of 1 GiB take 1,677 MiB, and one of 3 GiB 3,300.
"""

from __future__ import annotations

from collections.abc import Mapping

from plinth.profile import OUTSIDE, Profile

OUTSIDE_HEAP = 512 * 2**20
"""Bytes that a JVM with Spark holds whatever its heap."""
# Of what Python and the JVM leave; the fifth that is left over is for what grows with these two.
_HEAP, _BESIDE = 0.6, 0.2
# Spark itself refuses a heap of less than 450 MiB.
LEAST_HEAP = 480 * 2**20
LEAST_LOCAL = int(LEAST_HEAP / _HEAP) + OUTSIDE + OUTSIDE_HEAP
"""Bytes of the smallest profile in which Spark computes on the step's own machine."""
# An executor of a cluster has its own machine or pod, for which Spark adds a tenth to the heap, and this at least.
_EXECUTOR, _OVERHEAD = 0.8, 384 * 2**20
LEAST_EXECUTOR = LEAST_HEAP + _OVERHEAD
# Spark's own default of a driver that only directs executors.
_DRIVER = 2**30


def is_local(master: str) -> bool:
    """Whether Spark computes in the step's own JVM."""
    return master.startswith("local")


def heap_of(profile: Profile) -> int:
    """Bytes of the heap of a JVM beside the step's Python, so that both and DuckDB keep within the profile."""
    return int(max(0, profile.memory - OUTSIDE - OUTSIDE_HEAP) * _HEAP)


def heap_of_driver(profile: Profile) -> int:
    """Bytes of the heap of a driver that directs executors elsewhere."""
    return max(LEAST_HEAP, min(_DRIVER, heap_of(profile)))


def heap_of_executor(profile: Profile) -> int:
    """Bytes of an executor's heap, so that with what Spark adds it keeps within the profile."""
    return min(int(profile.memory * _EXECUTOR), profile.memory - _OVERHEAD)


def beside_spark(profile: Profile) -> int:
    """Bytes of DuckDB, which beside Spark only tests what that has made."""
    return int(max(0, profile.memory - OUTSIDE - OUTSIDE_HEAP) * _BESIDE)


def least_memory(master: str) -> int:
    """Bytes of the smallest profile with which Spark can be used so."""
    return LEAST_LOCAL if is_local(master) else LEAST_EXECUTOR


def check_spark(master: str | None, profiles: Mapping[str, Profile]) -> None:
    """Holds that each profile of Spark's has room for it.

    Args:
        master: None where a Connect server computes, whose memory is its own.

    Raises:
        ValueError: one has not; the message names key, expectation and what was found.
    """
    for name, profile in profiles.items():
        if master is not None and profile.engine == "spark" and profile.memory < least_memory(master):
            raise ValueError(
                f"profiles.{name}.memory: at least {-(-least_memory(master) // 2**20)}MiB is expected with engine spark and the master {master}, "
                f"found {profile.memory // 2**20}MiB"
            )
