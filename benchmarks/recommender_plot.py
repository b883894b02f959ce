"""The recommender's report as a picture: figures beside the baselines, and how much of the catalogue each one uses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from plinth.recommend.evaluate import Evaluation


def plot(found: Mapping[str, Evaluation], file: Path) -> None:
    """Draws the evaluations into a file of any format that matplotlib knows by its ending."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(found)
    colours = ["#1f6f78" if name == "ours" else "#b9c4c9" for name in names]
    figure, axes = pyplot.subplots(2, 3, figsize=(12, 6.5), layout="constrained")
    panels = (
        ("Recall@20", "recall"),
        ("nDCG@20", "ndcg"),
        ("Hit rate@20", "hit_rate"),
        ("Recall@20 of new items", "new_recall"),
        ("Share of the catalogue recommended", "coverage"),
        ("Popularity: lists / purchases", "popularity_bias"),
    )
    for axis, (title, field) in zip(axes.flat, panels, strict=True):
        values = [getattr(each, field) for each in found.values()]
        bars = axis.barh(names, values, color=colours)
        axis.bar_label(bars, labels=[f"{value:.3f}" for value in values], padding=3, fontsize=8)
        axis.set_title(title, fontsize=10)
        axis.invert_yaxis()
        axis.margins(x=0.18)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    axes[1, 2].axvline(1.0, color="#777777", linewidth=0.8, linestyle=":")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130)
    pyplot.close(figure)
