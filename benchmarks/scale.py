"""The refresh at growing sizes: how its time and its memory grow with the lines, on log-log axes.

`python -m benchmarks.scale [--small] [--lines N] [--hundred] [--profile NAME] [--plot FILE]`. A refresh is, in the profile `small` (1 GiB), which is the
default one: all legacy tables loaded into an empty bronze, silver and gold built by dbt with their tests, and the newest weekly snapshot of each feature
view; each step a process of its own, as in a run of Dagster. Not in it: trainings and what is served. The sizes are 10, 30 and 100 % of `--lines` (10 million),
and `--hundred` adds 100 million, for which it wants 60 GB of disk. Figures: `time_slope` and `memory_slope`, the slopes of straight lines by least squares
through log10 of the seconds and of the highest memory of any step over log10 of the lines (1: in proportion; 0: not at all), `cpu_slope`, and
seconds and peak of the largest size. As long as everything fits, memory grows with the lines; it is bounded where the profile's limit binds: so `last_memory_slope`
is the slope from the last size but one to the largest, and `peak_vs_profile` the highest memory of all sizes over that of the profile. MB are 1,000,000 bytes. Which step and which model holds how much at each size is printed; the plot's path is too.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT, Run, python, run
from benchmarks.report import Bar, finish, print_runs
from benchmarks.scale_plot import Line, fit, plot
from plinth.platform import load_platform

BARS = {"memory_slope": Bar("<=", 0.1), "peak_vs_profile": Bar("<=", 1.0)}
WORKER = "benchmarks.scale_worker"
STEPS = ("bronze", "models", "features")
SHARES = (0.1, 0.3, 1.0)
HUNDRED = 100_000_000
_BYTES_A_LINE = 600
"""Of disk: the legacy SQLite file, bronze, silver, gold and what is spilled."""


@dataclass(frozen=True)
class Refresh:
    """One refresh: its steps, and the highest memory in MB while each model or view was computed."""

    lines: int
    steps: Mapping[str, Run]
    peaks: Mapping[str, float]

    @property
    def whole(self) -> Run:
        """The steps as they follow each other: seconds add up, of the memory the highest counts."""
        runs = self.steps.values()
        return Run(sum(each.wall for each in runs), sum(each.cpu for each in runs), max(each.peak_mb for each in runs))


def main() -> int:
    options = _options()
    refreshes = [_refresh(lines, options.profile) for lines in _sizes(options)]
    lines = [each.lines for each in refreshes]
    print_runs(
        f"The refresh in the profile {options.profile}",
        {
            f"{each.lines:,} lines: {name}": measured
            for each in refreshes
            for name, measured in {**each.steps, "all": each.whole}.items()
        },
    )
    _print_peaks(refreshes)
    wholes = [each.whole for each in refreshes]
    time, cpu, memory = (
        fit(lines, [getattr(whole, figure) for whole in wholes]) for figure in ("wall", "cpu", "peak_mb")
    )
    plot(lines, _by_step(refreshes), time, memory, options.plot)
    print(f"\nplotted: {options.plot}")
    figures = {
        "time_slope": time.slope,
        "cpu_slope": cpu.slope,
        "memory_slope": memory.slope,
        "last_memory_slope": fit(lines[-2:], [whole.peak_mb for whole in wholes[-2:]]).slope,
        "peak_vs_profile": max(whole.peak_mb for whole in wholes) * 1e6 / _memory_of(options.profile),
        "largest_seconds": wholes[-1].wall,
        "largest_peak_mb": wholes[-1].peak_mb,
    }
    notes = {"lines": lines, "profile": options.profile, "steps": STEPS, "plot": str(options.plot)}
    return finish("scale", figures, {} if options.small else BARS, notes)


def _memory_of(profile: str) -> int:
    """The bytes of a profile of the project."""
    return load_platform(ROOT / "platform.yaml").profile(profile).memory


def _by_step(refreshes: Sequence[Refresh]) -> dict[str, list[Run]]:
    """Each step's runs in the order of the sizes, and those of the whole last."""
    return {
        **{step: [each.steps[step] for each in refreshes] for step in STEPS},
        "all": [each.whole for each in refreshes],
    }


def _refresh(lines: int, profile: str) -> Refresh:
    """A warehouse of a size is written and refreshed, and goes again before the next one: disk is only needed for the largest."""
    folder = Path(tempfile.mkdtemp(prefix="plinth-benchmark-"))
    steps: dict[str, Run] = {}
    peaks: dict[str, float] = {}
    try:
        print(f"  {lines:,} lines: writing the warehouse …", file=sys.stderr, flush=True)
        run(python(WORKER, "sample", str(folder), profile, str(lines)))
        for step in STEPS:
            print(f"  {lines:,} lines: {step} …", end="", file=sys.stderr, flush=True)
            measured = run(python(WORKER, step, str(folder), profile))
            noted = folder / f"{step}.json"
            found = json.loads(noted.read_text()) if noted.exists() else {}
            peaks |= found
            # A mark that is set back within the process is not in what the kernel says of it at its end, in MiB.
            measured = Run(measured.wall, measured.cpu, max(measured.peak_mb * 2**20 / 1e6, *found.values(), 0.0))
            steps[step] = measured
            print(f" {measured.wall:.1f} s, {measured.cpu:.1f} CPU s, {measured.peak_mb:.0f} MB", file=sys.stderr)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Refresh(lines, steps, peaks)


def _print_peaks(refreshes: Sequence[Refresh]) -> None:
    """The highest memory by model and size, with the slope of each: which one grows."""
    lines = [each.lines for each in refreshes]
    rows: list[tuple[str, list[float], Line]] = []
    for name in dict.fromkeys(name for each in refreshes for name in each.peaks):
        held = [each.peaks.get(name, 0.0) for each in refreshes]
        if min(held) > 0:
            rows.append((name, held, fit(lines, held)))
    if not rows:
        return
    width = max(len(name) for name, _, _ in rows)
    print(f"\nPeak MB of a model\n{'':{width}}  " + "  ".join(f"{each:>11,}" for each in lines) + "   slope")
    for name, held, line in sorted(rows, key=lambda row: -row[2].slope):
        print(f"{name:{width}}  " + "  ".join(f"{each:11.0f}" for each in held) + f"  {line.slope:6.3f}")


def _sizes(options: argparse.Namespace) -> list[int]:
    if options.small:
        return [2_000, 20_000]
    sizes = [round(options.lines * share) for share in SHARES]
    sizes += [HUNDRED] if options.hundred and sizes[-1] < HUNDRED else []
    free, wanted = shutil.disk_usage(tempfile.gettempdir()).free, sizes[-1] * _BYTES_A_LINE
    if free < wanted:
        sys.exit(
            f"{sizes[-1]:,} lines want {wanted / 1e9:.0f} GB of disk in {tempfile.gettempdir()}, and {free / 1e9:.0f} are free: "
            "set TMPDIR, or ask for fewer"
        )
    return sizes


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--small", action="store_true", help="two small sizes, no bars: only to see that it works")
    parser.add_argument("--lines", type=int, default=10_000_000, help="of the largest size")
    parser.add_argument("--hundred", action="store_true", help="100 million lines besides")
    parser.add_argument("--profile", default="small", help="of platform.yaml, whose limits DuckDB gets")
    parser.add_argument("--plot", type=Path, default=Path(tempfile.gettempdir()) / "plinth-scale.png")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
