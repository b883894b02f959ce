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


def worth_plot(cost: Array, profit: Array, worth: PlanWorth, title: str = "") -> bytes:
    """Expected profit over what is spent: the plan's contacts, the most for their cost first, beside random contacts and everyone.

    Args:
        cost, profit: of each of the plan's contacts, in GBP.
    """
    figure, axes = _figure(
        title or "Expected profit by what is spent", "expected cost of contacts and offers, GBP", "GBP"
    )
    order = np.argsort(-profit / np.maximum(cost, 1e-9), kind="stable")
    spent, brought = np.r_[0, np.cumsum(cost[order])], np.r_[0, np.cumsum(profit[order])]
    axes.plot(spent, brought, color="#1f5f8b", linewidth=1.8, label="the plan, best contacts first")
    others = (
        ("the plan", spent[-1], worth.profit, worth.profit_low, worth.profit_high, "#1f5f8b"),
        ("random, same terms", worth.random_cost, worth.random, worth.random_low, worth.random_high, "#c47f2c"),
        (
            "everyone, no budget",
            worth.everyone_cost,
            worth.everyone,
            worth.everyone_low,
            worth.everyone_high,
            "#999999",
        ),
    )
    for place, (name, at, mean, low, high, color) in enumerate(others):
        if place > 0:
            axes.plot([0, at], [0, mean], color=color, linewidth=1.2, linestyle="--", label=name)
        axes.errorbar(at, mean, yerr=[[mean - low], [high - mean]], color=color, marker="o", markersize=4, capsize=4)
    axes.axhline(0, color="#cccccc", linewidth=0.8)
    axes.legend(frameon=False)
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
