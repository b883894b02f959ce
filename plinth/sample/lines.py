"""The invoice lines of a span of days, numbered in the order in which they are booked; the tables `doc` and `line`.

What belongs here: from orders to documents (invoice, cancellation C, bad debt A, write-off) and from documents to rows of INVLINE, with the
mess that belongs to a line. What does not: writing them. A line is a pure function of its order and slot, so that a cancellation weeks later
takes back exactly the line that was booked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from plinth.sample.vocabulary import STAFF_NOTES, STYLES, sql_list

if TYPE_CHECKING:
    import duckdb

FIRST_INVNO = 489434
LINES_PER_DAY = 0.30  # per customer and trading day of mean strength; only the rare documents below are scaled by it
FAVOURITES = 60
_STYLES = len(STYLES)


@dataclass(frozen=True)
class Counters:
    """The next numbers that the legacy system will give: LINEID, invoice number."""

    line: int = 1
    invoice: int = FIRST_INVNO


# Documents that nobody ordered. Each entry: kind, how many per expected line of the day. The rates are those of the real data.
_BACK_OFFICE = f"""
CREATE OR REPLACE TEMP TABLE office AS
SELECT kind, key2(key2(dayno, n), 500 + rank) AS ok, d, dayno, clock(d, 3600 * (9 + 9 * u('office', key2(key2(dayno, n), 500 + rank)))) AS ts
FROM (SELECT day.d, day.dayno, k.kind, k.rank, unnest(range(whole(
          least(k.most, getvariable('customers') * {LINES_PER_DAY} * factor * k.share), 'office' || k.kind, dayno))) AS n
      FROM day, (VALUES ('W', 1, .0027, 1e9), ('Z', 2, .0033, 1e9), ('S', 3, .0001, 9), ('K', 4, .0001, 3), ('J', 5, .00007, 5), ('F', 6, .00005, 1),
                        ('U', 7, .00002, 1), ('A', 8, .00002, .05), ('T', 9, .00002, .2), ('P', 10, .00003, 5)) k(kind, rank, share, most)
      WHERE trading AND d BETWEEN getvariable('a')::DATE AND getvariable('b')::DATE)
"""

_DOCUMENTS = """
CREATE OR REPLACE TEMP TABLE doc AS
SELECT *, if(kind IN ('C', 'A'), kind, '') || (getvariable('invoice') + row_number() OVER (ORDER BY insts, ok, kind) - 1)::VARCHAR AS invno
FROM (SELECT 'I' AS kind, ok, invts, insts FROM ord WHERE insts::DATE BETWEEN getvariable('a')::DATE AND getvariable('b')::DATE
      UNION ALL
      SELECT 'C', ok, cxlts, cxlts + INTERVAL 90 SECOND FROM ord WHERE cxlts::DATE BETWEEN getvariable('a')::DATE AND getvariable('b')::DATE
      UNION ALL
      SELECT kind, ok, ts, ts + INTERVAL 30 SECOND FROM office)
