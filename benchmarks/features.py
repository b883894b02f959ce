"""A training set of 1 million entity rows over 5 million feature rows of six values, against a bare ASOF JOIN in DuckDB and against Feast.

`python -m benchmarks.features [--small] [--entities N] [--rows N] [--weeks N] [--rounds N] [--without-feast]`, in three cases:

- `distinct`, the case that the bars are of: a million different entities of five rows each, at random times, one row in ten known up to 30 days late;
- `long`: the same of 50,000 entities with a hundred rows each;
- `weekly`: 50,000 entities in 100 weekly snapshots, as feature views are kept; here `training_set` is asked, elsewhere the join beneath it.

Figures: `cpu_vs_duckdb` (CPU seconds of ours over those of the bare join on the same files), `cpu_vs_feast` (over those of Feast's
`get_historical_features` with its DuckDB store), both of `distinct`, and with the case's name before them of the others; `equal` (1 where ours gives,
row for row, what the rule on both clocks gives, in every case, and the others do where nothing is late); `duckdb_wrong_rows` and `feast_wrong_rows`,
of how many entity rows the others give something else in `distinct`: the bare join lets a late row of an old time hide a newer one, and Feast knows no
time at which a row was known. `peak_mb`. Seconds are those of the call; starting Python and loading packages is left out for all. Feast stands in an
environment of its own, `.venv-feast`, made from requirements/feast.lock when it is missing; where it cannot be had, its figures are left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.measure import ROOT, Run, in_turn, python, run
from benchmarks.report import Bar, finish, print_runs

BARS = {
    "cpu_vs_duckdb": Bar("<=", 1.2),
    "cpu_vs_feast": Bar("<=", 0.1),
    "weekly_cpu_vs_duckdb": Bar("<=", 1.2),
    "weekly_cpu_vs_feast": Bar("<=", 0.1),
    "equal": Bar("=", 1),
}
CASES = ("distinct", "long", "weekly")
WORKER = "benchmarks.features_worker"
OURS, BARE, FEAST = "plinth", "DuckDB, bare ASOF JOIN", "Feast, DuckDB store"
_ENVIRONMENT = ROOT / ".venv-feast"


@dataclass(frozen=True)
class Case:
    """What came of a case: the runs, and of how many entity rows each contender gives something else than the rule."""

    runs: dict[str, Run]
    wrong: dict[str, int]


def main() -> int:
    options = _options()
    feast = None if options.without_feast else feast_python()
    found = {case: _case(case, feast, options) for case in CASES}
    for case, each in found.items():
        print_runs(f"{case}: {options.entities:,} rows, {options.rows:,} feature rows, six features", each.runs)
    notes = {
        "entities": options.entities,
        "rows": options.rows,
        "weeks": options.weeks,
        "rounds": options.rounds,
        "feast": feast is not None,
    }
    bars = (
        {} if options.small else {name: bar for name, bar in BARS.items() if feast is not None or "feast" not in name}
    )
    return finish("features", _figures(found), bars, notes)


def _case(case: str, feast: Path | None, options: argparse.Namespace) -> Case:
    folder = Path(tempfile.mkdtemp(prefix="plinth-benchmark-"))
    try:
        print(
            f"  {case}: writing {options.rows:,} feature rows and {options.entities:,} entity rows …", file=sys.stderr
        )
        run(python(WORKER, "data", str(folder), case, str(options.entities), str(options.rows), str(options.weeks)))
        commands = {
            OURS: python(WORKER, "plinth", str(folder), case),
            BARE: python(WORKER, "duckdb", str(folder), case),
        }
        if feast is not None:
            commands[FEAST] = [*feast_peer(feast), "features", str(folder)]
        results = {name: folder / f"result_{number}.json" for number, name in enumerate(commands)}
        contenders = {name: partial(_measured, command, results[name]) for name, command in commands.items()}
        runs = in_turn(contenders, rounds=options.rounds)
        run(python(WORKER, "wrong", str(folder), case, *map(str, results.values())))
        wrong = json.loads((folder / "wrong.json").read_text())
        return Case(runs, dict(zip(results, wrong, strict=True)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measured(command: list[str], result: Path) -> Run:
    """The seconds of the call itself, and the peak memory of its process."""
    whole = run([*command, str(result)])
    said = json.loads(result.read_text())
    return Run(said["wall"], said["cpu"], whole.peak_mb)


def _figures(found: dict[str, Case]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for case, each in found.items():
        before, ours = "" if case == "distinct" else f"{case}_", each.runs[OURS]
        figures[f"{before}cpu_vs_duckdb"] = ours.cpu / each.runs[BARE].cpu
        if FEAST in each.runs:
            figures[f"{before}cpu_vs_feast"] = ours.cpu / each.runs[FEAST].cpu
    # Nothing is late in snapshots: there everybody has to give the same.
    right = [found[case].wrong[OURS] == 0 for case in found] + [each == 0 for each in found["weekly"].wrong.values()]
    figures["equal"] = sum(right) / len(right)
    first = found["distinct"]
    figures["duckdb_wrong_rows"] = first.wrong[BARE]
    if FEAST in first.runs:
        figures["feast_wrong_rows"] = first.wrong[FEAST]
    figures |= {"peak_mb": first.runs[OURS].peak_mb, "peak_mb_duckdb": first.runs[BARE].peak_mb}
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


def feast_peer(interpreter: Path) -> list[str]:
    """The command that runs Feast's side.

    The script's own folder is kept out of its path (-P): `benchmarks/queue.py` would stand in the place of Python's `queue`.
    """
    return [str(interpreter), "-P", str(ROOT / "benchmarks" / "feast_peer.py")]


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
    parser.add_argument("--weeks", type=int, default=100, help="Weeks that the rows are spread over.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-feast", action="store_true", help="Leave Feast's figure out.")
    options = parser.parse_args()
    if options.small:
        options.entities, options.rows, options.rounds, options.without_feast = 5_000, 25_000, 1, True
    return options


if __name__ == "__main__":
    sys.exit(main())
