"""DuckDB and Spark on the same gold and feature SQL, over the same Delta tables, and where the lines of their times cross.

`python -m benchmarks.engines [--small] [--lines N] [--rounds N]`. Made-up silver tables of `--lines` invoice lines (10 million), and a tenth of them; the SQL is
the project's own: `sales_daily`, `customer_orders`, `interactions`, `item_catalog` and the features of every customer as of the last day, each written
as Parquet. Each run is a process of its own; CPU seconds and peak memory are of the whole tree, the JVM included (sampled ten times a second). Spark's
session start counts. Figures: `equal` (1 where every gold value is the same and every feature within 1e-9 of itself), `spark_wall_vs_duckdb`,
`spark_cpu_vs_duckdb`, `duckdb_peak_mb`, `spark_peak_mb`, and `crossing_lines`: where two straight lines through the two sizes meet. It is extrapolated,
holds for this one machine, and is left out where they never meet: then Spark is slower per line too, and worth its start only where one machine's
memory or disk ends.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.measure import Run, in_turn, python, run
from benchmarks.report import Bar, finish, print_runs

BARS = {"equal": Bar("=", 1)}
WORKER = "benchmarks.engines_worker"
ENGINES = ("duckdb", "spark")


def main() -> int:
    options = _options()
    sizes = (options.lines // 10, options.lines)
    folder = Path(tempfile.mkdtemp(prefix="plinth-benchmark-"))
    runs: dict[str, Run] = {}
    try:
        for lines in sizes:
            run(python(WORKER, "data", str(folder / str(lines)), str(lines)))
            contenders = {
                f"{engine}: {lines:,} lines": lambda engine=engine, lines=lines: _tree(engine, folder / str(lines))
                for engine in ENGINES
            }
            runs |= in_turn(contenders, rounds=options.rounds)
            run(python(WORKER, "compare", str(folder / str(lines))))
        equal = min(float((folder / str(lines) / "equal.txt").read_text()) for lines in sizes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print_runs("The same SQL on both engines", runs)
    duckdb, spark = (runs[f"{engine}: {sizes[1]:,} lines"] for engine in ENGINES)
    crossing = _crossing(runs, sizes)
    figures = {
        "equal": equal,
        "spark_wall_vs_duckdb": spark.wall / duckdb.wall,
        "spark_cpu_vs_duckdb": spark.cpu / duckdb.cpu,
        "duckdb_peak_mb": duckdb.peak_mb,
        "spark_peak_mb": spark.peak_mb,
        **({"crossing_lines": crossing} if crossing is not None else {}),
    }
    said = "extrapolated from two sizes" if crossing is not None else "none: Spark takes longer for each line, too"
    notes = {"lines": options.lines, "rounds": options.rounds, "crossing": said}
    return finish("engines", figures, {} if options.small else BARS, notes)


def _tree(engine: str, folder: Path) -> Run:
    """One run with the memory of all its processes: what the kernel says of a child is of the largest one only."""
    import psutil

    peak, done = [0.0], threading.Event()
    own = psutil.Process()

    def watch() -> None:
        while not done.wait(0.1):
            held = 0
            for process in own.children(recursive=True):
                try:
                    held += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak[0] = max(peak[0], held / 1e6)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        measured = run(python(WORKER, engine, str(folder)))
    finally:
        done.set()
        watcher.join()
    # The JVM outlives Python's wait by a moment, and is no child of ours then: the worker notes its CPU seconds itself.
    cpu = float((folder / f"{engine}.cpu").read_text())
    time.sleep(1)
    return Run(measured.wall, cpu, peak[0])


def _crossing(runs: dict[str, Run], sizes: tuple[int, int]) -> float | None:
    small, large = ({engine: runs[f"{engine}: {lines:,} lines"].wall for engine in ENGINES} for lines in sizes)
    slopes = {engine: (large[engine] - small[engine]) / (sizes[1] - sizes[0]) for engine in ENGINES}
    starts = {engine: large[engine] - slopes[engine] * sizes[1] for engine in ENGINES}
    if slopes["spark"] >= slopes["duckdb"]:
        return None
    return (starts["spark"] - starts["duckdb"]) / (slopes["duckdb"] - slopes["spark"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--small", action="store_true", help="20,000 lines, one round, no bars: only to see that it works"
    )
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.small:
        options.lines, options.rounds = 20_000, 1
    return options


if __name__ == "__main__":
    sys.exit(main())
