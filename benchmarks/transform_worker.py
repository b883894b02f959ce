"""The steps of `benchmarks.transform`, each as a process of its own: `python -m benchmarks.transform_worker STEP FOLDER [ARGUMENT]`.

`sample`, `retail`: write a legacy warehouse and load it into bronze. `build`: the models through dbt, Delta and their tests, as far as needed;
`first`: the same where none of their tables is there yet; `rebuild`: all rows anew, compared with those that are there. `advance`: the sample's next
day, whose erased customers have lines in every file, loaded into bronze; `recent`: a day of new lines alone. `fork FOLDER TARGET`: the lakehouse as it is,
in hard links, so that two ways can start from one state; `equal FOLDER OTHER`: whether they came to the same tables. `export`: bronze as plain Parquet and the models' SQL. `sql`: that SQL in bare DuckDB, Parquet to Parquet.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from pathlib import Path

from benchmarks.measure import ROOT
from plinth.catalogue import load_contracts
from plinth.engine import connect, literal, quote
from plinth.ingest import ingest
from plinth.lakehouse.compare import same_rows
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform, load_platform
from plinth.sources import open_url


def platform(folder: Path, profile: str = "memory") -> Platform:
    """The project's platform with everything that it writes below a folder, and one of its profiles for all."""
    overlay = folder / "platform.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    overlay.write_text(
        f"zones:\n  on_prem: {{root: {folder}/on_prem}}\n  cloud: {{root: {folder}/cloud}}\n"
        f"stores: {{report: {folder}/report.json, scratch: {folder}/scratch}}\ndefault_profile: {profile}\n"
        f"sources:\n  erp: {{url: 'sqlite:///{folder}/erp.sqlite'}}\n"
    )
    return load_platform(ROOT / "platform.yaml", overlay)


def load(settings: Platform) -> None:
    """Brings all of bronze up to the warehouse."""
    lakehouse = Lakehouse(settings)
    for contract in load_contracts(settings):
        source = open_url(settings.source_url(contract.source))
        for table in contract.tables:
            ingest(table, source, lakehouse, run="benchmark")
        source.close()


def build(folder: Path, *, full_refresh: bool = False, first: bool = False) -> None:
    """All models, with their tests; notes the seconds that the models themselves took, and their SQL."""
    from plinth.transform.run import build as build_models

    if first:
        shutil.rmtree(folder / "cloud", ignore_errors=True)
    built = build_models(ROOT / "dbt_project", Lakehouse(platform(folder)), run="benchmark", full_refresh=full_refresh)
    failed = [outcome for outcome in built.models if outcome.status.value not in ("published", "unchanged")]
    if failed:
        reasons = (f"{each.table}: {built.errors.get(str(each.table)) or each.reason}" for each in failed)
        raise SystemExit("not published: " + "; ".join(reasons))
    if first:
        (folder / "models.json").write_text(json.dumps(built.compiled))
        (folder / "model_seconds.txt").write_text(str(sum(outcome.seconds for outcome in built.models)))


def add_recent_day(folder: Path) -> None:
    """Books the last day's sales once more a day later, under new numbers: nothing that is older is touched."""
    later = "datetime(INVTS, '+1 day')"
    with sqlite3.connect(folder / "erp.sqlite") as con:
        con.execute(
            "WITH lasting AS (SELECT * FROM INVLINE WHERE date(INVTS) = (SELECT date(max(INVTS)) FROM INVLINE) AND INVNO GLOB '[0-9]*'), "
            "beyond AS (SELECT max(LINEID) - (SELECT min(LINEID) FROM lasting) + 1 AS lines, "
            "(SELECT max(CAST(INVNO AS INTEGER)) - min(CAST(INVNO AS INTEGER)) + 1 FROM lasting) AS invoices FROM INVLINE) "
            "INSERT INTO INVLINE (LINEID, INVNO, ITEMNO, DESCR, QTY, INVTS, UNITPR, CUSTNO, CNTRY, SHEET, UPDTS) "
            f"SELECT LINEID + lines, CAST(CAST(INVNO AS INTEGER) + invoices AS TEXT), ITEMNO, DESCR, QTY, {later}, UNITPR, CUSTNO, CNTRY, "
            f"SHEET, {later} FROM lasting, beyond"
        )


