"""The whole training, of the recommender and then of the propensity: seconds and peak memory.

`python -m benchmarks.train [--small] [--threads N] [--customers N]`. On Online Retail II (what is known before 2011-11-11): the recommender from the tables of
events and items to the saved files, the propensity from silver/invoice_lines, whose views are computed at each of its cut-offs, to its files. Each is a process
of its own, one after the other, as a run's steps are. Beside them the recommender on a made log of `--customers` (100,000) customers with the sample's range of
items. The log is made directly: writing a sample warehouse of that size and building gold from it takes far longer than training, and is measured by `transform`.
Figures: `seconds` (of both together), `peak_mb` (of the larger one), and of each `recommender_seconds`, `recommender_cpu_seconds`, `recommender_peak_mb`,
`propensity_…`; `made_seconds`, `made_peak_mb`; all with the start of Python and the reading or making of the data.
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
from benchmarks.propensity import FIRST
from benchmarks.recommender_data import read_retail
from benchmarks.recommender_made import made_end, made_events, made_items
from benchmarks.report import Bar, finish, print_runs
from benchmarks.retail_lakehouse import retail_examples, retail_lakehouse
from benchmarks.retail_protocol import TEST, WINDOW, load_lines, load_sample_lines, retail_file
from plinth.engine import connect
from plinth.profile import Profile
from plinth.promote import SPACING, cutoffs_before, train_propensity
from plinth.recommend import RecommenderSettings, train_recommender

BARS = {"seconds": Bar("<=", 90), "peak_mb": Bar("<=", 2048)}
MODELS = ("recommender", "propensity")
_DAYS = 540
_SEED = 7


def main() -> int:
    options = _options()
    if options.worker:
        return _worker(options)
    folder = Path(tempfile.mkdtemp(prefix="plinth-benchmark-"))
    runs = {}
    try:
        if options.small or retail_file().is_file():
            for model in MODELS:
                runs[model] = run(_command(model, folder, options), quiet=False)
                print(f"  {model}: {runs[model]}", file=sys.stderr, flush=True)
        if not options.small and options.customers:
            runs["made"] = run(_command("made", folder, options), quiet=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print_runs("Training", runs)
    figures = {}
    parts = {model: runs[model] for model in MODELS if model in runs}
    if parts:
        figures["seconds"] = sum(each.wall for each in parts.values())
        figures["peak_mb"] = max(each.peak_mb for each in parts.values())
    for model, each in parts.items():
        figures |= {f"{model}_seconds": each.wall, f"{model}_cpu_seconds": each.cpu, f"{model}_peak_mb": each.peak_mb}
    if "made" in runs:
        figures |= {"made_seconds": runs["made"].wall, "made_peak_mb": runs["made"].peak_mb}
    notes = {"threads": options.threads, "customers": 400 if options.small else options.customers}
    return finish("train", figures, {} if options.small else BARS, notes)


def _command(worker: str, folder: Path, options: argparse.Namespace) -> list[str]:
    arguments = ("--worker", worker, "--folder", str(folder / worker), "--threads", str(options.threads))
    small = ("--small",) if options.small else ()
    return python("benchmarks.train", *arguments, "--customers", str(options.customers), *small)


def _worker(options: argparse.Namespace) -> int:
    if options.worker == "propensity":
        _train_propensity(options)
        return 0
    settings, at = RecommenderSettings(), made_end(_DAYS)
    if options.worker == "made":
        events, items = made_events(options.customers, 6_000, _DAYS, seed=_SEED), made_items(6_000)
    elif options.small:
        events, items, at = made_events(400, 400, 300, seed=_SEED), made_items(400), made_end(300)
        settings = RecommenderSettings(trees=20, cutoffs=2, seasons=0, leaf_rows=20)
    else:
        retail = read_retail(retail_file(), TEST)
        events, items, at = retail.events, retail.items, TEST
    _train(events, items, at, settings, options)
    return 0


def _train(
    events: object, items: object, at: datetime, settings: RecommenderSettings, options: argparse.Namespace
) -> None:
    started = time.monotonic()
    trained = train_recommender(events, items, at=at, threads=options.threads, seed=_SEED, settings=settings)
    trained.save(options.folder)
    print(f"trained and saved in {time.monotonic() - started:.1f} s from {len(trained.log):,} events", file=sys.stderr)


def _train_propensity(options: argparse.Namespace) -> None:
    """Features at every cut-off whose window ends by the end of what is known, classifiers, calibration, files; nothing is judged."""
    started = time.monotonic()
    options.folder.mkdir(parents=True)
    con = connect(Profile(cpu=2, memory=2 * 2**30, threads=options.threads), scratch=options.folder)
    if options.small:
        at, file = load_sample_lines(con, options.folder), None
        first = at - 7 * WINDOW
    else:
        load_lines(con)
        at, first, file = TEST, FIRST, retail_file()
    house = retail_lakehouse(con, options.folder, file)
    examples = retail_examples(con, house, cutoffs_before(at - WINDOW, first, SPACING))
    con.close()  # as in a round, which trains when what it reads has been read
    trained = train_propensity(examples, seed=_SEED, threads=options.threads)
    trained.save(options.folder / "model")
    print(f"trained and saved in {time.monotonic() - started:.1f} s from {examples.num_rows:,} rows", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--small", action="store_true", help="400 customers, a quick model, no bars: only to see that it works"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--customers", type=int, default=100_000, help="of the made log; 0 leaves it out")
    parser.add_argument("--worker", choices=(*MODELS, "made"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
