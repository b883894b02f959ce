"""Loads the real transactions of Online Retail II (UCI 502) into the sample's schema.

What belongs here: the two years of real invoice lines, the masters derived from them, and the generated parts that they lack, marked as such in
SYSINFO. What does not: cleaning; a legacy system is dirty, and mending it is the work of the layers above.

The rules: LINEID counts the file's rows from 1 in file order; UPDTS is INVTS; CUSTMAS has one row for each customer number with the country of
his last line; ITEMMAS has one row for each code, where codes that differ only by case are one. Promotions and contacts are generated over the
real days with a true effect of zero; a treated customer who really bought redeems by lot, on his first real invoice of the promotion's days.
"""

from __future__ import annotations

import time
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from plinth.engine import literal
from plinth.sample import campaigns, goods, lines, people, schema, season, stock, world
from plinth.sample.spec import Progress, SampleError, SampleReport, check_range, silent
from plinth.sample.vocabulary import CATEGORIES, sql_list
from plinth.sample.warehouse import Warehouse
from plinth.sample.write import finish

if TYPE_CHECKING:
    import duckdb

_COLUMNS = (
    "Invoice",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "Price",
    "Customer ID",
    "Country",
    "SourceSheet",
)
_CHUNK = 250_000
_SOURCE = "Online Retail II, D. Chen, UCI Machine Learning Repository 502, doi 10.24432/C5CG6D, CC BY 4.0"

_LINES = """
SELECT file_row_number + 1 AS "LINEID", "Invoice" AS "INVNO", "StockCode" AS "ITEMNO", "Description" AS "DESCR", "Quantity" AS "QTY",
       "InvoiceDate" AS "INVTS", "Price"::DECIMAL(12, 4) AS "UNITPR", "Customer ID" AS "CUSTNO", "Country" AS "CNTRY",
       "SourceSheet" AS "SHEET", "InvoiceDate" AS "UPDTS"
FROM real
"""

_NEWCOMERS = """
CREATE OR REPLACE TABLE newcomer AS
SELECT "Customer ID" AS custno, min("InvoiceDate")::DATE AS crtdt, arg_max("Country", file_row_number) AS cntry,
       max("InvoiceDate")::DATE AS last_seen
FROM real WHERE "Customer ID" IS NOT NULL GROUP BY 1
"""
# Whoever bought in the last year is active; the hidden lifetimes of the generated world say nothing about real people.
_CUSTOMERS = f"""
SELECT c.* REPLACE (if(n.last_seen + 365 < "DAY", 'N', 'Y') AS "ACTFLG",
                    clock(n.crtdt, 3600 * (9 + 8 * u('made', c."CUSTNO"))) AS "UPDTS")
FROM ({people.CUSTOMER_ROWS}) c JOIN newcomer n ON n.custno = c."CUSTNO", (SELECT getvariable('today')::DATE AS "DAY")
ORDER BY "CUSTNO"
"""

