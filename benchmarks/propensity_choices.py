"""What a propensity could learn from and by which settings, over several windows before the test's: the table that choices are made by.

What belongs here: the candidates and their table. What does not: the test window, which no choice may see (`propensity`). A candidate takes the place
of what is chosen only if it is no worse on the average window by any of ROC-AUC, PR-AUC and Brier score.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.retail_lakehouse import retail_examples
from benchmarks.retail_protocol import WINDOW
from plinth.lakehouse.tables import Lakehouse
from plinth.promote import (
    SPACING,
    PropensityMetrics,
    PropensitySettings,
    cutoffs_before,
    measure_propensity,
    train_propensity,
)
from plinth.promote.columns import feature_names, numbers

if TYPE_CHECKING:
    import duckdb

_MARKS = ("roc_auc", "pr_auc", "brier", "ece", "lift_at_10")


@dataclass(frozen=True)
class Candidate:
    """Settings, which of the views' features are learnt from, and how far apart the cut-offs are."""

    settings: PropensitySettings = field(default_factory=PropensitySettings)
    takes: Callable[[str], bool] = lambda _: True
    spacing: timedelta = SPACING


CANDIDATES = {
    "as it is": Candidate(),
    "values as they are": Candidate(PropensitySettings(standing=False)),
    "the view customer alone": Candidate(takes=lambda name: name.startswith("customer__")),
    "the view buyer alone": Candidate(takes=lambda name: name.startswith("buyer__")),
    "28 days apart": Candidate(spacing=WINDOW),
    "28 days, 2 and 1": Candidate(PropensitySettings(newest=1), spacing=WINDOW),
    "the same, slower": Candidate(PropensitySettings(iterations=200, learning_rate=0.04, newest=1), spacing=WINDOW),
}


def print_choices(
    con: duckdb.DuckDBPyConnection, house: Lakehouse, windows: Sequence[datetime], first: datetime, seed: int
) -> dict[str, float]:
    """Trains every candidate before each window, judges it there, prints the averages and each window's ROC-AUC; gives those of what is chosen."""
    table = retail_examples(con, house, cutoffs_before(max(windows), first, SPACING))
    every = feature_names(table)
    print(
        f"\n{len(windows)} windows from {min(windows):%Y-%m-%d} to {max(windows):%Y-%m-%d}, the test's is none of them"
    )
    print(
        f"{'':26}{'features':>9}{'ROC-AUC':>9}{'PR-AUC':>9}{'Brier':>9}{'ECE':>9}{'lift@10%':>9}{'CPU s':>7}  ROC-AUC of each"
    )
    averages = {}
    for name, candidate in CANDIDATES.items():
        names, began = [each for each in every if candidate.takes(each)], time.process_time()
        judged = [_judged(table, window, names, candidate, seed) for window in windows]
        cpu = (time.process_time() - began) / len(windows)
        averages[name] = {mark: sum(getattr(each, mark) for each in judged) / len(judged) for mark in _MARKS}
        marks = "".join(f"{averages[name][mark]:9.4f}" for mark in _MARKS)
        print(
            f"{name:26}{len(names):9}{marks}{cpu:7.1f}  {' '.join(f'{each.roc_auc:.4f}' for each in judged)}",
            flush=True,
        )
    return averages["as it is"]


def _judged(
    table: pa.Table, window: datetime, names: Sequence[str], candidate: Candidate, seed: int
) -> PropensityMetrics:
    earlier = cutoffs_before(window - WINDOW, pc.min(table["at"]).as_py(), candidate.spacing)
    learn = table.filter(pc.is_in(table["at"], pa.array(earlier, pa.timestamp("us"))))
    test = table.filter(pc.equal(table["at"], pa.scalar(window, pa.timestamp("us"))))
    model = train_propensity(learn, seed=seed, threads=2, features=names, settings=candidate.settings)
    return measure_propensity(model.predict(test), numbers(test, "bought"))
