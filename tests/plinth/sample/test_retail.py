"""Online Retail II in the legacy schema: every row as it was, masters derived, the rest generated and marked."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from plinth.engine import connect
from plinth.profile import Profile
from plinth.sample import SampleError, SampleReport, advance, load_online_retail
from plinth.sample.truth import uplift_truth

FIGURES = {
    "rows": ("SELECT count(*) FROM lines", 1_067_371),
    "distinct rows without the sheet": (
        'SELECT count(*) FROM (SELECT DISTINCT * EXCLUDE ("LINEID", "SHEET") FROM lines)',
        1_033_036,
    ),
    "missing customers": ('SELECT count(*) FROM lines WHERE "CUSTNO" IS NULL', 243_007),
    "missing descriptions": ('SELECT count(*) FROM lines WHERE "DESCR" IS NULL', 4_382),
    "cancellations": ("SELECT count(*) FROM lines WHERE \"INVNO\" LIKE 'C%'", 19_494),
    "invoices": ('SELECT count(DISTINCT "INVNO") FROM lines', 53_628),
    "codes": ('SELECT count(DISTINCT "ITEMNO") FROM lines', 5_305),
    "outer spaces": ('SELECT count(*) FROM lines WHERE "DESCR" <> trim("DESCR")', 213_035),
    "prices of zero": ('SELECT count(*) FROM lines WHERE "UNITPR" = 0', 6_202),
    "customers in the master": ('SELECT count(*) FROM legacy."CUSTMAS"', 5_942),
    "codes without a master": (
        'SELECT count(*) FROM lines WHERE upper(trim("ITEMNO")) NOT IN (SELECT upper("ITEMNO") FROM legacy."ITEMMAS")',
        0,
    ),
    "customers without a master": (
        'SELECT count(*) FROM lines WHERE "CUSTNO" NOT IN (SELECT "CUSTNO" FROM legacy."CUSTMAS")',
        0,
    ),
}


@pytest.fixture(scope="module")
def loaded(plinth_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, SampleReport]:
    url = f"sqlite:///{tmp_path_factory.mktemp('retail') / 'retail.sqlite'}"
    return url, load_online_retail(url, plinth_data / "online_retail_ii.parquet")


@pytest.fixture(scope="module")
def tables(loaded: tuple[str, SampleReport], plinth_data: Path) -> duckdb.DuckDBPyConnection:
    con = connect(Profile(cpu=2, memory=1024 * 2**20, threads=2), extensions=("sqlite_scanner",))
    con.execute(f"ATTACH '{loaded[0].removeprefix('sqlite:///')}' AS legacy (TYPE sqlite, READ_ONLY)")
    con.execute('CREATE TABLE lines AS SELECT * FROM legacy."INVLINE"')
    con.execute(
        f"CREATE VIEW file AS FROM read_parquet('{plinth_data / 'online_retail_ii.parquet'}', file_row_number = true)"
    )
    return con


@pytest.mark.slow
@pytest.mark.parametrize("figure", FIGURES)
def test_the_known_figure_of_the_real_data_comes_out(tables: duckdb.DuckDBPyConnection, figure: str) -> None:
    sql, expected = FIGURES[figure]
    assert tables.execute(sql).fetchone() == (expected,)


@pytest.mark.slow
def test_every_row_stands_in_file_order_with_every_value_as_it_was(tables: duckdb.DuckDBPyConnection) -> None:
    different = tables.execute(
        """SELECT count(*) FROM file f FULL JOIN lines l ON l."LINEID" = f.file_row_number + 1
           WHERE (f."Invoice", f."StockCode", f."Description", f."Quantity", f."InvoiceDate", f."Price", f."Customer ID", f."Country", f."SourceSheet")
               IS DISTINCT FROM (l."INVNO", l."ITEMNO", l."DESCR", l."QTY", l."INVTS", l."UNITPR", l."CUSTNO", l."CNTRY", l."SHEET")
              OR l."UPDTS" IS DISTINCT FROM l."INVTS" """
    ).fetchone()
    assert different == (0,)


@pytest.mark.slow
def test_what_is_generated_says_so(tables: duckdb.DuckDBPyConnection) -> None:
    facts = dict(tables.execute('SELECT "KEYNM", "KEYVAL" FROM legacy."SYSINFO"').fetchall())
    assert facts["ORIGIN"] == "online_retail_ii"
    assert "CC BY 4.0" in facts["SOURCE"]
    assert facts["GENERATED.INVLINE"].startswith("none up to LINEID 1067371")
    assert "EMAIL" in facts["GENERATED.CUSTMAS"]
    assert facts["GENERATED.CAMPCON"].startswith("all columns")


@pytest.mark.slow
def test_redemptions_name_real_invoices_of_treated_customers(tables: duckdb.DuckDBPyConnection) -> None:
    redeemed, wrong = tables.execute(
        """SELECT count(*), count(*) FILTER (NOT ("GRPCD" = 'T' AND EXISTS (
               SELECT 1 FROM lines l WHERE l."INVNO" = "RDMINV" AND l."CUSTNO" = k."CUSTNO" AND l."INVTS"::DATE = k."RDMDT")))
           FROM legacy."CAMPCON" k WHERE "RDMFLG" = 'Y'"""
    ).fetchone() or (0, 1)
    assert redeemed > 1000
    assert wrong == 0


@pytest.mark.slow
def test_the_truth_claims_no_uplift_for_people_who_bought_in_reality(loaded: tuple[str, SampleReport]) -> None:
    truth = uplift_truth(loaded[0])
    assert truth.num_rows > 10_000
    assert set(truth["UPLIFT"].to_pylist()) == {0.0}


@pytest.mark.slow
def test_generated_days_go_on_after_the_real_ones_and_leave_them_alone(
    loaded: tuple[str, SampleReport], tmp_path: Path
) -> None:
    import shutil

    file = shutil.copy(loaded[0].removeprefix("sqlite:///"), tmp_path / "further.sqlite")
    report = advance(f"sqlite:///{file}", 6)
    assert report.last_day.isoformat() == "2011-12-15"
    assert 4_000 < report.change("INVLINE").inserted < 20_000
    con = connect(Profile(cpu=2, memory=512 * 2**20, threads=2), extensions=("sqlite_scanner",))
    con.execute(f"ATTACH '{file}' AS further (TYPE sqlite, READ_ONLY)")
    con.execute(f"ATTACH '{loaded[0].removeprefix('sqlite:///')}' AS legacy (TYPE sqlite, READ_ONLY)")
    changed = con.execute(
        """SELECT count(*) FROM legacy."INVLINE" o LEFT JOIN further."INVLINE" n USING ("LINEID")
           WHERE (o."INVNO", o."ITEMNO", o."QTY", o."UNITPR", o."INVTS") IS DISTINCT FROM (n."INVNO", n."ITEMNO", n."QTY", n."UNITPR", n."INVTS")
              OR (n."CUSTNO" IS DISTINCT FROM o."CUSTNO" AND o."CUSTNO" IN (SELECT "CUSTNO" FROM further."CUSTMAS"))"""
    ).fetchone()
    assert changed == (0,)
    new = con.execute(
        'SELECT min("LINEID"), count("SHEET"), min("INVNO") FROM further."INVLINE" WHERE "LINEID" > 1067371'
    ).fetchone()
    assert new is not None
    assert new[:2] == (1_067_372, 0)
    assert int(new[2]) >= 581_588


def test_a_file_with_other_columns_is_refused_with_their_names(sqlite_db: str, tmp_path: Path) -> None:
    file = tmp_path / "other.parquet"
    duckdb.sql(f"COPY (SELECT 1 AS \"Invoice\", 2 AS amount) TO '{file}'")
    with pytest.raises(SampleError, match="StockCode"):
        load_online_retail(sqlite_db, file)
    with pytest.raises(SampleError, match="missing"):
        load_online_retail(sqlite_db, tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(SampleError, match="no Parquet"):
        load_online_retail(sqlite_db, tmp_path / "text.parquet")
