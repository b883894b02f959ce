"""The steps of `benchmarks.features`, each as a process of its own: `python -m benchmarks.features_worker STEP FOLDER [ARGUMENTS]`.

`data CASE ENTITIES ROWS WEEKS`: feature rows (of the case `weekly` a feature table through the lakehouse's door), and entity rows. `plinth CASE RESULT`,
`duckdb CASE RESULT`: the training set by `plinth.features`, and by a bare ASOF JOIN. Both write what the call itself took and, beside it, what came
out. `wrong CASE RESULT …`: in how many rows each result differs from the rule worked out by a window over every pair.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import ROOT
from plinth.engine import connect
from plinth.features import load_views, training_set
from plinth.features.join import FeatureRows, join
from plinth.features.query import columns_of
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.files import read_files
from plinth.lakehouse.staging import stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.platform import load_platform

FEATURES = [f"f{number}" for number in range(1, 7)]
_TABLE = TableId("features", "bench")
# The shape that a view's table has: a snapshot a week of every entity, and nothing in it that was known at its instant or later.
_ROWS = """
SELECT i % {entities} AS k, CAST(as_of AS DATE) AS snapshot_date, as_of, as_of - to_seconds(CAST(1 + hash(i, 'known') % 604800 AS BIGINT)) AS known_at,
    {features}
