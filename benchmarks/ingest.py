"""Loading 10 million order lines into a Delta table, against the database's own dump to nowhere and against dlt.

`python -m benchmarks.ingest [--small] [--rows N] [--rounds N] [--without-dlt]`. Figures: `wall_vs_copy` (our wall time over that of one
connection's `COPY … (FORMAT binary)` to /dev/null, PostgreSQL), `cpu_vs_dlt` (our client's CPU seconds over those of dlt's better
backend), `peak_mb`; `mariadb_wall_vs_dump` and `sqlite_wall_vs_dump` beside them.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import lines
from benchmarks.measure import Run, in_turn, python, run
from benchmarks.report import Bar, finish, print_runs
from tests.servers import MariaDBServer, PostgresServer

BARS = {"wall_vs_copy": Bar("<=", 1.0), "cpu_vs_dlt": Bar("<=", 0.3), "peak_mb": Bar("<=", 300)}
PROFILE_MB = 256


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="plinth-benchmark-"))
    postgres = PostgresServer()
    try:
        url = postgres.new_database("benchmark")
        lines.fill_postgres(url, options.rows)
        contenders = {
            "plinth (PostgreSQL)": lambda: plinth(url, folder),
            "psql COPY binary": lambda: dump_postgres(url),
        }
        runs = in_turn(contenders, rounds=options.rounds)
        if not options.without_dlt:
            peers = {f"dlt {backend}": _dlt(url, folder, backend) for backend in ("connectorx", "pyarrow")}
            runs |= in_turn(peers, rounds=1 if options.rows > 10**6 else options.rounds)
        csv_file = folder / "lines.csv"
        lines.copy_to_csv(url, csv_file)
    finally:
        postgres.close()
    runs |= _others(folder, csv_file, options.rounds)
    shutil.rmtree(folder, ignore_errors=True)
    print_runs(f"{options.rows:,} order lines into a Delta table", runs)
    return finish(
        "ingest", _figures(runs), BARS if not options.small else {}, {"rows": options.rows, "rounds": options.rounds}
    )


def plinth(url: str, folder: Path) -> Run:
    """A first load into an empty folder."""
    home = Path(tempfile.mkdtemp(dir=folder))
    measured = run(python("benchmarks.load_worker", url, str(home), "snapshot", str(PROFILE_MB)))
    shutil.rmtree(home)
    return measured


def dump_postgres(url: str) -> Run:
    """One connection's binary COPY to nowhere."""
    return run(["psql", url, "-c", f"\\copy {lines.TABLE} to '/dev/null' with (format binary)"])


def _dlt(url: str, folder: Path, backend: str) -> Callable[[], Run]:
    def load() -> Run:
        home = Path(tempfile.mkdtemp(dir=folder))
        measured = run(python("benchmarks.dlt_worker", url, str(home), backend, "replace"))
        shutil.rmtree(home)
        return measured

    return load


def _others(folder: Path, csv_file: Path, rounds: int) -> dict[str, Run]:
    """MariaDB and SQLite, each against its own client's dump to nowhere."""
    mariadb = MariaDBServer()
    try:
        url = mariadb.new_database("benchmark")
        lines.fill_mariadb(url, csv_file)
        dump = [
            "mysql",
            f"--socket={mariadb.socket}",
            *_mysql_login(url),
            "--quick",
            "-N",
            "-e",
            f"SELECT * FROM {lines.TABLE}",
        ]
        runs = in_turn(
            {"plinth (MariaDB)": lambda: plinth(url, folder), "mysql --quick": lambda: run(dump)}, rounds=rounds
        )
    finally:
        mariadb.close()
    path = folder / "lines.sqlite"
    lines.fill_sqlite(path, csv_file)
    csv_file.unlink()
    dump_sqlite = python("benchmarks.sqlite_dump", str(path))
    runs |= in_turn(
        {
            "plinth (SQLite)": lambda: plinth(f"sqlite:///{path}", folder),
            "sqlite3 to nowhere": lambda: run(dump_sqlite),
        },
        rounds=rounds,
    )
    return runs


def _mysql_login(url: str) -> list[str]:
    from sqlalchemy.engine import make_url

    parts = make_url(url)
    return [f"--user={parts.username}", f"--password={parts.password}", str(parts.database)]


def _figures(runs: dict[str, Run]) -> dict[str, float]:
    ours = runs["plinth (PostgreSQL)"]
    figures = {"wall_vs_copy": ours.wall / runs["psql COPY binary"].wall, "peak_mb": ours.peak_mb}
    dlt = [each.cpu for name, each in runs.items() if name.startswith("dlt ")]
    if dlt:
        figures["cpu_vs_dlt"] = ours.cpu / min(dlt)
    figures["mariadb_wall_vs_dump"] = runs["plinth (MariaDB)"].wall / runs["mysql --quick"].wall
    figures["sqlite_wall_vs_dump"] = runs["plinth (SQLite)"].wall / runs["sqlite3 to nowhere"].wall
    return figures


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--small", action="store_true", help="20,000 rows, one round, no bars: only to see that it works"
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-dlt", action="store_true")
    options = parser.parse_args()
    if options.small:
        options.rows, options.rounds = 20_000, 1
    return options


if __name__ == "__main__":
    sys.exit(main())
