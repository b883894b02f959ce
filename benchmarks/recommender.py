"""The recommender on Online Retail II by a fixed protocol, every baseline beside it.

`python -m benchmarks.recommender [--small] [--validation] [--plot FILE] [--threads N] [--ratings FILE]`. The test window is the 28 days from
2011-11-11; choices are made on `--validation`, the 28 days from 2011-10-14. Figures: `recall_at_20`, `ndcg_at_20`, `hit_rate_at_20`,
`new_recall_at_20` (items that the customer had bought before removed on both sides), `session_recall_at_20` (see
`recommender_sessions`), `session_alone_recall_at_20` (without the customer's stored list), `event_to_list_ms_p99`, coverage, novelty,
popularity bias, and the same of the baselines. `--ratings` evaluates the item model alone on a Parquet file of user, item and rating.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.recommender_baselines import BASELINES, baseline
from benchmarks.recommender_data import read_retail
from benchmarks.recommender_made import made_end, made_events, made_items
from benchmarks.recommender_plot import plot
from benchmarks.recommender_ratings import RatingsUnusable, ratings_figures, read_ratings
from benchmarks.recommender_sessions import event_times, invoices_of, session_recall
from benchmarks.report import Bar, finish
from benchmarks.retail_protocol import TEST, VALIDATION, retail_file
from plinth.recommend import Recommender, RecommenderSettings, train_recommender
from plinth.recommend.evaluate import Evaluation, evaluate, window_of
from plinth.recommend.log import encode
from plinth.serving.lengths import ANSWER_LENGTH, LIST_LENGTH

BARS = {
    "recall_at_20": Bar(">=", 0.28),
    "ndcg_at_20": Bar(">=", 0.37),
    "hit_rate_at_20": Bar(">=", 0.915),
    "new_recall_at_20": Bar(">=", 0.13),
    "session_recall_at_20": Bar(">=", 0.21),
    "event_to_list_ms_p99": Bar("<=", 1.0),
}
DAYS = 28
_SEED = 7


@dataclass(frozen=True)
class Trial:
    """Data, and the moment that cuts it."""

    events: pa.Table
    items: pa.Table
    at: datetime
    settings: RecommenderSettings


def main() -> int:
    options = _options()
    if options.ratings:
        return _ratings(options)
    trial = _small() if options.small else _retail(VALIDATION if options.validation else TEST)
    if trial is None:
        print("no Online Retail II: set PLINTH_DATA to the folder that holds online_retail_ii.parquet", file=sys.stderr)
        return 2
    started = time.monotonic()
    recommender = train_recommender(
        trial.events, trial.items, at=trial.at, threads=options.threads, seed=_SEED, settings=trial.settings
    )
    print(f"  trained in {time.monotonic() - started:.1f} s", file=sys.stderr)
    found = {"ours": evaluate(recommender, trial.events, trial.at, DAYS)} | _baselines(recommender, trial)
    figures = _figures(found) | _session_figures(recommender, trial)
    _print(found)
    if options.plot:
        plot(found, options.plot)
        print(f"\nplot: {options.plot}")
    held = not (options.small or options.validation)
    return finish(
        "recommender", figures, BARS if held else {}, {"at": trial.at.isoformat(), "threads": options.threads}
    )


def _retail(at: datetime) -> Trial | None:
    file = retail_file()
    if not file.is_file():
        return None
    retail = read_retail(file, at)
    end = pa.scalar(at + timedelta(days=DAYS), pa.timestamp("us"))
    return Trial(
        retail.events.filter(pc.less(retail.events.column("time"), end)), retail.items, at, RecommenderSettings()
    )


def _small() -> Trial:
    quick = RecommenderSettings(trees=20, cutoffs=2, seasons=0, leaf_rows=20)
    return Trial(made_events(400, 400, 300, seed=_SEED), made_items(400), made_end(300 - DAYS), quick)


def _baselines(recommender: Recommender, trial: Trial) -> dict[str, Evaluation]:
    window = window_of(encode(trial.events, trial.items), trial.at, DAYS)
    return {name: baseline(recommender.snapshot, window, score) for name, score in BASELINES.items()}


def _session_figures(recommender: Recommender, trial: Trial) -> dict[str, float]:
    invoices = invoices_of(trial.events, trial.at, DAYS)
    customers = sorted({invoice.customer for invoice in invoices})
    table = recommender.recommend(customers, LIST_LENGTH, reasons=False)
    stored: dict[int, list[tuple[str, float]]] = {}
    for customer, item, score in zip(
        *(table.column(name).to_pylist() for name in ("customer", "item", "score")), strict=True
    ):
        stored.setdefault(customer, []).append((item, score))
    model = recommender.item_model
    times = event_times(model, invoices[:500], stored, ANSWER_LENGTH)
    return {
        "session_recall_at_20": session_recall(model, invoices, stored, ANSWER_LENGTH),
        "session_alone_recall_at_20": session_recall(model, invoices, None, ANSWER_LENGTH),
        "event_to_list_ms_p50": float(np.percentile(times, 50)),
        "event_to_list_ms_p99": float(np.percentile(times, 99)),
    }


def _figures(found: dict[str, Evaluation]) -> dict[str, float]:
    ours = found["ours"].metrics()
    beside = {
        f"{name.split(',')[0].replace(' ', '_').replace('-', '_').lower()}_{figure}": getattr(each, field)
        for name, each in found.items()
        if name != "ours"
        for figure, field in (("recall", "recall"), ("ndcg", "ndcg"), ("new_recall", "new_recall"))
    }
    return ours | beside


def _print(found: dict[str, Evaluation]) -> None:
    one = found["ours"]
    print(
        f"\n{one.customers:,} customers, {one.truth_size:.2f} items each; new items: {one.new_customers:,} customers\n"
    )
    columns = ("recall", "ndcg", "hit_rate", "precision", "new_recall", "coverage", "novelty", "popularity_bias")
    print(f"{'':28}" + "".join(f"{column:>16}" for column in columns))
    for name, each in found.items():
        print(f"{name:28}" + "".join(f"{getattr(each, column):16.4f}" for column in columns))


def _ratings(options: argparse.Namespace) -> int:
    try:
        ratings = read_ratings(options.ratings)
        figures = ratings_figures(ratings, seed=_SEED, penalty=options.penalty, row_items=options.row_items)
    except RatingsUnusable as problem:
        print(problem, file=sys.stderr)
        return 2
    counts = ratings.counts()
    print(f"\n{options.ratings.name}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    notes = {"ratings": options.ratings.name, "penalty": options.penalty, **counts}
    return finish("recommender", figures, {}, notes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--small", action="store_true", help="made data, a quick model, no bars: only to see that it works"
    )
    parser.add_argument("--validation", action="store_true", help="the window on which choices are made; no bars")
    parser.add_argument("--plot", type=Path, help="file to draw the report into")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ratings", type=Path, help="Parquet file of user, item, rating: the item model alone")
    parser.add_argument("--penalty", type=float, default=10.0, help="EASE's ridge with --ratings")
    parser.add_argument("--row-items", type=int, default=100_000, help="entries kept of a row with --ratings")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
