"""Which profile a model gets that asks for `auto`: the smallest that fits by what its own runs have measured, with the reason in words.

What belongs here: the rules, as a pure function. What does not: where profiles and measurements come from (`plinth.transform.choosing`).

The rules. DuckDB computes as long as it takes under a minute or a size has room for it; only what is slower than that and fits none goes to
Spark. Among sizes that fit the cheapest is taken. A smaller one than the last run's is taken only where it has room to spare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from plinth.lakehouse.state import Measured

MINUTE = 60.0
"""Seconds that DuckDB may take before Spark is worth its start, which alone takes 10 to 30 s."""
MARGIN = 1.25
"""How far an estimate has to be beyond a bound before a choice is turned back: a machine's neighbours alone make a run a fifth slower."""

FAR = 10.0
"""How many times the measured rows an estimate reaches: a run over 200 rows is mostly its start, and a thousand times that says nothing."""
FIXED_MB = 300.0
"""MiB that Python, dbt and DuckDB hold however few the rows are (measured over 200 rows); only what is above it grows with them."""


@dataclass(frozen=True)
class Size:
    """A profile as the choice sees it: its memory in MiB, its engine, and what it costs, in whatever unit all sizes share."""

    name: str
    memory_mb: float
    engine: str
    price: float


@dataclass(frozen=True)
class Sizes:
    """The sizes that may be chosen, in order: those of DuckDB before those of Spark, each by price.

    Attributes:
        sizes: at least one.
        default: the name of the one for what has no history; one of them.
        priced_by: what `Size.price` is, in words.
    """

    sizes: tuple[Size, ...]
    default: str
    priced_by: str

    def of(self, engine: str) -> tuple[Size, ...]:
        """The sizes of an engine, the cheapest first."""
        return tuple(size for size in self.sizes if size.engine == engine)

    def place(self, name: str) -> int:
        """Where a size stands in the order."""
        return next(at for at, size in enumerate(self.sizes) if size.name == name)


@dataclass(frozen=True)
class Choice:
    """A profile, its engine, and one sentence that says why; `auto` where it was chosen by these rules."""

    profile: str
    engine: str
    reason: str
    auto: bool = True


@dataclass(frozen=True)
class Estimate:
    """What DuckDB will take for so many input rows: seconds, and memory in MiB; `far` where the rows are beyond what it reaches."""

    seconds: float
    peak_mb: float
    far: bool


def in_order(sizes: Sequence[Size], default: str, priced_by: str) -> Sizes:
    """Sizes in the order in which they are tried."""
    ordered = sorted(sizes, key=lambda size: (size.engine != "duckdb", size.price, size.memory_mb, size.name))
    return Sizes(tuple(ordered), default, priced_by)


def choose(sizes: Sizes, rows_in: int, history: Sequence[Measured], short: str | None = None) -> Choice:
    """The profile for the next run of a model.

    Args:
        rows_in: rows of its inputs, all together.
        history: what its newest runs have measured, the newest first.
        short: the profile in which it has just run out of memory.
    """
    if short is not None and short in {size.name for size in sizes.sizes}:
        return _step_up(sizes, short)
    if not sizes.of("duckdb"):
        return _chosen(sizes.sizes[0], f"there is no profile of DuckDB, whatever the {rows_in:,} input rows take")
    runs = [run for run in history if run.engine == "duckdb"]
    if not runs:
        size = sizes.sizes[sizes.place(sizes.default)]
        seen = f"none of its {len(history)} measured runs was on DuckDB" if history else "no run of it was measured yet"
        return _chosen(
            size, f"{seen}, so it gets the default profile of {size.memory_mb:,.0f} MiB for {rows_in:,} input rows"
        )
    estimate = _extrapolated(runs, rows_in)
    last = next((size for size in sizes.sizes if size.name == history[0].profile), None)
    # From DuckDB to Spark only where it is clearly slower than a minute; back as soon as it is not.
    spark_from = MINUTE * MARGIN if last is not None and last.engine == "duckdb" else MINUTE
    wanted = _smallest(sizes, estimate.seconds, estimate.peak_mb, spark_from)
    roomy = _smallest(sizes, estimate.seconds, estimate.peak_mb * MARGIN, spark_from)
    size = wanted
    if last is not None and sizes.place(last.name) > sizes.place(wanted.name):
        size = min(last, roomy, key=lambda each: sizes.place(each.name))
    return _chosen(size, _why(sizes, size, wanted, estimate, rows_in, len(runs)))


