"""Who buys within 28 days, and whom a promotion moves: the propensity on Online Retail II, the uplift on the sample with its truth.

`python -m benchmarks.propensity [--small] [--validation] [--choices] [--plot FOLDER]`. The protocol: every customer who bought before the cut-off, the
lines filtered as `retail_protocol` says; the models learn from cut-offs 14 days apart whose windows end by the tested one, and are calibrated on the
last. Features are those of the declared views, asked of a lakehouse as the models ask (`retail_lakehouse`). The test's cut-off is 2011-11-11; choices
are made with `--choices`, a table over earlier cut-offs (`propensity_choices`), never on the test; `--validation` judges at 2011-10-14. Figures: `roc_auc`, `pr_auc`, `brier`, `ece`,
`lift_at_10`, `qini_vs_truth`, and `plan_interval_coverage`: the share of plans on `--samples` small samples whose 95 % interval holds the truth. Beside them: the recency rule, logistic regression on recency, frequency and value, and the classifier uncalibrated.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.propensity_choices import print_choices
from benchmarks.propensity_coverage import plan_coverage
from benchmarks.propensity_sample import uplift_on_sample
from benchmarks.report import Bar, finish
from benchmarks.retail_lakehouse import file_of, retail_examples, retail_lakehouse
from benchmarks.retail_protocol import TEST, VALIDATION, WINDOW, load_lines, load_sample_lines
from plinth.engine import connect
from plinth.lakehouse.tables import Lakehouse
from plinth.profile import Profile
from plinth.promote import (
    SPACING,
    Propensity,
    PropensityMetrics,
    cutoffs_before,
    measure_propensity,
    train_propensity,
)
from plinth.promote.calibration import Curve
from plinth.promote.columns import Array, matrix, numbers
from plinth.promote.measures import reliability
from plinth.promote.plots import gains_plot, qini_plot, reliability_plot

if TYPE_CHECKING:
    import duckdb

BARS = {
    "roc_auc": Bar(">=", 0.81),
    "pr_auc": Bar(">=", 0.63),
    "brier": Bar("<=", 0.14),
    "ece": Bar("<=", 0.04),
    "lift_at_10": Bar(">=", 3.05),
    "plan_interval_coverage": Bar(">=", 0.9),
}
FIRST = datetime(2010, 5, 28)  # half a year after the data begin: before it every customer looks new
SEED = 7
OLDEST = datetime(2011, 6, 24)  # of the five windows that choices are made on


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--small", action="store_true", help="a tiny sample, no bars: only to see that it works")
    parser.add_argument(
        "--validation", action="store_true", help="the cut-off on which choices are made, not the test's"
    )
    parser.add_argument(
        "--choices", action="store_true", help="only the table of what could be chosen, over windows before the test's"
    )
    parser.add_argument("--samples", type=int, default=20, help="samples on which plans are held against their truth")
    parser.add_argument("--data", type=Path, help="online_retail_ii.parquet")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="where to write the pictures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="plinth-benchmark-") as folder:
        con = connect(Profile(cpu=2, memory=2 * 2**30, threads=2), scratch=folder)
        if options.small:
            cutoff = load_sample_lines(con, Path(folder)) - WINDOW
            first = cutoff - 6 * WINDOW
        else:
            load_lines(con, options.data)
            cutoff, first = VALIDATION if options.validation else TEST, FIRST
        house = retail_lakehouse(con, Path(folder), None if options.small else file_of(options.data))
        if options.choices:
            windows = cutoffs_before(
                cutoff if options.small else VALIDATION, cutoff - 2 * WINDOW if options.small else OLDEST
            )
            return finish("propensity_choices", print_choices(con, house, windows, first, SEED), {})
        figures = propensity_figures(con, house, cutoff, first, options.plot)
        size = (400, 300) if options.small else (2000, 540)
        uplift = uplift_on_sample(con, Path(folder), customers=size[0], days=size[1], seed=SEED)
        samples = 3 if options.small else options.samples
        coverage = plan_coverage(con, Path(folder), samples=samples, customers=size[0] // 2, days=size[1])
        if options.plot:
            (options.plot / "qini.png").write_bytes(
                qini_plot(uplift.curves, "Later promotions of the sample, by its truth")
            )
    figures["qini_vs_truth"] = uplift.qini_vs_truth
    figures |= {"plan_interval_coverage": coverage.share, "plan_true_vs_lot": coverage.true_over_lot}
    notes = {
        "cutoff": cutoff.isoformat(),
        "plans": asdict(coverage),
        "sample": {name: round(value, 4) for name, value in uplift.beside.items()},
    }
    return finish("propensity", figures, {} if options.small else BARS, notes)


def propensity_figures(
    con: duckdb.DuckDBPyConnection, house: Lakehouse, cutoff: datetime, first: datetime, plot: Path | None
) -> dict[str, float]:
    """Trains before a cut-off, judges at it, prints what stands beside, and gives the figures."""
    started, cpu = time.perf_counter(), time.process_time()
    # The windows of the cut-offs that are learnt from end by the tested one.
    table = retail_examples(con, house, [*cutoffs_before(cutoff - WINDOW, first, SPACING), cutoff])
    features_cpu = time.process_time() - cpu
    before = pc.less(table["at"], pa.scalar(cutoff, pa.timestamp("us")))
    learn, test = table.filter(before), table.filter(pc.invert(before))
    model = train_propensity(learn, seed=SEED, threads=2)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    bought = numbers(test, "bought")
    chances = {"calibrated": model.predict(test), "uncalibrated": model.uncalibrated(test), **_baselines(learn, test)}
    results = {name: measure_propensity(chance, bought) for name, chance in chances.items()}
    _print_results(f"{test.num_rows:,} customers at {cutoff:%Y-%m-%d}, {bought.mean():.3f} of them buy", results)
    _print_reliability(model, test, bought)
    if plot is not None:
        plot.mkdir(parents=True, exist_ok=True)
        (plot / "reliability.png").write_bytes(reliability_plot(reliability(chances["calibrated"], bought)))
        ranked = {name: chance for name, chance in chances.items() if name != "uncalibrated"}  # ranks as the calibrated
        (plot / "gains.png").write_bytes(gains_plot(ranked, bought))
    best = results["calibrated"]
    return {
        **{name: best.figures()[name] for name in ("roc_auc", "pr_auc", "brier", "ece", "lift_at_10")},
        "uncalibrated_ece": results["uncalibrated"].ece,
        "recency_roc_auc": results["recency rule"].roc_auc,
        "rfm_pr_auc": results["RFM logistic regression"].pr_auc,
        "train_seconds": seconds,
        "train_cpu_seconds": cpu,
        "features_cpu_seconds": features_cpu,
    }


def _baselines(learn: pa.Table, test: pa.Table) -> dict[str, Array]:
    """The recency rule as a curve over the days since the last order, and logistic regression on recency, frequency and value."""
    from sklearn.linear_model import LogisticRegression

    bought = numbers(learn, "bought")
    recency = [-np.log1p(numbers(each, "customer__days_since_order")) for each in (learn, test)]
    curve = Curve.fitted(recency[0], bought)
    rfm = [
        np.log1p(matrix(each, ("customer__days_since_order", "customer__orders", "customer__value")))
        for each in (learn, test)
    ]
    regression = LogisticRegression(max_iter=1000).fit(rfm[0], bought)
    return {
        "recency rule": curve.of_odds(recency[1]),
        "RFM logistic regression": regression.predict_proba(rfm[1])[:, 1],
    }


def _print_results(title: str, results: dict[str, PropensityMetrics]) -> None:
    print(f"\n{title}\n{'':26}{'ROC-AUC':>9}{'PR-AUC':>9}{'Brier':>9}{'ECE':>9}{'lift@10%':>9}")
    for name, each in results.items():
        print(f"{name:26}{each.roc_auc:9.4f}{each.pr_auc:9.4f}{each.brier:9.4f}{each.ece:9.4f}{each.lift_at_10:9.3f}")


def _print_reliability(model: Propensity, test: pa.Table, bought: Array) -> None:
    print(f"\n{'reliability by tenths':26}{'customers':>10}{'chance':>9}{'bought':>9}")
    for number, group in enumerate(reliability(model.predict(test), bought), start=1):
        print(f"{number:>26}{group.customers:10,}{group.mean_chance:9.3f}{group.bought:9.3f}")


if __name__ == "__main__":
    sys.exit(main())
