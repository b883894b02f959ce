"""Straight lines on log-log axes, and their picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measure import Run


@dataclass(frozen=True)
class Line:
    """log10 y = slope * log10 x + start."""

    slope: float
    start: float

    def at(self, x: float) -> float:
        """The value at x, on the plain scale."""
        return float(10 ** (self.slope * np.log10(x) + self.start))


def fit(x: Sequence[float], y: Sequence[float]) -> Line:
    """The line by least squares through points whose values are above 0; at least two of different x."""
    slope, start = np.polyfit(np.log10(x), np.log10(y), 1)
    return Line(float(slope), float(start))


def plot(lines: Sequence[int], runs: Mapping[str, Sequence[Run]], time: Line, memory: Line, file: Path) -> None:
    """Draws seconds and memory over the lines into a file of any format that matplotlib knows by its ending.

    Args:
        runs: each step's runs, one for each of `lines`; `all` is drawn the strongest.
        time, memory: the fitted lines of `all`.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    panels = (("Seconds", "wall", time), ("Highest memory of a process, MB", "peak_mb", memory))
    for axis, (title, field, line) in zip(axes, panels, strict=True):
        for name, each in runs.items():
            strong = {"color": "#1f6f78", "linewidth": 2.0} if name == "all" else {"linewidth": 1.0, "alpha": 0.7}
            axis.plot(lines, [getattr(run, field) for run in each], marker="o", markersize=4, label=name, **strong)
        axis.plot(lines, [line.at(x) for x in lines], ":", color="#777777", label=f"fitted, slope {line.slope:.3f}")
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("invoice lines")
        axis.set_title(title, fontsize=10)
        axis.grid(True, which="both", linewidth=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130)
    pyplot.close(figure)
