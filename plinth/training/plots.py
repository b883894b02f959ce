"""Plots of figures as small PNG images.

What belongs here: drawing. What does not: computing what is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from plinth.registry import RegisteredVersion

_SIZE = (5.0, 2.6)
_DPI = 80
_MINE, _OTHER, _PALE = "#2f6f9f", "#c47f2c", "#b8c4cc"


def bars(title: str, rows: Mapping[str, Mapping[str, float]]) -> bytes:
    """Figures side by side: for each figure one bar of every competitor.

    Args:
        rows: for each competitor its figures by name; the first is ours.
    """
    with _Drawing() as drawing:
        axes, names = drawing.axes, list(next(iter(rows.values())))
        height = 0.8 / len(rows)
        for place, (competitor, figures) in enumerate(rows.items()):
            at = [number + place * height for number in range(len(names))]
            values = [figures.get(name, 0.0) for name in names]
            drawn = axes.barh(at, values, height * 0.9, label=competitor, color=(_MINE, _OTHER, _PALE)[place % 3])
            axes.bar_label(drawn, fmt="%.3f", padding=2, fontsize=7)
        axes.set_yticks([number + 0.4 - height / 2 for number in range(len(names))], names, fontsize=8)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.15 * max(0.01, *(value for figures in rows.values() for value in figures.values())))
        drawing.figure.legend(fontsize=7, loc="outside lower center", ncols=len(rows), frameon=False)
        axes.set_title(title, fontsize=9)
        return drawing.png()


def diagonal(title: str, points: Sequence[tuple[float, float]], across: str, up: str) -> bytes:
    """Points that lie on the diagonal where what was said is what came."""
    with _Drawing() as drawing:
        axes, most = drawing.axes, max(max(point) for point in points)
        axes.plot([0, most], [0, most], "--", color=_PALE, linewidth=1)
        axes.plot([x for x, _ in points], [y for _, y in points], "o-", color=_MINE, markersize=4)
        axes.set_xlabel(across, fontsize=8)
        axes.set_ylabel(up, fontsize=8)
        axes.set_title(title, fontsize=9)
        return drawing.png()


def history(versions: Sequence[RegisteredVersion], metric: str) -> bytes:
    """The figure that decides, version by version, and that of the champion which each one met on the same snapshot."""
    with _Drawing() as drawing:
        axes = drawing.axes
        ordered = sorted((each for each in versions if metric in each.metrics), key=lambda each: each.version)
        numbers = [each.version for each in ordered]
        axes.plot(numbers, [each.metrics[metric] for each in ordered], "o-", color=_MINE, label="version", markersize=4)
        decided = [(each.version, each.decision.champion_value) for each in ordered if each.decision is not None]
        met = [(number, value) for number, value in decided if value is not None]
        label = "champion on the same snapshot"
        axes.plot([number for number, _ in met], [value for _, value in met], "x", color=_OTHER, label=label)
        served = [each for each in ordered if each.is_champion]
        axes.plot(
            [each.version for each in served],
            [each.metrics[metric] for each in served],
            "o",
            color=_MINE,
            markersize=9,
            fillstyle="none",
        )
        axes.set_xticks(numbers[:: max(1, len(numbers) // 12)])
        axes.set_xlabel("version", fontsize=8)
        axes.legend(fontsize=7)
        axes.set_title(f"{metric} by version; the ring is served", fontsize=9)
        return drawing.png()


class _Drawing:
    """One figure; matplotlib is loaded here, without a window system."""

    def __enter__(self) -> _Drawing:
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
        self.axes: Axes = self.figure.subplots()
        self.axes.tick_params(labelsize=8)
        self.axes.spines[["top", "right"]].set_visible(False)
        return self

    def __exit__(self, *_: object) -> None:
        self.figure.clear()

    def png(self) -> bytes:
        """The image."""
        file = BytesIO()
        self.figure.savefig(file, format="png")
        return file.getvalue()
