"""The mess of the generated warehouse stands in the proportions of the real data (1,067,371 lines of Online Retail II, counted there)."""

from __future__ import annotations

import duckdb
import pytest

SHARES = {
    # what: (condition over INVLINE, share in the real data, lowest, highest)
    "lines without a customer": ('"CUSTNO" IS NULL', 0.2277, 0.17, 0.28),
    "cancellations": ("\"INVNO\" LIKE 'C%'", 0.0183, 0.012, 0.025),
    "write-offs": ('"QTY" < 0 AND "UNITPR" = 0 AND "CUSTNO" IS NULL', 0.0032, 0.0015, 0.006),
    "prices of zero": ('"UNITPR" = 0', 0.0058, 0.003, 0.009),
    "missing descriptions": ('"DESCR" IS NULL', 0.0041, 0.002, 0.007),
    "blanks around descriptions": ('"DESCR" <> trim("DESCR")', 0.1996, 0.10, 0.30),
    "postage": ("\"ITEMNO\" = 'POST'", 0.0020, 0.0005, 0.006),
    "manual bookings": ("upper(\"ITEMNO\") = 'M'", 0.0013, 0.0005, 0.003),
}


def one(query: duckdb.DuckDBPyConnection, sql: str) -> float:
    row = query.execute(sql).fetchone()
    assert row is not None
    return float(row[0])


@pytest.mark.parametrize("what", SHARES)
def test_each_kind_of_mess_has_about_the_share_of_the_real_data(query: duckdb.DuckDBPyConnection, what: str) -> None:
    condition, _, low, high = SHARES[what]
    assert low <= one(query, f'SELECT avg(({condition})::INT) FROM "INVLINE"') <= high


def test_about_one_line_in_ninety_is_an_exact_duplicate_with_a_number_of_its_own(
    query: duckdb.DuckDBPyConnection,
) -> None:
    distinct = one(query, 'SELECT count(*) FROM (SELECT DISTINCT * EXCLUDE ("LINEID") FROM "INVLINE")')
    assert 0.008 <= 1 - distinct / one(query, 'SELECT count(*) FROM "INVLINE"') <= 0.02


def test_some_codes_differ_only_by_case(query: duckdb.DuckDBPyConnection) -> None:
    codes = (
        'SELECT count(*) FROM (SELECT upper("ITEMNO") FROM "INVLINE" GROUP BY 1 HAVING count(DISTINCT "ITEMNO") > 1)'
    )
    share = one(query, codes) / one(query, 'SELECT count(DISTINCT "ITEMNO") FROM "INVLINE"')
    assert 0.01 <= share <= 0.08


def test_some_codes_have_several_descriptions_and_some_lines_are_notes_of_the_staff(
    query: duckdb.DuckDBPyConnection,
) -> None:
    several = (
        'SELECT count(*) FROM (SELECT "ITEMNO" FROM "INVLINE" GROUP BY 1 HAVING count(DISTINCT trim("DESCR")) > 1)'
    )
    assert one(query, several) > 100
    assert one(query, "SELECT count(*) FROM \"INVLINE\" WHERE \"DESCR\" IN ('damaged', 'check', '?', 'missing')") > 20


def test_almost_every_cancelled_line_takes_back_an_earlier_line_of_the_customer(
    query: duckdb.DuckDBPyConnection,
) -> None:
    matched = one(
        query,
        """SELECT avg((EXISTS (SELECT 1 FROM "INVLINE" s WHERE s."CUSTNO" IS NOT DISTINCT FROM c."CUSTNO"
               AND upper(s."ITEMNO") = upper(c."ITEMNO") AND s."INVNO" NOT LIKE 'C%' AND s."INVTS" < c."INVTS" AND s."QTY" >= -c."QTY"))::INT)
           FROM "INVLINE" c WHERE c."INVNO" LIKE 'C%' AND c."INVTS" > (SELECT min("INVTS") FROM "INVLINE") + INTERVAL 1 DAY""",
    )
    assert matched > 0.99
    assert one(query, """SELECT count(*) FROM "INVLINE" WHERE "INVNO" LIKE 'C%' AND "QTY" > 0""") < 5


def test_late_lines_are_booked_up_to_nine_days_after_their_invoice(query: duckdb.DuckDBPyConnection) -> None:
    late = 'SELECT {} FROM (SELECT "UPDTS"::DATE - "INVTS"::DATE AS late FROM "INVLINE")'
    assert 0.003 <= one(query, late.format("avg((late > 0)::INT)")) <= 0.03
    assert 5 <= one(query, late.format("max(late)")) <= 9
    assert one(query, late.format("min(late)")) == 0


def test_bad_debts_are_few_and_mostly_negative(query: duckdb.DuckDBPyConnection) -> None:
    debts = query.execute("""SELECT "ITEMNO", "UNITPR", "CUSTNO" FROM "INVLINE" WHERE "INVNO" LIKE 'A%'""").fetchall()
    assert 1 <= len(debts) <= 30
    assert all(code == "B" and customer is None for code, _, customer in debts)


def test_no_trade_on_saturdays_and_a_peak_before_christmas(query: duckdb.DuckDBPyConnection) -> None:
    assert one(query, 'SELECT count(*) FROM "INVLINE" WHERE dayofweek("INVTS") = 6') == 0
    monthly = dict(
        query.execute(
            'SELECT month("INVTS"), count(*) FROM "INVLINE" WHERE "INVTS" < \'2025-05-01\' GROUP BY 1'
        ).fetchall()
    )
    assert max(monthly, key=lambda month: monthly[month]) == 11
    assert monthly[11] > 1.8 * monthly[2]


def test_personal_data_is_invented_for_anyone_to_see(query: duckdb.DuckDBPyConnection) -> None:
    for mail, phone, code, country in query.execute(
        'SELECT "EMAIL", "PHONE", "POSTCD", "CNTRY" FROM "CUSTMAS"'
    ).fetchall():
        assert mail == "" or mail.lower().rpartition("@")[2] in ("example.com", "example.org", "example.net")
        assert phone == "" or phone[:9] in ("07700 900", "01632 960") or phone.startswith("+44 7700 900")
        assert code[0] in "QVX" if country == "United Kingdom" else code.startswith("00")


def test_unknown_dates_are_sentinels_and_countries_mostly_the_united_kingdom(query: duckdb.DuckDBPyConnection) -> None:
    assert 0.1 < one(query, """SELECT avg(("BIRTHDT" = '1900-01-01')::INT) FROM "CUSTMAS" """) < 0.4
    assert one(query, """SELECT avg(("DISCDT" = '9999-12-31')::INT) FROM "ITEMMAS" """) > 0.6
    assert 0.85 < one(query, """SELECT avg(("CNTRY" = 'United Kingdom')::INT) FROM "CUSTMAS" """) < 0.97
    assert one(query, 'SELECT count(DISTINCT "MKTCNS") FROM "CUSTMAS"') == 3
    assert one(query, 'SELECT count(*) - count(DISTINCT ("SNAPDT", "ITEMNO", "WHSCD")) FROM "STOCKLVL"') > 0


def test_each_night_of_the_stock_ends_with_a_line_that_sums_up_the_others(query: duckdb.DuckDBPyConnection) -> None:
    totals = """count(*) FILTER ("ITEMNO" = 'TOTAL'), sum(if("ITEMNO" = 'TOTAL', 1, -1) * "QTYOH")"""
    nights = query.execute(f'SELECT {totals} FROM "STOCKLVL" GROUP BY "SNAPDT"').fetchall()
    assert nights == [(1, 0)] * 7