def fork(folder: Path, target: Path) -> None:
    """A lakehouse that starts from the same state: files are never changed once they are written, so links do."""
    for zone in ("on_prem", "cloud"):
        shutil.copytree(folder / zone, target / zone, copy_function=os.link)


def require_equal(folder: Path, other: Path) -> None:
    """Ends the process with an error where a table of silver or gold is not the same in two lakehouses."""
    one, two = Lakehouse(platform(folder)), Lakehouse(platform(other))
    con = connect(platform(folder).profile())
    tables = [table for layer in ("silver", "gold") for table in one.tables(layer)]  # type: ignore[arg-type]
    differing = [
        str(table)
        for table in tables
        if not same_rows(con, two.open(table), two.open(table).columns, rows_of(one.open(table)))
    ]
    if differing or not tables:
        raise SystemExit(f"not the same after a day and after a rebuild: {', '.join(differing) or 'no tables at all'}")


def export(folder: Path) -> None:
    """Bronze as Parquet files, one each."""
    settings = platform(folder)
    lakehouse = Lakehouse(settings)
    con = connect(settings.profile(), extensions=("delta",))
    (folder / "plain").mkdir(exist_ok=True)
    for table in lakehouse.tables("bronze"):
        target = literal(f"{folder}/plain/bronze.{table.name}.parquet")
        con.execute(f"COPY (FROM {lakehouse.open(table).scan}) TO {target} (COMPRESSION zstd, COMPRESSION_LEVEL 1)")


def bare_sql(folder: Path) -> None:
    """The models' SQL in bare DuckDB: every model a Parquet file, which the next ones read."""
    con = connect(platform(folder).profile())
    con.execute("CREATE SCHEMA bronze; CREATE SCHEMA silver; CREATE SCHEMA gold")
    for path in (folder / "plain").glob("bronze.*.parquet"):
        con.execute(f"CREATE VIEW bronze.{quote(path.name.split('.')[1])} AS FROM read_parquet({literal(str(path))})")
    for table, sql in json.loads((folder / "models.json").read_text()).items():
        layer, name = table.split("/")
        target = literal(f"{folder}/plain/{layer}.{name}.parquet")
        con.execute(f"COPY ({sql}) TO {target} (COMPRESSION zstd, COMPRESSION_LEVEL 1)")
        con.execute(f"CREATE VIEW {layer}.{quote(name)} AS FROM read_parquet({target})")


def main() -> None:
    step, folder = sys.argv[1], Path(sys.argv[2])
    if step == "sample":
        from plinth.sample import SampleSpec, write_sample

        settings = platform(folder)
        write_sample(settings.source_url("erp"), SampleSpec(lines=int(sys.argv[3])))
        load(settings)
    elif step == "retail":
        from plinth.sample import load_online_retail

        settings = platform(folder)
        load_online_retail(settings.source_url("erp"), sys.argv[3])
        load(settings)
    elif step == "advance":
        from plinth.sample import advance

        settings = platform(folder)
        advance(settings.source_url("erp"), 1)
        load(settings)
    elif step == "recent":
        add_recent_day(folder)
        load(platform(folder))
    elif step in ("fork", "equal"):
        {"fork": fork, "equal": require_equal}[step](folder, Path(sys.argv[3]))
    elif step in ("build", "first", "rebuild"):
        build(folder, full_refresh=step == "rebuild", first=step == "first")
    else:
        {"export": export, "sql": bare_sql}[step](folder)


if __name__ == "__main__":
    main()