def _extrapolated(runs: Sequence[Measured], rows_in: int) -> Estimate:
    """In proportion to the rows: the median of the seconds, as one run on a busy machine says little, and the highest of the peaks."""
    grown = [(run, rows_in / run.rows_in if run.rows_in > 0 else 1.0) for run in runs]
    seconds = median(run.seconds * min(times, FAR) for run, times in grown)
    peaks = [run.peak_mb + max(run.peak_mb - FIXED_MB, 0.0) * (min(times, FAR) - 1.0) for run, times in grown]
    return Estimate(seconds, max(peaks), far=all(times > FAR for _, times in grown))


def _smallest(sizes: Sizes, seconds: float, peak_mb: float, spark_from: float) -> Size:
    duckdb, spark = sizes.of("duckdb"), sizes.of("spark")
    room = [size for size in duckdb if size.memory_mb >= peak_mb]
    if room:
        return room[0]
    if spark and seconds >= spark_from:
        return spark[0]
    return _roomiest(duckdb)


def _roomiest(sizes: Sequence[Size]) -> Size:
    return max(sizes, key=lambda size: size.memory_mb)


def _step_up(sizes: Sizes, short: str) -> Choice:
    """The next size with more memory: of the same engine, else of Spark, which holds no table as a whole."""
    was = sizes.sizes[sizes.place(short)]
    larger = [size for size in sizes.of(was.engine) if size.memory_mb > was.memory_mb]
    larger += [size for size in sizes.of("spark") if size.engine != was.engine]
    if not larger:
        return _chosen(was, f"it ran out of memory in {was.name} ({was.memory_mb:,.0f} MiB), and no profile has more")
    return _chosen(
        larger[0],
        f"it ran out of memory in {was.name} ({was.memory_mb:,.0f} MiB), so it gets the next size, of {larger[0].memory_mb:,.0f} MiB",
    )


def _chosen(size: Size, reason: str) -> Choice:
    engine = "DuckDB" if size.engine == "duckdb" else "Spark"
    return Choice(size.name, size.engine, f"{engine} in {size.name}: {reason}")


def _why(sizes: Sizes, size: Size, wanted: Size, estimate: Estimate, rows_in: int, runs: int) -> str:
    """The sentence for a choice by history, with the numbers that it rests on."""
    measured = (
        f"{rows_in:,} input rows take DuckDB {'at least' if estimate.far else 'about'} {estimate.seconds:,.1f} s and {estimate.peak_mb:,.0f} MiB "
        f"by {runs} measured run{'s' if runs > 1 else ''}"
    )
    if size.engine == "spark":
        largest = _roomiest(sizes.of("duckdb")).memory_mb
        end = f"more than a minute and than the {largest:,.0f} MiB of its largest profile"
        if size is not wanted:
            end = f"too near the {largest:,.0f} MiB of its largest profile to leave Spark"
        return f"{measured}, {end}"
    if size is not wanted:
        return f"{measured}, and {wanted.name} with {wanted.memory_mb:,.0f} MiB would have too little to spare after a larger profile"
    if size.memory_mb >= estimate.peak_mb:
        return f"{measured}, and of the profiles that have room {size.name} with {size.memory_mb:,.0f} MiB is the cheapest by {sizes.priced_by}"
    why = "which is no work for Spark" if sizes.of("spark") else "and no profile has more memory"
    return f"{measured}, more than its {size.memory_mb:,.0f} MiB, so that it spills to disk, {why}"
