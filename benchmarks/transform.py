"""Bronze to gold through dbt, Delta and its tests, against the bare DuckDB SQL of the same models on Parquet.

`python -m benchmarks.transform [--small] [--lines N] [--rounds N]`. Two data sets: Online Retail II where PLINTH_DATA (by default
../shared/data) has it, and a generated sample of `--lines` invoice lines (10 million). Figures: `wall_vs_sql` (on the sample: the first build
of all models with their dbt tests, over the bare SQL without any test), `retail_wall_vs_sql` (the same on Online Retail II, where dbt's start
weighs more), `models_vs_sql` (the models alone, without dbt's start and its tests), `peak_mb`.

Then a day comes, and again another. Each is taken in twice from the same state, by an incremental build and by a full refresh, which have to end in
equal tables: `day_vs_rebuild` and `day_cpu_vs_rebuild` for a day of the sample, which erases customers and so changes rows in every file;
`recent_day_vs_rebuild` and `recent_day_cpu_vs_rebuild` for a day of new lines alone. A full refresh compares what it made with what is there
and publishes what differs; who only computes all and overwrites pays less for it, but everything that reads the tables follows all of it:
`day_cpu_vs_overwrite`, `recent_day_cpu_vs_overwrite`. `rebuild_vs_sql` and `day_vs_idle_refresh` are of a full refresh that finds every row as it is and
writes nothing, the cheapest that there is (`day_vs_rebuild` was measured so before).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, Run, in_turn, python, run
from benchmarks.report import Bar, finish, print_runs

BARS = {"wall_vs_sql": Bar("<=", 1.3)}
WORKER = "benchmarks.transform_worker"


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="plinth-benchmark-"))
    try:
        print(f"  writing a sample of {options.lines:,} lines and loading it into bronze …", file=sys.stderr)
        sample = folder / "sample"
        run(python(WORKER, "sample", str(sample), str(options.lines)))
        runs = _compare(sample, "sample", options.rounds)
        figures = _figures(runs, "sample", sample) | _days(sample, runs)
        retail = Path(os.environ.get("PLINTH_DATA") or ROOT.parent / "shared" / "data") / "online_retail_ii.parquet"
        if retail.is_file() and not options.small:
            run(python(WORKER, "retail", str(folder / "retail"), str(retail)))
            runs |= _compare(folder / "retail", "retail", options.rounds)
            figures |= {f"retail_{name}": value for name, value in _figures(runs, "retail", folder / "retail").items()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print_runs("Bronze to gold", runs)
    return finish(
        "transform", figures, {} if options.small else BARS, {"lines": options.lines, "rounds": options.rounds}
    )


def _compare(folder: Path, name: str, rounds: int) -> dict[str, Run]:
    run(python(WORKER, "first", str(folder)))
    run(python(WORKER, "export", str(folder)))
    return in_turn(
        {
            f"{name}: dbt, Delta, tests": lambda: run(python(WORKER, "first", str(folder))),
            f"{name}: bare SQL": lambda: run(python(WORKER, "sql", str(folder))),
        },
        rounds=rounds,
    )


def _days(sample: Path, runs: dict[str, Run]) -> dict[str, float]:
    """Takes in two days, each by a build and by a full refresh from the same state, and adds the runs."""
    figures: dict[str, float] = {}
    for step, name in (("advance", "day"), ("recent", "recent_day")):
        said = name.replace("_", " ")
        rebuilt, anew = sample.with_name(f"rebuilt {name}"), sample.with_name(f"anew {name}")
        run(python(WORKER, step, str(sample)))
        for other in (rebuilt, anew):
            run(python(WORKER, "fork", str(sample), str(other)))
        day = runs[f"sample: {said}"] = run(python(WORKER, "build", str(sample)))
        rebuild = runs[f"sample: {said} by full refresh"] = run(python(WORKER, "rebuild", str(rebuilt)))
        overwrite = runs[f"sample: {said} by overwriting"] = run(python(WORKER, "first", str(anew)))
        for other in (rebuilt, anew):
            run(python(WORKER, "equal", str(sample), str(other)))
        figures |= {
            f"{name}_vs_rebuild": day.wall / rebuild.wall,
            f"{name}_cpu_vs_rebuild": day.cpu / rebuild.cpu,
            f"{name}_cpu_vs_overwrite": day.cpu / overwrite.cpu,
        }
    idle = runs["sample: full refresh, nothing new"] = run(python(WORKER, "rebuild", str(sample)))
    figures["rebuild_vs_sql"] = idle.wall / runs["sample: bare SQL"].wall
    figures["day_vs_idle_refresh"] = runs["sample: day"].wall / idle.wall
    return figures


def _figures(runs: dict[str, Run], name: str, folder: Path) -> dict[str, float]:
    ours, sql = runs[f"{name}: dbt, Delta, tests"], runs[f"{name}: bare SQL"]
    models = float((folder / "model_seconds.txt").read_text())
    return {"wall_vs_sql": ours.wall / sql.wall, "models_vs_sql": models / sql.wall, "peak_mb": ours.peak_mb}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--small", action="store_true", help="5,000 lines, one round, no bars: only to see that it works"
    )
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.small:
        options.lines, options.rounds = 5_000, 1
    return options


if __name__ == "__main__":
    sys.exit(main())