FROM (SELECT i, TIMESTAMP '2024-01-01' + to_days(CAST(7 * (i // {entities}) AS INTEGER)) AS as_of FROM range({rows}) t(i))
"""
# Rows at any time, none of one entity at the same second; one in ten becomes known up to 30 days later.
_AT_ANY_TIME = """
SELECT i % {entities} AS k, as_of, as_of + to_seconds(CASE WHEN hash(i, 'late') % 10 = 0 THEN CAST(hash(i, 'known') % 2592000 AS BIGINT) ELSE 0 END)
    AS known_at, {features}
FROM (SELECT i, TIMESTAMP '2024-01-01' + to_seconds(CAST({slot} * (i // {entities}) + hash(i, 'when') % {slot} AS BIGINT)) AS as_of FROM range({rows}) t(i))
"""
# Entities to ask for, at any time from a month before the first row on; one in fifty has no row at all.
_EACH_ONCE = "i + {entities} // 50"
_ANY = "CAST(hash(i, 'whom') % ({entities} + {entities} // 50) AS BIGINT)"
_ENTITIES = """
SELECT {whom} AS k, TIMESTAMP '2023-12-01' + to_seconds(CAST(hash(i, 'when') % (86400 * (30 + 7 * {weeks})) AS BIGINT)) AS at, i AS label
FROM range({asked}) t(i)
"""


def lakehouse(folder: Path) -> Lakehouse:
    """A lakehouse below a folder, with a view of six features."""
    (folder / "platform.yaml").write_text(
        f"zones:\n  on_prem: {{root: {folder}/on_prem}}\n  cloud: {{root: {folder}/cloud}}\n"
        f"stores: {{report: {folder}/report.json, scratch: {folder}/scratch}}\ndefault_profile: memory\n"
    )
    return Lakehouse(load_platform(ROOT / "platform.yaml", folder / "platform.yaml"))


def declared(folder: Path) -> Path:
    """The declaration of that view."""
    features = "".join(
        f"      {name}: {{from: events, expression: max(value), description: A value.}}\n" for name in FEATURES
    )
    file = folder / "feature_views.yaml"
    file.write_text(
        "since: 2024-01-01\nviews:\n  bench:\n    owner: team:bench\n    description: Six values.\n"
        "    entity:\n      k: {type: long, description: Entity.}\n    sources:\n      events:\n        table: silver/events\n"
        f"        event_time: at\n        columns: {{k: k, value: value}}\n    features:\n{features}"
    )
    return file


def data(folder: Path, case: str, asked: int, rows: int, weeks: int) -> None:
    """The feature rows of a case, the same as Feast takes them, and the rows to find features for."""
    house, view = lakehouse(folder), load_views(declared(folder)).view("bench")
    con = connect(house.platform.profile(), scratch=folder / "scratch")
    features = ", ".join(f"(hash(i, '{name}') % 1000000) / 1000.0 AS {name}" for name in FEATURES)
    entities = asked if case == "distinct" else rows // weeks
    if case == "weekly":
        columns = columns_of(view)
        sql = _ROWS.format(features=features, entities=entities, rows=entities * weeks)
        files = stage(con, sql, house.uri_of(_TABLE), columns, ("snapshot_date",))
        commit(house, _TABLE, Write(None, columns, State(data_version=1), files, partition_by=("snapshot_date",)))
    else:
        slot = 7 * 86400 * weeks * entities // rows
        sql = _AT_ANY_TIME.format(features=features, entities=entities, rows=rows, slot=slot)
        con.execute(f"COPY ({sql}) TO '{folder}/rows.parquet' (COMPRESSION zstd, COMPRESSION_LEVEL 1)")
    con.execute(
        f"COPY (SELECT k, {', '.join(FEATURES)}, CAST(as_of AS TIMESTAMPTZ) AS as_of, CAST(known_at AS TIMESTAMPTZ) AS known_at FROM {relation(folder, case)}) "
        f"TO '{folder}/feast_rows.parquet' (COMPRESSION zstd, COMPRESSION_LEVEL 1)"
    )
    whom = (_EACH_ONCE if case == "distinct" else _ANY).format(entities=entities)
    con.execute(f"COPY ({_ENTITIES.format(whom=whom, weeks=weeks, asked=asked)}) TO '{folder}/entities.parquet'")


def relation(folder: Path, case: str) -> str:
    """The feature rows of a case as SQL that can stand behind FROM."""
    if case != "weekly":
        return f"read_parquet('{folder}/rows.parquet')"
    view = load_views(declared(folder)).view("bench")
    return f"({read_files(lakehouse(folder).open(_TABLE).files, columns_of(view))})"


def by_plinth(folder: Path, case: str, result: Path) -> None:
    """The training set as users ask for it, and where the rows are no snapshots the join beneath it."""
    house, views, entities = lakehouse(folder), load_views(declared(folder)), pq.read_table(folder / "entities.parquet")
    named = {name: f"bench__{name}" for name in FEATURES}
    if case == "weekly":
        house.open(_TABLE)  # loads the packages that are loaded before the clock starts for the bare join too
        found = measured(result, lambda: training_set(house, views, entities, ["bench"]))
    else:
        rows = FeatureRows(relation(folder, case), ("k",), named, one_a_time=True)
        con = connect(house.platform.profile(), scratch=folder / "scratch")
        values = measured(result, lambda: join(con, entities, "at", rows))
        found = pa.table({"label": entities["label"], **{name: values[name] for name in values.column_names}})
    back = {then: name for name, then in named.items()}
    keep(result, found.rename_columns([back.get(name, name) for name in found.column_names]))


def by_duckdb(folder: Path, case: str, result: Path) -> None:
    """The same files and rows in one ASOF JOIN, without ordering the result or looking at the second clock by itself."""
    house, rows = lakehouse(folder), relation(folder, case)
    entities = pq.read_table(folder / "entities.parquet")
    con = connect(house.platform.profile(), scratch=folder / "scratch")

    def bare() -> pa.Table:
        # Without this DuckDB takes the Arrow table for one row and compares every pair: minutes instead of seconds.
        con.execute("SET asof_loop_join_threshold = 0")
        con.register("entities", entities)
        return con.execute(
            f"SELECT e.*, {', '.join(FEATURES)} FROM entities AS e ASOF LEFT JOIN {rows} AS f "
            "ON e.k = f.k AND e.at >= greatest(f.as_of, f.known_at)"
        ).to_arrow_table()

    keep(result, measured(result, bare))


def measured(result: Path, work: Callable[[], pa.Table]) -> pa.Table:
    """Runs the work and writes the seconds that it took: loading Python's packages is nobody's work."""
    began, before = time.monotonic(), _cpu()
    found = work()
    result.write_text(json.dumps({"cpu": _cpu() - before, "wall": time.monotonic() - began, "rows": found.num_rows}))
    return found


def keep(result: Path, found: pa.Table) -> None:
    """What came out, for the comparison."""
    pq.write_table(found.select(["label", *FEATURES]), result.with_suffix(".parquet"))


def wrong(folder: Path, case: str, results: list[str]) -> None:
    """Writes in how many entity rows each result is not what the rule gives."""
    con = connect(lakehouse(folder).platform.profile(), scratch=folder / "scratch")
    names = ", ".join(FEATURES)
    con.execute(
        f"CREATE TEMP TABLE reference AS WITH pairs AS (SELECT e.label, f.* FROM '{folder}/entities.parquet' e "
        f"JOIN {relation(folder, case)} f ON e.k = f.k AND f.as_of <= e.at AND f.known_at <= e.at "
        "QUALIFY row_number() OVER (PARTITION BY e.label ORDER BY f.as_of DESC, f.known_at DESC) = 1) "
        f"SELECT e.label, {names} FROM '{folder}/entities.parquet' e LEFT JOIN pairs USING (label)"
    )
    differing = []
    for result in results:
        theirs = f"SELECT label, {names} FROM '{Path(result).with_suffix('.parquet')}'"
        # A row too many differs as well as one that is missing.
        more, fewer = con.execute(
            f"SELECT (SELECT count(*) FROM ({theirs} EXCEPT ALL FROM reference)), (SELECT count(*) FROM (FROM reference EXCEPT ALL {theirs}))"
        ).fetchone() or (0, 0)
        differing.append(max(more, fewer))
    (folder / "wrong.json").write_text(json.dumps(differing))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    step, folder, case, arguments = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:]
    steps: dict[str, Callable[[], Any]] = {
        "data": lambda: data(folder, case, *map(int, arguments)),
        "plinth": lambda: by_plinth(folder, case, Path(arguments[0])),
        "duckdb": lambda: by_duckdb(folder, case, Path(arguments[0])),
        "wrong": lambda: wrong(folder, case, arguments),
    }
    steps[step]()


if __name__ == "__main__":
    main()