# A category by words of the description; what none of them fits goes by the hash of the code.
_WORDS = {
    "XMAS": "CHRISTMAS|XMAS|ADVENT|SANTA|SNOW|REINDEER|BAUBLE|WREATH",
    "CAND": "CANDLE|T-LIGHT|TLIGHT|LANTERN|INCENSE|VOTIVE",
    "BAGS": "BAG|SHOPPER|PURSE|TOTE",
    "JEWL": "NECKLACE|BRACELET|EARRING|RING|BROOCH|PHONE CHARM|HAIR|TRINKET",
    "KITC": "CAKE TIN|BAKING|RECIPE|TEA TOWEL|OVEN|JELLY|STORAGE|KITCHEN|LUNCH BOX|COOK|SPOON",
    "TABL": "MUG|CUP|PLATE|TEAPOT|NAPKIN|BOWL|GLASS|JUG|COASTER|CAKESTAND|CAKE STAND",
    "PART": "PARTY|BALLOON|PAPER CHAIN|BUNTING|CONFETTI|BIRTHDAY",
    "STAT": "CARD|WRAP|NOTEBOOK|PEN|PAPER|STICKER|TAPE|TISSUE|MEMO",
    "TOYS": "TOY|DOLL|GAME|SKITTLES|SPACEBOY|CHILD|JIGSAW|CIRCUS|ANIMAL|MONEY",
    "GARD": "GARDEN|PLANT|FLOWER POT|WATERING|BIRD|SEED|HERB",
    "TEXT": "CUSHION|BLANKET|THROW|APRON|QUILT|RIBBON|SEWING|FABRIC",
    "HOME": "CLOCK|FRAME|DOORMAT|HOOK|KNOB|SIGN|MIRROR|HOT WATER|DRAWER|DOOR|HEART|HANGING|WALL",
}
_ITEMS = f"""
CREATE OR REPLACE TABLE real_items AS
WITH coded AS (
    SELECT *, upper(trim("StockCode")) AS code, regexp_matches(upper(trim("StockCode")), '^([0-9]{{5}}[A-Z]*|DCGS.*)$') AS is_good FROM real
), grouped AS (
    SELECT code, is_good, mode("StockCode") AS usual,
           coalesce(mode(trim("Description")) FILTER ("Price" > 0 AND "Quantity" > 0), mode(trim("Description"))) AS descr,
           coalesce(quantile_disc("Price", .5) FILTER ("Price" > 0 AND "Quantity" > 0), 0.0) AS price,
           min("InvoiceDate")::DATE AS first_seen, max("InvoiceDate")::DATE AS last_seen
    FROM coded GROUP BY code, is_good
)
SELECT if(is_good, code, usual) AS "ITEMNO", descr AS "DESCR",
       CASE WHEN NOT is_good THEN 'SERV'
            {" ".join(f"WHEN regexp_matches(upper(descr), '{words}') THEN '{category}'" for category, words in _WORDS.items())}
            ELSE {sql_list(list(CATEGORIES))}[1 + (goods_key(code) % {len(CATEGORIES)})::INT] END AS "CATCD",
       round(price, 2) AS "LISTPR", if(is_good, round(greatest(price, .05) * .45, 4), 0.0) AS "COSTPR",
       if(is_good, 1 + goods_key(code) % 50, 0) AS "SUPPNO", if(is_good AND last_seen + 180 < "DAY", 'D', 'A') AS "STATCD", first_seen AS "INTRDT",
       if(is_good AND last_seen + 180 < "DAY", last_seen + 1, DATE '9999-12-31') AS "DISCDT",
       clock(if(is_good AND last_seen + 180 < "DAY", last_seen + 1, first_seen), 7200) AS "UPDTS"
FROM grouped, (SELECT getvariable('today')::DATE AS "DAY")
"""
# Codes that the real data does not have are needed by generated days.
_MORE_SERVICES = 'SELECT * FROM ({services}) s WHERE upper("ITEMNO") NOT IN (SELECT upper("ITEMNO") FROM real_items)'

_REDEMPTIONS = """
INSERT INTO redemption
SELECT k.promoid, k.custno, min(r."InvoiceDate")::DATE, arg_min(r."Invoice", r.file_row_number), min(r."InvoiceDate")
FROM contact k JOIN real r ON r."Customer ID" = k.custno
     AND r."InvoiceDate" >= k.startdt::TIMESTAMP AND r."InvoiceDate" < (k.enddt + 1)::TIMESTAMP
WHERE k.grpcd = 'T' AND k.names_code AND r."Quantity" > 0 AND r."Invoice" NOT LIKE 'C%'
GROUP BY k.promoid, k.custno
"""


def load_online_retail(
    url: str, parquet: str | Path, *, seed: int = 7, replace: bool = False, progress: Progress = silent
) -> SampleReport:
    """Loads all rows of Online Retail II into a database, with masters derived and campaigns generated.

    Args:
        url: `sqlite:///path`, `postgresql://…` or `mysql://…`.
        parquet: the file, with the columns Invoice, StockCode, Description, Quantity, InvoiceDate, Price, Customer ID, Country and
            SourceSheet.
        seed: of the generated parts.
        replace: drop an older sample in this database first.
        progress: called with stage, done and total.

    Raises:
        SampleError: the file is missing or has other columns, the URL is of another kind, or tables of these names are there.
        DriverMissing, SourceUnavailable, StorageFailure: as `Warehouse` says.
    """
    check_range("seed", seed, 0, 2**31 - 1)
    began = time.monotonic()
    with Warehouse(url) as warehouse, world.opened(seed) as con:
        _read(con, Path(parquet))
        first, last, rows, customers, next_invoice, next_customer = _extent(con, Path(parquet))
        warehouse.make_tables(replace=replace)
        for start in range(0, rows, _CHUNK):
            chunk = f"{_LINES} WHERE file_row_number >= {start} AND file_row_number < {start + _CHUNK}"
            warehouse.bulk(con, schema.INVLINE, f'{chunk} ORDER BY "LINEID"')
            progress("INVLINE", min(start + _CHUNK, rows), rows)
        _write_rest(warehouse, con, first, last, progress)
        facts = {
            "FORMAT": schema.FORMAT,
            "ORIGIN": "online_retail_ii",
            "SOURCE": _SOURCE,
            "SEED": str(seed),
            "CUSTOMERS": str(customers),
            "FIRSTDAY": first.isoformat(),
            "GENFROM": (last + timedelta(days=1)).isoformat(),
            "DAYS": str((last - first).days + 1),
            "GENLINE": str(rows + 1),
            "NEXTCUST": str(next_customer),
            **_marks(rows),
        }
        return finish(warehouse, facts, last, lines.Counters(rows + 1, next_invoice), first, began, progress)


