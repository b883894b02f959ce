"""The whole training of the recommender: seconds and peak memory.

`python -m benchmarks.train [--small] [--threads N] [--customers N]`. On Online Retail II (what is known before 2011-11-11; from the tables of
events and items to the saved files) and on a made log of `--customers` (100,000) customers with the sample's range of items. The log is made
directly: writing a sample warehouse of that size and building gold from it takes far longer than training, and is measured by `transform`.
Figures: `seconds`, `peak_mb` (Online Retail II), `made_seconds`, `made_peak_mb`; both with the start of Python and the reading or making of the events.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from benchmarks.measure import python, run
from benchmarks.recommender_data import read_retail
from benchmarks.recommender_made import made_end, made_events, made_items
from benchmarks.report import Bar, finish, print_runs
from benchmarks.retail_protocol import TEST, retail_file
from plinth.recommend import RecommenderSettings, train_recommender

BARS = {"seconds": Bar("<=", 90), "peak_mb": Bar("<=", 2048)}
_DAYS = 540
_SEED = 7


def main() -> int:
    options = _options()
    if options.worker:
        return _worker(options)
    folder = Path(tempfile.mkdtemp(prefix="plinth-benchmark-"))
    runs = {}
    try:
        if not options.small and retail_file().is_file():
            runs["Online Retail II"] = run(_command("retail", folder, options), quiet=False)
            print(f"  Online Retail II: {runs['Online Retail II']}", file=sys.stderr, flush=True)
        if options.small or options.customers:
            runs["made"] = run(_command("small" if options.small else "made", folder, options), quiet=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print_runs("Training the recommender", runs)
    figures = {}
    for name, prefix in (("Online Retail II", ""), ("made", "" if options.small else "made_")):
        if name in runs:
            figures |= {f"{prefix}seconds": runs[name].wall, f"{prefix}peak_mb": runs[name].peak_mb}
    notes = {"threads": options.threads, "customers": 400 if options.small else options.customers}
    return finish("train", figures, {} if options.small else BARS, notes)


def _command(worker: str, folder: Path, options: argparse.Namespace) -> list[str]:
    arguments = ("--worker", worker, "--folder", str(folder / worker), "--threads", str(options.threads))
    return python("benchmarks.train", *arguments, "--customers", str(options.customers))


def _worker(options: argparse.Namespace) -> int:
    settings, at = RecommenderSettings(), made_end(_DAYS)
    if options.worker == "retail":
        retail = read_retail(retail_file(), TEST)
        events, items, at = retail.events, retail.items, TEST
    elif options.worker == "small":
        events, items, at = made_events(400, 400, 300, seed=_SEED), made_items(400), made_end(300)
        settings = RecommenderSettings(trees=20, cutoffs=2, seasons=0, leaf_rows=20)
    else:
        events, items = made_events(options.customers, 6_000, _DAYS, seed=_SEED), made_items(6_000)
    _train(events, items, at, settings, options)
    return 0


def _train(
    events: object, items: object, at: datetime, settings: RecommenderSettings, options: argparse.Namespace
) -> None:
    started = time.monotonic()
    trained = train_recommender(events, items, at=at, threads=options.threads, seed=_SEED, settings=settings)
    trained.save(options.folder)
    print(f"trained and saved in {time.monotonic() - started:.1f} s from {len(trained.log):,} events", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--small", action="store_true", help="400 customers, a quick model, no bars: only to see that it works"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--customers", type=int, default=100_000, help="of the made log; 0 leaves it out")
    parser.add_argument("--worker", choices=("retail", "made", "small"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
