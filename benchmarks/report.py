"""What a benchmark prints: a table for people, and last one line of JSON for machines."""

from __future__ import annotations

import json
import operator
import os
import platform as machine
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.measure import Run

_HOLDS = {"<=": operator.le, ">=": operator.ge, "=": operator.eq}


@dataclass(frozen=True)
class Bar:
    """A limit that a figure has to keep."""

    comparison: str
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a value keeps the limit."""
        return bool(_HOLDS[self.comparison](value, self.limit))


def print_runs(title: str, runs: Mapping[str, Run]) -> None:
    """A table of measured runs."""
    width = max(len(name) for name in runs)
    print(f"\n{title}\n{'':{width}}  {'wall s':>8}  {'CPU s':>8}  {'peak MB':>8}")
    for name, each in runs.items():
        print(f"{name:{width}}  {each.wall:8.2f}  {each.cpu:8.2f}  {each.peak_mb:8.0f}")


def finish(
    benchmark: str, figures: Mapping[str, float], bars: Mapping[str, Bar], notes: Mapping[str, object] | None = None
) -> int:
    """Prints the figures with their bars and the JSON line; 0 where every bar holds, else 1."""
    print()
    for name, value in figures.items():
        bar = bars.get(name)
        verdict = (
            "" if bar is None else f"  bar {bar.comparison} {bar.limit:g}: {'holds' if bar.holds(value) else 'MISSED'}"
        )
        print(f"{name:24} {value:10.3f}{verdict}")
    line = {
        "benchmark": benchmark,
        "figures": {name: round(value, 4) for name, value in figures.items()},
        "bars": {
            name: {"limit": bar.limit, "holds": bar.holds(figures[name])}
            for name, bar in bars.items()
            if name in figures
        },
        "machine": {
            "cpus": os.cpu_count(),
            "memory_gb": _memory_gb(),
            "python": machine.python_version(),
            "system": machine.platform(),
        },
        **({"notes": dict(notes)} if notes else {}),
    }
    print(json.dumps(line))
    return 0 if all(bar.holds(figures[name]) for name, bar in bars.items() if name in figures) else 1


def _memory_gb() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