"""

# Slots below FAVOURITES are the customer's standing favourites, taken with a chance that falls with the slot; the others are browsing.
_PICKED = f"""
WITH slots AS (
    SELECT doc.kind, doc.invno, doc.invts AS docts, doc.insts, o.*,
           unnest(range(if(custno IS NULL, {FAVOURITES}, {FAVOURITES} - least({FAVOURITES}, ceil(3 * basket)::INT)), {FAVOURITES} + explored))::INT AS place
    FROM doc JOIN (SELECT * EXCLUDE (invts, insts) FROM ord) o USING (ok) WHERE doc.kind IN ('I', 'C')
), taken AS (
    SELECT *, {FAVOURITES} - 1 - place AS fav, key2(ok, place) AS lk, if(place < {FAVOURITES}, key2(custno, place), key2(ok, place)) AS pk
    FROM slots
    WHERE place >= {FAVOURITES} OR u('again', key2(ok, place)) < repeats * exp(({FAVOURITES} - 1 - place) / -basket)
), tasted AS (
    SELECT *, CASE WHEN place >= {FAVOURITES} AND u('xmas', pk) < xmas THEN 3 WHEN u('cat', pk) < .42 THEN c1 WHEN u('cat', pk) < .64 THEN c2
                   WHEN u('cat', pk) < .76 THEN c3 END AS category,
           CASE WHEN u('sty', pk) < .5 THEN s1 WHEN u('sty', pk) < .75 THEN s2 END AS style
    FROM taken
), pooled AS (
    SELECT *, coalesce(category, floor(12 * pow(u('anycat', pk), 1.15))::INT) * {_STYLES} + coalesce(style, floor({_STYLES} * u('anysty', pk))::INT)
              AS pool
    FROM tasted
), ranked AS (
    SELECT * EXCLUDE (category, style, pool), getvariable('pool_n')[pool + 1] AS n, getvariable('pool_first')[pool + 1] AS f FROM pooled
)
SELECT * EXCLUDE (n, f), if(n = 0, floor(getvariable('item_n') * u('any', pk))::INT, f + floor(pow(1 + u('zipf', pk) * (pow(n + 1, .3) - 1), 1 / .3))::INT - 1) AS idx FROM ranked
"""

# Prices: a list price that moves every 150 days, 15 % off for a wholesaler's dozen, VAT for guests. Quantities react to the list price with
# an elasticity of -0.4.
_GOODS = f"""
WITH picked AS ({_PICKED}), timely AS (
    SELECT p.*, if(p.d >= i.intr AND p.d < i.disc, p.idx, i.sub) AS buy FROM picked p JOIN item i USING (idx)
), counted AS (
    SELECT t.*, i.itemno, i.casey, if(t.dayno < i.reworded, i.descr0, i.descr1) AS descr, list_price(i.base, i.ikey, t.dayno) AS listed,
           CASE WHEN huge AND place = {FAVOURITES} THEN 15000 + floor(65995 * u('thousands', lk))::INT
                ELSE greatest(1, least(1200, round(pow(price_factor(i.ikey, t.dayno), -.4)
                     * if(wholesale, 6 * ceil(exp(.5 + .8 * z('qty', lk))), exp(if(custno IS NULL, .3, 1.0) + .95 * z('qty', lk))))))::INT END AS pieces
    FROM timely t JOIN item i ON i.idx = t.buy
    QUALIFY row_number() OVER (PARTITION BY invno, buy ORDER BY place) = 1 OR u('again', lk) < .1
)
SELECT kind, invno, insts, place,
       if(casey AND u('lower', lk) < .1, lower(itemno), itemno) AS itemno, descr,
       CASE WHEN kind = 'I' THEN pieces WHEN u('sign', lk) < 5e-5 THEN pieces
            WHEN pieces > 1 AND u('partly', lk) < .3 THEN -ceil(pieces * u('part', lk))::INT ELSE -pieces END AS qty,
       docts + if(kind = 'I' AND u('two stamps', ok) < .0016 AND place % 2 = 0, INTERVAL 1 MINUTE, INTERVAL 0 MINUTE) AS invts,
       round(greatest(.01, listed * if(wholesale AND pieces >= 12, .85, 1.0) * if(custno IS NULL, 1.2, 1.0)
             * if(redeems AND promtyp = 'PC', 1 - discpc / 100, 1.0)), 2) AS price,
       custno, cntry, kind = 'I' AND u('twice', lk) < .0115 AS twice
FROM counted
WHERE kind = 'I' OR if(huge, place = {FAVOURITES}, u('returned', lk) < greatest(.1, 1.9 / (explored + basket * repeats)))
"""

_EXTRAS = """
SELECT doc.kind, doc.invno, doc.insts, 1000 + x.n AS place, if(x.code = 'M' AND u('m', ok) < .1, 'm', x.code) AS itemno, x.descr, x.qty AS qty,
       doc.invts, x.price, o.custno, o.cntry, false AS twice
FROM doc JOIN (SELECT * EXCLUDE (invts, insts) FROM ord) o USING (ok), LATERAL (VALUES
    (1, 'POST', 'POSTAGE', 1 + floor(3 * u('parcels', ok))::INT, 18.0, o.cntry NOT IN ('United Kingdom', 'EIRE') AND u('post', ok) < .75),
    (2, 'C2', 'CARRIAGE', 1, 50.0, o.cntry = 'EIRE' AND u('post', ok) < .3),
    (3, 'DOT', 'DOTCOM POSTAGE', 1, round(o.explored * (1.5 + u('dot', ok)), 2), o.custno IS NULL AND o.explored > 12 AND u('post', ok) < .7),
    (4, 'M', 'Manual', 1, round(exp(2.5 + 1.2 * z('manual', ok)), 2), u('man', ok) < .027),
    (5, 'D', 'Discount', -1, coalesce(o.discpc, 0.0), o.redeems AND o.promtyp = 'AM'),
    (6, 'PADS', 'PADS TO MATCH ALL CUSHIONS', 1, .001, u('pads', ok) < .0006)) x(n, code, descr, qty, price, on_it)
