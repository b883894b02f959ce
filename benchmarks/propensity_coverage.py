"""How often a plan's interval holds what the plan truly brings: over many small samples, each with trials and a truth of its own.

What belongs here: the repetition and its figures. What does not: one sample (`propensity_sample`).

Each sample is another world; its model learns from the earlier promotions, and every later promotion is planned once. An interval that says 95 % should
hold the truth of about 95 of 100 plans. Plans of one sample share their model, so 20 samples are what counts, not the number of plans.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.propensity_sample import PlanTried, plans_tried, trained_on_sample
from plinth.promote import UpliftSettings
from plinth.promote.learners import LINEAR
from plinth.sample import SampleSpec

if TYPE_CHECKING:
    import duckdb

# The trees are hardly ever chosen on so few rows, and take four fifths of the time.
_LINEAR = UpliftSettings(candidates=tuple(each for each in UpliftSettings().candidates if each.kind in LINEAR))


@dataclass(frozen=True)
class Coverage:
    """The plans of all samples.

    Attributes:
        share: of the plans whose interval holds the truth; `below` and `above` of those whose truth lies under and over it.
        expected_over_true: what all plans expect, over what they bring.
        true_over_lot: what they bring, over what the same budgets bring by lot.
    """

    plans: int
    share: float
    below: float
    above: float
    expected_over_true: float
    true_over_lot: float


def plan_coverage(con: duckdb.DuckDBPyConnection, folder: Path, *, samples: int, customers: int, days: int) -> Coverage:
    """Plans on samples of the seeds 1, 2, ..., prints a line for each."""
    every: list[PlanTried] = []
    print(f"\nplans on {samples} samples of {customers:,} customers: expected with 95 % interval, and true, in GBP")
    for seed in range(1, samples + 1):
        spec = SampleSpec(customers=customers, days=days, seed=seed)
        world = trained_on_sample(con, folder, spec, seed=seed, settings=_LINEAR)
        # A plan that contacts nobody has no interval, and nothing to hold.
        plans = [each for each in plans_tried(con, world, seed) if each.high > each.low]
        (folder / f"trials-{customers}-{seed}.sqlite").unlink()
        held = sum(each.low <= each.true <= each.high for each in plans)
        expected, true, lot = (sum(getattr(each, name) for each in plans) for name in ("expected", "true", "lot"))
        print(
            f"{seed:>4}  {world.model.chosen!s:14} expected {expected:8.0f}  true {true:8.0f}  by lot {lot:8.0f}  held {held} of {len(plans)}",
            flush=True,
        )
        every += plans
    return Coverage(
        plans=len(every),
        share=sum(each.low <= each.true <= each.high for each in every) / max(1, len(every)),
        below=sum(each.true < each.low for each in every) / max(1, len(every)),
        above=sum(each.true > each.high for each in every) / max(1, len(every)),
        expected_over_true=sum(each.expected for each in every) / sum(each.true for each in every),
        true_over_lot=sum(each.true for each in every) / sum(each.lot for each in every),
    )
