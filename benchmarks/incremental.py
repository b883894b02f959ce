"""Bringing over 1 % of changed rows of a 10-million-row table, recent or scattered, against a full load and against dlt's merge.

`python -m benchmarks.incremental [--small] [--rows N] [--rounds N] [--without-dlt]`. Figures: `cpu_vs_full` (CPU seconds of the client for
recent changes over those of a full load), `peak_mb` (the higher of both kinds of change), `scattered_cpu_vs_full`,
`recent_cpu_vs_dlt`, `scattered_cpu_vs_dlt` and the same for wall time.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

from benchmarks import lines
from benchmarks.ingest import PROFILE_MB, _options
from benchmarks.measure import Run, median, python, run
from benchmarks.report import Bar, finish, print_runs
from tests.servers import PostgresServer

BARS = {
    "cpu_vs_full": Bar("<=", 0.1),
    "peak_mb": Bar("<=", 600),
    "recent_cpu_vs_dlt": Bar("<=", 1.0),
    "scattered_cpu_vs_dlt": Bar("<=", 1.0),
}


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="plinth-benchmark-"))
    postgres = PostgresServer()
    runs: dict[str, list[Run]] = {}
    try:
        url = postgres.new_database("benchmark")
        lines.fill_postgres(url, options.rows)
        _measure(runs, "plinth full", plinth(url, folder))
        if not options.without_dlt:
            _measure(runs, "dlt full", dlt(url, folder))
        for turn in range(options.rounds):
            for scattered in (False, True):
                kind = "scattered" if scattered else "recent"
                # Times of the past: those ahead of the clock are no watermark, and every later load would read all of them again.
                after = date(2023, 1, 1) + timedelta(days=2 * turn + scattered)
                lines.change_postgres(url, options.rows, scattered=scattered, after=after.isoformat())
                _measure(runs, f"plinth {kind}", plinth(url, folder))
                if not options.without_dlt:
                    _measure(runs, f"dlt {kind}", dlt(url, folder))
    finally:
        postgres.close()
        shutil.rmtree(folder, ignore_errors=True)
    medians = {name: median(each) for name, each in runs.items()}
    print_runs(f"1 % of {options.rows:,} order lines changed", medians)
    return finish(
        "incremental",
        _figures(medians),
        {} if options.small else BARS,
        {"rows": options.rows, "rounds": options.rounds},
    )


def plinth(url: str, folder: Path) -> Run:
    """A load into the folder's lakehouse: the first is full, the next ones are increments."""
    return run(python("benchmarks.load_worker", url, str(folder / "plinth"), "incremental", str(PROFILE_MB * 2)))


def dlt(url: str, folder: Path) -> Run:
    """The same by dlt: merge with the strategy `upsert` into Delta, by a cursor."""
    return run(python("benchmarks.dlt_worker", url, str(folder / "dlt"), "connectorx", "merge"))


def _measure(runs: dict[str, list[Run]], name: str, measured: Run) -> None:
    print(f"  {name}: {measured.wall:.1f} s, {measured.cpu:.1f} CPU s, {measured.peak_mb:.0f} MB", file=sys.stderr)
    runs.setdefault(name, []).append(measured)


def _figures(runs: dict[str, Run]) -> dict[str, float]:
    full, recent, scattered = runs["plinth full"], runs["plinth recent"], runs["plinth scattered"]
    figures = {
        "cpu_vs_full": recent.cpu / full.cpu,
        "scattered_cpu_vs_full": scattered.cpu / full.cpu,
        "peak_mb": max(recent.peak_mb, scattered.peak_mb),
    }
    for kind, ours in (("recent", recent), ("scattered", scattered)):
        theirs = runs.get(f"dlt {kind}")
        if theirs is not None:
            figures[f"{kind}_cpu_vs_dlt"] = ours.cpu / theirs.cpu
            figures[f"{kind}_wall_vs_dlt"] = ours.wall / theirs.wall
    return figures


if __name__ == "__main__":
    sys.exit(main())
