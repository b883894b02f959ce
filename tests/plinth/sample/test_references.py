"""What the tables of the generated warehouse say of each other holds."""

from __future__ import annotations

import duckdb
import pytest

TRUTHS = {
    "every customer of a line is in the master": """
        SELECT count(*) FROM "INVLINE" WHERE "CUSTNO" NOT IN (SELECT "CUSTNO" FROM "CUSTMAS")""",
    "every item of a line is in the master, but for its case": """
        SELECT count(*) FROM "INVLINE" WHERE upper("ITEMNO") NOT IN (SELECT upper("ITEMNO") FROM "ITEMMAS")""",
    "no customer buys before he was created": """
        SELECT count(*) FROM "INVLINE" l JOIN "CUSTMAS" c USING ("CUSTNO") WHERE l."INVTS"::DATE < c."CRTDT" """,
    "no goods are sold before they come": """
        SELECT count(*) FROM "INVLINE" l JOIN "ITEMMAS" i ON upper(l."ITEMNO") = upper(i."ITEMNO") WHERE l."INVTS"::DATE < i."INTRDT" """,
    "every contact has its promotion and its customer": """
        SELECT count(*) FROM "CAMPCON" WHERE "PROMOID" NOT IN (SELECT "PROMOID" FROM "PROMOS")
            OR "CUSTNO" NOT IN (SELECT "CUSTNO" FROM "CUSTMAS")""",
    "a redemption names an invoice of that customer on that day within the promotion": """
        SELECT count(*) FROM "CAMPCON" k JOIN "PROMOS" p USING ("PROMOID") WHERE k."RDMFLG" = 'Y' AND NOT (
            k."RDMDT" BETWEEN p."STARTDT" AND p."ENDDT" AND k."GRPCD" = 'T' AND EXISTS (
            SELECT 1 FROM "INVLINE" l WHERE l."INVNO" = k."RDMINV" AND l."CUSTNO" = k."CUSTNO" AND l."INVTS"::DATE = k."RDMDT"))""",
    "what is not redeemed says so in every column": """
        SELECT count(*) FROM "CAMPCON" WHERE "RDMFLG" = 'N' AND NOT ("RDMDT" = '9999-12-31' AND trim("RDMINV") = '')""",
    "no two promotions overlap": """
        SELECT count(*) FROM "PROMOS" a JOIN "PROMOS" b ON a."PROMOID" < b."PROMOID" AND a."ENDDT" >= b."STARTDT" """,
    "line numbers rise with the time of booking": """
        SELECT count(*) FROM (SELECT "UPDTS" < lag("UPDTS") OVER (ORDER BY "LINEID") AS back FROM "INVLINE") WHERE back""",
    "line numbers have no gap": 'SELECT max("LINEID") - count(*) FROM "INVLINE"',
    "an invoice has one customer and one country": """
        SELECT count(*) FROM (SELECT 1 FROM "INVLINE" GROUP BY "INVNO" HAVING count(DISTINCT "CUSTNO") > 1 OR count(DISTINCT "CNTRY") > 1)""",
    "nothing is dated after the last day": """
        SELECT count(*) FROM "INVLINE" WHERE "UPDTS"::DATE > (SELECT "KEYVAL" FROM "SYSINFO" WHERE "KEYNM" = 'LASTDAY')::DATE""",
    "a discontinued item has a date and its flag": """
        SELECT count(*) FROM "ITEMMAS" WHERE ("STATCD" = 'D') <> ("DISCDT" < '9999-12-31')""",
}


@pytest.mark.parametrize("truth", TRUTHS)
def test_it_holds_that(query: duckdb.DuckDBPyConnection, truth: str) -> None:
    row = query.execute(TRUTHS[truth]).fetchone()
    assert row == (0,)