def _marks(rows: int) -> dict[str, str]:
    return {
        "GENERATED.CUSTMAS": "CUSTNM, EMAIL, PHONE, BIRTHDT, POSTCD, MKTCNS; derived: CNTRY (last line), CRTDT (first line), ACTFLG, UPDTS",
        "GENERATED.ITEMMAS": "SUPPNO, COSTPR; derived: DESCR (most frequent), CATCD (words), LISTPR (median), STATCD, INTRDT, DISCDT, UPDTS",
        "GENERATED.PROMOS": "all columns",
        "GENERATED.CAMPCON": "all columns; RDMINV and RDMDT refer to real invoices; true effect zero",
        "GENERATED.INVLINE": f"none up to LINEID {rows} (LINEID: file order; UPDTS: INVTS), all columns beyond",
        "GENERATED.STOCKLVL": "all columns",
        "GENERATED.SYSINFO": "all columns",
    }


def _read(con: duckdb.DuckDBPyConnection, parquet: Path) -> None:
    import duckdb

    if not parquet.is_file():
        raise SampleError(
            "the file of Online Retail II is missing",
            expected="online_retail_ii.parquet",
            where=parquet,
            remedy="get UCI data set 502 (doi 10.24432/C5CG6D) as Parquet, or leave out --from for a generated warehouse",
        )
    try:
        con.execute(
            f"CREATE OR REPLACE VIEW real AS FROM read_parquet({literal(str(parquet))}, file_row_number = true)"
        )
        found = [str(row[0]) for row in con.execute("SELECT column_name FROM (DESCRIBE real)").fetchall()]
    except duckdb.Error as error:
        raise SampleError("the file is no Parquet that can be read", found=str(error)[:300], where=parquet) from None
    missing = [name for name in _COLUMNS if name not in found]
    if missing:
        raise SampleError(
            "the file has other columns than Online Retail II",
            expected=", ".join(_COLUMNS),
            found=", ".join(found),
            where=parquet,
            remedy=f"add {', '.join(missing)}",
        )


def _extent(con: duckdb.DuckDBPyConnection, parquet: Path) -> tuple[date, date, int, int, int, int]:
    row = con.execute(
        """SELECT min("InvoiceDate")::DATE, max("InvoiceDate")::DATE, count(*), count(DISTINCT "Customer ID"),
                  max(TRY_CAST(regexp_extract("Invoice", '[0-9]+') AS INT)) + 1, max("Customer ID") + 1 FROM real"""
    ).fetchone()
    if row is None or any(value is None for value in row):
        raise SampleError("the file has no rows with dates, invoices and customers", where=parquet)
    return row


def _write_rest(
    warehouse: Warehouse, con: duckdb.DuckDBPyConnection, first: date, last: date, progress: Progress
) -> None:
    after = last + timedelta(days=1)
    world.set_today(con, last)
    season.make_days(con, first, last)
    con.execute(_NEWCOMERS)
    con.execute(_ITEMS)
    people.make_customers(con)
    campaigns.plan_promotions(con, first, last, after)
    world.make_known_contacts(con)
    con.execute(_REDEMPTIONS)
    con.execute(
        """CREATE OR REPLACE TABLE range_of_goods AS SELECT "ITEMNO" AS itemno, goods_key("ITEMNO") AS ikey, 0 AS pool,
        coalesce("DESCR", '') AS descr, greatest(.05, "LISTPR") AS base, "INTRDT" AS intr FROM real_items
        WHERE "CATCD" <> 'SERV' AND "STATCD" = 'A'"""
    )
    goods.make_items(con, after)
    con.execute(f"SET VARIABLE stock_from = getvariable('today')::DATE - {stock.NIGHTS - 1}")
    services = _MORE_SERVICES.format(services=goods.service_rows(first))
    work = (
        (schema.CUSTMAS, _CUSTOMERS),
        (schema.ITEMMAS, f'SELECT * FROM (FROM real_items UNION ALL BY NAME {services}) ORDER BY "ITEMNO"'),
        (schema.PROMOS, campaigns.PROMO_ROWS),
        (schema.CAMPCON, campaigns.CONTACT_ROWS + ' ORDER BY "PROMOID", "CUSTNO"'),
        (schema.STOCKLVL, stock.STOCK_ROWS),
    )
    for done, (table, query) in enumerate(work, start=1):
        warehouse.bulk(con, table, query)
        progress("masters", done, len(work))
