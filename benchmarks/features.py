"""A training set of 1 million entity rows over 5 million feature rows (100 weekly snapshots), against a bare ASOF JOIN in DuckDB and against Feast.

`python -m benchmarks.features [--small] [--entities N] [--rows N] [--weeks N] [--rounds N] [--without-feast]`. Figures: `cpu_vs_duckdb` (CPU seconds of
`training_set` over those of the bare join on the same files), `cpu_vs_feast` (over those of Feast's `get_historical_features` with its DuckDB
store), `equal` (1 where all of them give, row for row, what the rule gives), `peak_mb`. Seconds are those of the call; starting Python and
loading packages is left out for all. Feast stands in an environment of its own, `.venv-feast`, made from requirements/feast.lock when it is
missing; where it cannot be had, its figure is left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, Run, in_turn, python, run
from benchmarks.report import Bar, finish, print_runs

BARS = {"cpu_vs_duckdb": Bar("<=", 1.2), "cpu_vs_feast": Bar("<=", 0.1), "equal": Bar("=", 1)}
WORKER = "benchmarks.features_worker"
OURS, BARE, FEAST = "plinth training_set", "DuckDB, bare ASOF JOIN", "Feast, DuckDB store"
_ENVIRONMENT = ROOT / ".venv-feast"


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="plinth-benchmark-"))
    feast = None if options.without_feast else feast_python()
    try:
        print(f"  writing {options.rows:,} feature rows and {options.entities:,} entity rows …", file=sys.stderr)
        run(python(WORKER, "data", str(folder), str(options.entities), str(options.rows), str(options.weeks)))
        contenders = {
            OURS: lambda: _measured(python(WORKER, "plinth", str(folder)), folder / "plinth.json"),
            BARE: lambda: _measured(python(WORKER, "duckdb", str(folder)), folder / "duckdb.json"),
        }
        runs = in_turn(contenders, rounds=options.rounds)
        results = [folder / "plinth.json", folder / "duckdb.json"]
        if feast is not None:
            command = [str(feast), str(ROOT / "benchmarks" / "feast_peer.py"), "features", str(folder)]
            runs |= in_turn({FEAST: lambda: _measured(command, folder / "feast.json")}, rounds=options.rounds)
            results.append(folder / "feast.json")
        run(python(WORKER, "equal", str(folder), *map(str, results)))
        equal = json.loads((folder / "equal.json").read_text())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print_runs(f"{options.entities:,} rows, {options.rows:,} feature rows, six features", runs)
    notes = {
        "entities": options.entities,
        "rows": options.rows,
        "weeks": options.weeks,
        "rounds": options.rounds,
        "feast": feast is not None,
    }
    return finish("features", _figures(runs, equal), {} if options.small else BARS, notes)


def _measured(command: list[str], result: Path) -> Run:
    """The seconds of the call itself, and the peak memory of its process."""
    whole = run([*command, str(result)])
    said = json.loads(result.read_text())
    return Run(said["wall"], said["cpu"], whole.peak_mb)


def _figures(runs: dict[str, Run], equal: float) -> dict[str, float]:
    figures = {
        "cpu_vs_duckdb": runs[OURS].cpu / runs[BARE].cpu,
        "equal": equal,
        "peak_mb": runs[OURS].peak_mb,
        "peak_mb_duckdb": runs[BARE].peak_mb,
    }
    if FEAST in runs:
        figures["cpu_vs_feast"] = runs[OURS].cpu / runs[FEAST].cpu
    return figures


def feast_python() -> Path | None:
    """The interpreter of Feast's environment, made where it is missing; None, with the reason printed, where it cannot be made."""
    interpreter = _ENVIRONMENT / "bin" / "python"
    if interpreter.exists() and _imports(interpreter):
        return interpreter
    print("  making .venv-feast from requirements/feast.lock …", file=sys.stderr)
    lock = ["--quiet", "--require-hashes", "--no-deps", "-r", str(ROOT / "requirements" / "feast.lock")]
    commands = [
        [sys.executable, "-m", "venv", "--clear", str(_ENVIRONMENT)],
        [str(interpreter), "-m", "pip", "install", "--disable-pip-version-check", *lock],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(
                f"  no figure of Feast: {' '.join(command[:4])} … failed: {done.stderr.strip()[-500:]}", file=sys.stderr
            )
            return None
    return interpreter if _imports(interpreter) else None


def _imports(interpreter: Path) -> bool:
    done = subprocess.run([str(interpreter), "-c", "import feast"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"  Feast does not load in .venv-feast: {done.stderr.strip()[-300:]}", file=sys.stderr)
    return done.returncode == 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--small", action="store_true", help="5,000 rows, one round, without Feast, no bars: only to see that it works"
    )
    parser.add_argument("--entities", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--weeks", type=int, default=100, help="Snapshots that the rows are spread over.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-feast", action="store_true", help="Leave Feast's figure out.")
    options = parser.parse_args()
    if options.small:
        options.entities, options.rows, options.rounds, options.without_feast = 5_000, 25_000, 1, True
    return options


if __name__ == "__main__":
    sys.exit(main())