WHERE doc.kind = 'I' AND x.on_it
"""

_OFFICE_LINES = f"""
SELECT doc.kind, doc.invno, doc.insts, 2000 AS place,
       CASE doc.kind WHEN 'S' THEN 'S' WHEN 'K' THEN 'BANK CHARGES' WHEN 'J' THEN 'ADJUST' WHEN 'F' THEN 'AMAZONFEE' WHEN 'U' THEN 'CRUK' WHEN 'A' THEN 'B'
            WHEN 'T' THEN 'TEST001' WHEN 'P' THEN 'gift_0001_20' ELSE e.itemno END AS itemno,
       CASE doc.kind WHEN 'S' THEN 'SAMPLES' WHEN 'K' THEN ' Bank Charges' WHEN 'J' THEN 'Adjustment by accounts on ' || strftime(doc.invts, '%d/%m/%Y')
            WHEN 'F' THEN 'AMAZON FEE' WHEN 'U' THEN 'CRUK Commission' WHEN 'A' THEN 'Adjust bad debt' WHEN 'T' THEN 'This is a test product.'
            WHEN 'P' THEN 'Dotcomgiftshop Gift Voucher £20.00' ELSE CASE WHEN u('said', ok) < .76 THEN NULL ELSE pick({sql_list(STAFF_NOTES)}, 'note', ok) END
            END AS descr,
       CASE doc.kind WHEN 'W' THEN -1 - floor(exp(5.5 * u('lost', ok)))::INT WHEN 'Z' THEN 1 + floor(exp(5 * u('found', ok)))::INT
            WHEN 'S' THEN -1 WHEN 'F' THEN -1 ELSE 1 END AS qty,
       doc.invts, CASE doc.kind WHEN 'S' THEN round(10 + 90 * u('sample', ok), 2) WHEN 'K' THEN round(15 + 40 * u('charge', ok), 2)
            WHEN 'J' THEN round(200 * u('adjust', ok) - 100, 2) WHEN 'F' THEN round(3000 + 9000 * u('fee', ok), 2)
            WHEN 'U' THEN round(100 + 900 * u('charity', ok), 2) WHEN 'A' THEN if(u('won', ok) < .17, 1, -1) * round(5000 + 50000 * u('debt', ok), 2)
            WHEN 'T' THEN 4.5 WHEN 'P' THEN 16.67 ELSE 0.0 END AS price,
       NULL::INT AS custno, 'United Kingdom' AS cntry, false AS twice
FROM doc JOIN item i ON i.idx = floor(getvariable('item_n') * u('which', ok))::INT
     JOIN item e ON e.idx = if(doc.invts::DATE >= i.intr, i.idx, i.sub)
WHERE doc.kind NOT IN ('I', 'C')
"""

_LINES = f"""
CREATE OR REPLACE TEMP TABLE line AS
SELECT getvariable('line') + row_number() OVER (ORDER BY insts, invno, place, itemno, copy) - 1 AS "LINEID", invno AS "INVNO", itemno AS "ITEMNO",
       descr AS "DESCR", qty AS "QTY", invts AS "INVTS", price::DECIMAL(12, 4) AS "UNITPR", custno AS "CUSTNO", cntry AS "CNTRY",
       NULL::VARCHAR AS "SHEET", insts AS "UPDTS"
FROM (SELECT *, unnest(range(if(twice, 2, 1))) AS copy FROM ({_GOODS} UNION ALL {_EXTRAS} UNION ALL {_OFFICE_LINES}))
"""


def make_lines(con: duckdb.DuckDBPyConnection, first: date, last: date, next_numbers: Counters) -> Counters:
    """Makes the table `line` of what is booked from `first` to `last`, and adds to `redemption`; gives the numbers to go on with.

    Needs `ord` with the orders up to `last` and of the `LOOKBACK` days before `first`.
    """
    for name, value in (("line", next_numbers.line), ("invoice", next_numbers.invoice)):
        con.execute(f"SET VARIABLE {name} = {value}")
    con.execute(f"SET VARIABLE a = DATE '{first.isoformat()}'")
    con.execute(f"SET VARIABLE b = DATE '{last.isoformat()}'")
    con.execute(_BACK_OFFICE)
    con.execute(_DOCUMENTS)
    con.execute(_LINES)
    con.execute(
        "INSERT INTO redemption SELECT o.promoid, o.custno, o.d, doc.invno, doc.insts FROM doc JOIN ord o USING (ok) "
        "WHERE doc.kind = 'I' AND o.redeems ORDER BY doc.insts, o.custno"
    )
    booked = con.sql("SELECT (SELECT count(*) FROM line), (SELECT count(*) FROM doc)").fetchone() or (0, 0)
    return Counters(next_numbers.line + int(booked[0]), next_numbers.invoice + int(booked[1]))
