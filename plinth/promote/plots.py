"""Pictures of a propensity, an uplift and a plan as PNG bytes, for the registry, Dagster's metadata and the benchmarks.

What belongs here: drawing. What does not: the figures that are drawn. The bytes follow from the figures alone: no dates, no names of machines.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from plinth.promote.columns import Array
    from plinth.promote.measures import ReliabilityBin
    from plinth.promote.qini import QiniCurve
    from plinth.promote.worth import PlanWorth


def reliability_plot(groups: tuple[ReliabilityBin, ...], title: str = "") -> bytes:
    """The share of buyers over the mean chance of each group; on the diagonal chances are right."""
    figure, axes = _figure(title or "Are the chances right?", "mean chance of the group", "share that bought")
    chance, bought = [g.mean_chance for g in groups], [g.bought for g in groups]
    end = max([*chance, *bought, 0.01]) * 1.05
    axes.plot([0, end], [0, end], color="#999999", linewidth=1, label="right")
    axes.plot(chance, bought, marker="o", color="#1f5f8b", label="tenths of the customers")
    axes.legend(frameon=False)
    return _png(figure)


def gains_plot(chances: Mapping[str, Array], bought: Array, title: str = "") -> bytes:
    """Which share of all buyers is found among the customers with the highest chances, for several models."""
    figure, axes = _figure(title or "Buyers found", "share of customers, highest chance first", "share of all buyers")
    share = np.arange(len(bought) + 1) / len(bought)
    for name, chance in chances.items():
        found = np.cumsum(bought[np.argsort(-chance, kind="stable")]) / bought.sum()
        axes.plot(share, np.r_[0, found], label=name, linewidth=1.5)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, label="random")
    axes.legend(frameon=False)
    return _png(figure)


def qini_plot(curves: Mapping[str, QiniCurve], title: str = "") -> bytes:
    """Qini curves of several rankings, with the line that a random one follows."""
    figure, axes = _figure(
        title or "Extra buyers by whom is contacted",
        "share contacted, highest uplift first",
        "extra buyers per 100 customers",
    )
    for name, curve in curves.items():
        axes.plot(curve.share, 100 * curve.gain, label=f"{name} (Qini {curve.coefficient:.4f})", linewidth=1.5)
        axes.plot([0, 1], [0, 100 * curve.gain[-1]], color="#999999", linewidth=1)
    axes.legend(frameon=False)
    return _png(figure)


def worth_plot(worth: PlanWorth, title: str = "") -> bytes:
    """The plan's expected profit beside random and everyone, with intervals."""
    figure, axes = _figure(title or "Expected profit", "", "GBP")
    names = ("profit", "random", "everyone")
    for place, name in enumerate(names):
        mean, low, high = (getattr(worth, name + end) for end in ("", "_low", "_high"))
        axes.bar(place, mean, color="#1f5f8b" if name == "profit" else "#b9c7d3", width=0.6)
        axes.errorbar(place, mean, yerr=[[mean - low], [high - mean]], color="#333333", capsize=4)
    axes.set_xticks(range(len(names)), ("the plan", "random, same terms", "everyone"))
    return _png(figure)


def _figure(title: str, x: str, y: str) -> tuple[Figure, Any]:
    # The figure is made without pyplot: no window system, no state that threads share.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.2), dpi=110, layout="tight")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Figure) -> bytes:
    body = io.BytesIO()
    figure.savefig(body, format="png", metadata={"Software": None})
    return body.getvalue()
