"""The sizes that a platform offers to models that ask for `auto`, and what their runs have measured.

What belongs here: from `platform.yaml` and the commits of a table to the arguments of `choose`, and the measuring itself. What does not: the
rules (`plinth.transform.choice`).
"""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from plinth.lakehouse.state import Measured
from plinth.platform import Platform
from plinth.profile import AUTO, Profile, prices
from plinth.resident import resident_bytes
from plinth.transform.choice import Choice, Size, Sizes, choose, in_order

if TYPE_CHECKING:
    import duckdb

KEPT = 5
"""Measurements that a table carries on: enough for a median that one slow run does not move."""
_LOOK_SECONDS = 0.05


def asked(platform: Platform, profile: str | None) -> str:
    """The name that a model asks for, which may be `auto`: its own, or the platform's default."""
    return profile or platform.default_profile


def sizes_of(platform: Platform) -> Sizes:
    """The profiles that may be chosen: without graphics processors, which no model uses, and Spark's where pyspark is installed.

    In a pod only those that are no larger than it.
    """
    spark = importlib.util.find_spec("pyspark") is not None
    room = platform.profile().memory if platform.granted is not None else None
    base = platform.base_profile
    may = {
        name: profile
        for name, profile in platform.profiles.items()
        if not profile.gpu and (spark or profile.engine != "spark") and (room is None or profile.memory <= room)
    }
    may = may or {base: platform.declared(base)}
    costs, priced_by = prices(may)
    sizes = [Size(name, each.memory / 2**20, each.engine, costs[name]) for name, each in may.items()]
    ordered = in_order(sizes, base, priced_by)
    return ordered if base in may else in_order(sizes, ordered.sizes[0].name, priced_by)


def may_choose(platform: Platform, profile: str | None) -> tuple[str, ...]:
    """The profiles that a model may come to have: what it asks for, or all that `auto` chooses from, in whatever pod this is asked."""
    name = asked(platform, profile)
    anywhere = platform.model_copy(update={"granted": None})
    return tuple(size.name for size in sizes_of(anywhere).sizes) if name == AUTO else (name,)


def choice_for(
    platform: Platform, profile: str | None, rows_in: int, history: Sequence[Measured], short: str | None
) -> Choice:
    """The profile that a model gets: the one that it names, or for `auto` the one that fits.

    Args:
        profile: what the model's `meta` asks for.
        rows_in, history, short: see `choose`.

    Raises:
        ConfigurationError: there is no such profile.
    """
    name = asked(platform, profile)
    if name == AUTO:
        return choose(sizes_of(platform), rows_in, history, short)
    reason = f"the model asks for {name}" if profile else f"{name} is the default profile"
    return Choice(name, platform.declared(name).engine, reason, auto=False)


def limits_of(platform: Platform, profile: str | None, choices: Sequence[Choice]) -> Profile:
    """What a run may use: the largest profile that a model was given, or the run's own; its engine is Spark's where a model goes there."""
    profiles = [platform.profile(name) for name in (profile, *(choice.profile for choice in choices))]
    engine = "spark" if any(choice.engine == "spark" for choice in choices) else "duckdb"
    return max(profiles, key=lambda each: each.memory).model_copy(update={"engine": engine})


def ran_short(platform: Platform, limits: Profile) -> str | None:
    """The largest profile of DuckDB that limits comprise: the one to step up from where they were too small; None where that leads nowhere."""
    sizes = sizes_of(platform)
    within = [size for size in sizes.of("duckdb") if size.memory_mb <= limits.memory / 2**20]
    if not within:
        return None
    short = max(within, key=lambda size: size.memory_mb).name
    return short if choose(sizes, 0, (), short).profile != short else None


def noted(history: Sequence[Measured], run: Measured) -> tuple[Measured, ...]:
    """The measurements to carry on: the newest ones, and among them the last one of DuckDB, by which Spark is left again."""
    runs = (run, *history)
    kept = runs[:KEPT]
    if any(each.engine == "duckdb" for each in kept):
        return kept
    last = next((each for each in runs if each.engine == "duckdb"), None)
    return kept if last is None else (*kept[: KEPT - 1], last)


class Meter:
    """Wall time and the highest memory of this process, between entering and leaving.

    The memory is the resident set, which is what a kill goes by, and what DuckDB has spilled to disk: DuckDB stays within any limit, so without
    that everything would fit. It is that of the whole process: models that are computed side by side count for each other, so it says too much
    rather than too little.

    Args:
        con: of the database that computes; the meter asks by a cursor of its own.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con.cursor()
        self.seconds = 0.0
        self.peak_mb = 0.0
        self._began = 0.0
        self._end = threading.Event()
        self._watch = threading.Thread(target=self._look, name="meter", daemon=True)

    def __enter__(self) -> Meter:
        self._began = time.perf_counter()
        self.peak_mb = self._held_mb()
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._watch.join()
        self.peak_mb = max(self.peak_mb, self._held_mb())
        self.seconds = time.perf_counter() - self._began

    def measured(self, rows_in: int, rows: int, choice: Choice) -> Measured:
        """What was measured, for the commit."""
        return Measured(
            rows_in, rows, round(self.seconds, 3), round(self.peak_mb, 1), profile=choice.profile, engine=choice.engine
        )

    def _look(self) -> None:
        while not self._end.wait(_LOOK_SECONDS):
            self.peak_mb = max(self.peak_mb, self._held_mb())

    def _held_mb(self) -> float:
        found = self._con.execute("SELECT coalesce(sum(temporary_storage_bytes), 0) FROM duckdb_memory()").fetchone()
        return resident_bytes() / 2**20 + float((found or (0,))[0]) / 2**20
