"""The steps of `benchmarks.engines`, each as a process of its own: `python -m benchmarks.engines_worker STEP FOLDER [LINES]`.

`data`: silver tables made up by arithmetic, through the door. `duckdb`, `spark`: the SQL, each query to Parquet. `compare`: both results, value by value.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb

from benchmarks.measure import ROOT
from plinth.engine import connect, literal, quote
from plinth.features.by_spark import snapshot_sql
from plinth.features.declare import load_views
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.schema import DeltaColumn, columns_of
from plinth.lakehouse.staging import stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.platform import Platform, load_platform
from plinth.transform.project import prepare

MODELS = ("sales_daily", "customer_orders", "interactions", "item_catalog")
AT = datetime(2024, 1, 1)
_GOODS, _SECONDS = 5_000, 3 * 365 * 86_400
LINES = """SELECT i AS line_id, 'I' || (i // 12) AS invoice_no, printf('%05d', hash(i) % {goods}) AS item_code, CASE WHEN i % 50 = 0 THEN 'postage' ELSE 'goods' END AS item_kind,
    'ARTICLE ' || (hash(i) % {goods}) AS description, CASE WHEN i % 50 = 0 THEN 'non_product' WHEN i % 60 = 0 THEN 'cancellation' ELSE 'sale' END AS line_type,
    (CASE WHEN i % 60 = 0 THEN -1 ELSE 1 END * (1 + i % 24))::INTEGER AS quantity, (((i * 31) % 9973) / 100)::DECIMAL(12, 4) AS unit_price,
    (CASE WHEN i % 60 = 0 THEN -1 ELSE 1 END * (1 + i % 24) * (((i * 31) % 9973) / 100)::DECIMAL(12, 4))::DECIMAL(18, 4) AS line_value,
    TIMESTAMP '2021-01-01' + to_seconds(((i // 12) * 12 / {lines} * {seconds})::BIGINT) AS invoiced_at, invoiced_at AS known_at,
    CASE WHEN (i // 12) % 5 > 0 THEN (((i // 12) * 7919) % ({lines} // 200 + 7))::INTEGER END AS customer_no,
    ['United Kingdom', 'Germany', 'France', NULL][1 + ((i // 12) % 4)::INTEGER] AS country, 1 AS copies,
    (CASE WHEN i % 61 = 0 AND i % 60 > 0 THEN 1 ELSE 0 END)::INTEGER AS cancelled_quantity, NULL::BIGINT AS matched_line_id FROM range({lines}) t(i)"""
ITEMS = """SELECT printf('%05d', i) AS item_code, 'goods' AS item_kind, 'ARTICLE ' || i AS description, 'C' || (i % 9) AS category_code,
    (i / 7)::DECIMAL(12, 4) AS list_price, (i / 9)::DECIMAL(12, 4) AS cost_price, 'active' AS status, DATE '2020-01-01' AS introduced_on,
    NULL::DATE AS discontinued_on FROM range({goods}) t(i)"""
CONTACTS = """SELECT (i % 9)::INTEGER AS promotion_id, i::INTEGER AS customer_no, DATE '2023-03-01' AS contacted_on, 'treatment' AS trial_group,
    i % 3 = 0 AS is_redeemed, DATE '2023-03-05' AS redeemed_on, TIMESTAMP '2023-03-06' AS known_at FROM range({lines} // 400) t(i)"""


def platform(folder: Path) -> Platform:
    folder.mkdir(parents=True, exist_ok=True)
    overlay = folder / "platform.yaml"
    overlay.write_text(
        f"zones:\n  on_prem: {{root: {folder}/on_prem}}\n  cloud: {{root: {folder}/cloud}}\nstores: {{scratch: {folder}/scratch}}\n"
        "profiles:\n  engine: {cpu: 2, memory: 6GiB, threads: 2, engine: spark}\n  duckdb: {cpu: 2, memory: 6GiB, threads: 2}\n"
        "default_profile: duckdb\n"
    )
    return load_platform(ROOT / "platform.yaml", overlay)


def make(folder: Path, lines: int) -> None:
    lakehouse = Lakehouse(platform(folder))
    con = connect(lakehouse.platform.profile())
    for name, sql in (("invoice_lines", LINES), ("items", ITEMS), ("campaign_contacts", CONTACTS)):
        table, text = TableId("silver", name), sql.format(lines=lines, goods=_GOODS, seconds=_SECONDS)
        columns = tuple(replace(column, classification="public") for column in columns_of(con, text))
        staged = stage(con, text, lakehouse.uri_of(table), columns)
        commit(lakehouse, table, Write(None, columns, State().next(changed=True), staged))


def queries(settings: Platform) -> dict[str, str]:
    """The project's own SQL by name."""
    compiled = prepare(ROOT / "dbt_project").parsed / "compiled" / "plinth" / "models" / "gold"
    found = {name: (compiled / f"{name}.sql").read_text() for name in MODELS}
    return {**found, "features": snapshot_sql(load_views(ROOT / "feature_views.yaml").views["customer"], AT)}


def opened(lakehouse: Lakehouse) -> duckdb.DuckDBPyConnection:
    con = connect(lakehouse.platform.profile("duckdb"), extensions=("delta",))
    con.execute("CREATE SCHEMA silver")
    for table in lakehouse.tables("silver"):
        con.execute(f"CREATE VIEW silver.{quote(table.name)} AS SELECT * FROM {lakehouse.open(table).scan}")
    return con


def by_duckdb(folder: Path) -> None:
    lakehouse = Lakehouse(platform(folder))
    con = opened(lakehouse)
    for name, sql in queries(lakehouse.platform).items():
        target = folder / "duckdb" / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        con.execute(f"COPY ({sql}) TO {literal(f'{target}/rows.parquet')} (COMPRESSION zstd, COMPRESSION_LEVEL 1)")
    spent = os.times()
    (folder / "duckdb.cpu").write_text(str(spent.user + spent.system))


def by_spark(folder: Path) -> None:
    import psutil

    from plinth.spark.engine import Input, SparkEngine
    from plinth.spark.session import open_session

    lakehouse = Lakehouse(platform(folder))
    engine = SparkEngine(lambda: open_session(lakehouse.platform, lakehouse.platform.profile("engine")))
    versions = {table: lakehouse.open(table) for table in lakehouse.tables("silver")}
    inputs = [Input(table, each.columns, each.uri, each.version) for table, each in versions.items()]
    con = opened(lakehouse)
    for name, sql in queries(lakehouse.platform).items():
        columns: tuple[DeltaColumn, ...] = columns_of(con, sql)
        target = folder / "spark" / name
        shutil.rmtree(target, ignore_errors=True)
        engine.stage(sql, inputs, columns, str(target))
    own = psutil.Process()
    times = [each.cpu_times() for each in (own, *own.children(recursive=True))]
    (folder / "spark.cpu").write_text(str(sum(each.user + each.system for each in times)))
    engine.session.stop()


def compare(folder: Path) -> None:
    """Writes 1 where all is equal, else 0, and says on standard error what is not."""
    con = connect(platform(folder).profile("duckdb"))
    equal = 1
    for name in (*MODELS, "features"):
        ours, theirs = (
            f"read_parquet({literal(f'{folder}/{engine}/{name}/*.parquet')})" for engine in ("duckdb", "spark")
        )
        names = [(row[0], row[1]) for row in con.execute(f"DESCRIBE SELECT * FROM {ours}").fetchall()]
        if name == "features":
            keys = "customer_no"
            differ = " OR ".join(
                f"abs(a.{quote(each)} - b.{quote(each)}) > 1e-9 * greatest(1, abs(a.{quote(each)})) OR (a.{quote(each)} IS NULL) <> (b.{quote(each)} IS NULL)"
                if kind == "DOUBLE"
                else f"a.{quote(each)} IS DISTINCT FROM b.{quote(each)}"
                for each, kind in names
            )
            sql = f"SELECT count(*) FROM {ours} a FULL JOIN {theirs} b USING ({keys}) WHERE {differ}"
        else:
            listed = ", ".join(quote(each) for each, _ in names)
            sql = (
                f"SELECT count(*) FROM (SELECT sum(side) FROM (SELECT 1 AS side, {listed} FROM {ours} UNION ALL SELECT -1, {listed} FROM {theirs}) "
                f"GROUP BY {listed} HAVING sum(side) <> 0)"
            )
        rows = con.execute(f"SELECT ({sql}), (SELECT count(*) FROM {ours})").fetchone()
        if rows is None or rows[0] or not rows[1]:
            print(f"{name}: {rows} rows that differ, of", file=sys.stderr)
            equal = 0
    (folder / "equal.txt").write_text(str(equal))


def main() -> None:
    step, folder = sys.argv[1], Path(sys.argv[2])
    if step == "data":
        make(folder, int(sys.argv[3]))
    else:
        {"duckdb": by_duckdb, "spark": by_spark, "compare": compare}[step](folder)


if __name__ == "__main__":
    main()
