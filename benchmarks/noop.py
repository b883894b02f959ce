"""What nothing costs: loading the definitions, and a `refresh` when nothing has changed.

`python -m benchmarks.noop [--small] [--rounds N]`. Figures: `load_seconds` (a fresh process imports `definitions`; bar 3 s),
`bare_dagster_seconds` (a fresh process that imports Dagster and makes one asset: the floor that no project can go below), their ratio
`load_vs_dagster`, and `noop_seconds` (`plinth run` on a sample that has just been run).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, in_turn, python, run
from benchmarks.report import Bar, finish, print_runs

BARS = {"load_seconds": Bar("<=", 3.0)}
_BARE = "import dagster as dg\n@dg.asset\ndef one() -> None: ...\ndg.Definitions(assets=[one]).get_repository_def()"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--small", action="store_true", help="one round, a tiny sample, no bars: only to see that it works"
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rounds = 1 if options.small else options.rounds
    with tempfile.TemporaryDirectory(prefix="plinth-benchmark-") as folder:
        environment = _project(Path(folder), customers=60 if options.small else 2000, days=30 if options.small else 540)
        load = [sys.executable, "-c", "import definitions; definitions.defs.get_repository_def()"]
        refresh = python("plinth.cli", "run")
        print("  the first run, which is not measured …", file=sys.stderr)
        run(refresh, env=environment)
        contenders = {
            "load the definitions": lambda: run(load, env=environment),
            "bare Dagster, one asset": lambda: run([sys.executable, "-c", _BARE], env=environment),
            "refresh, nothing changed": lambda: run(refresh, env=environment),
        }
        runs = in_turn(contenders, rounds=rounds)
    print_runs("When nothing has changed", runs)
    figures = {
        "load_seconds": runs["load the definitions"].wall,
        "bare_dagster_seconds": runs["bare Dagster, one asset"].wall,
        "load_vs_dagster": runs["load the definitions"].wall / runs["bare Dagster, one asset"].wall,
        "noop_seconds": runs["refresh, nothing changed"].wall,
    }
    return finish("noop", figures, {} if options.small else BARS, {"rounds": rounds})


def _project(folder: Path, *, customers: int, days: int) -> dict[str, str]:
    """A sample warehouse and an instance of its own, by an overlay; gives the variables that choose them."""
    overlay = folder / "platform.yaml"
    database = folder / "erp.sqlite"
    overlay.write_text(
        f"zones:\n  on_prem: {{root: {folder}/on_prem}}\n  cloud: {{root: {folder}/cloud}}\n"
        f"stores: {{report: {folder}/report.json, scratch: {folder}/scratch, registry: {folder}/registry, "
        f"online: 'sqlite:///{folder}/online.db'}}\n"
        f"sources:\n  erp: {{url: 'sqlite:///{database}'}}\n"
    )
    environment = {"PLINTH_PLATFORM": str(overlay), "DAGSTER_HOME": str(folder / "instance"), "PYTHONPATH": str(ROOT)}
    size = ("--customers", str(customers), "--days", str(days))
    run(python("plinth.cli", "sample", "--to", f"sqlite:///{database}", *size), env={**os.environ, **environment})
    return environment


if __name__ == "__main__":
    sys.exit(main())
