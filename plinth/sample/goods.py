"""The goods of the shop: the table `item`, which lines are made from, and the rows of ITEMMAS.

What belongs here: codes, descriptions, categories, prices over time, when an item comes and goes, and the mess that belongs to an item
(lower-case codes, blanks around a description, a changed description). What does not: who buys what (`plinth.sample.people`) and lines.

Items stand in pools of one category and one style; a pool's items have ranks, and rank r is bought in proportion to r^-0.7 (Zipf). The whole
range, with what is yet to come, is planned from the seed: advancing a day reveals items, it does not draw them.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from plinth.sample.vocabulary import CATEGORIES, COLOURS, SERVICES, SIZES, STYLES, sql_list

if TYPE_CHECKING:
    import duckdb

POOLS = len(CATEGORIES) * len(STYLES)
PRICE_PERIOD = 150  # days for which a list price stands

MACROS = f"""
CREATE OR REPLACE MACRO price_factor(ikey, dayno) AS 0.92 + 0.16 * u('price', key2(ikey, (dayno + ikey % {PRICE_PERIOD}) // {PRICE_PERIOD}));
CREATE OR REPLACE MACRO list_price(base, ikey, dayno) AS greatest(0.05, round(base * price_factor(ikey, dayno), 2));
CREATE OR REPLACE MACRO goods_key(itemno) AS (hash(itemno) >> 1)::BIGINT;
CREATE OR REPLACE MACRO day_of(d) AS (d - DATE '1950-01-01')::INT;
CREATE OR REPLACE MACRO price_since(ikey, d) AS d - ((day_of(d) + ikey % {PRICE_PERIOD}) % {PRICE_PERIOD})::INT;
"""

_PLANNED = """
CREATE OR REPLACE TABLE range_of_goods AS
WITH numbered AS (
    SELECT i, i // 4 AS family, key2(i // 4, 11) AS fkey, key2(i, 12) AS ikey FROM range({count}) t(i)
), named AS (
    SELECT *, u('family', fkey) < .3 AS coloured, floor(12 * pow(u('category', fkey), 1.15))::INT AS category,
           floor({styles} * u('style', fkey))::INT AS style
    FROM numbered
)
SELECT CASE WHEN u('gum', fkey) < .012 THEN 'DCGS' || lpad((i % 10000)::VARCHAR, 4, '0')
            WHEN coloured THEN ({first_code} + family * {stride})::VARCHAR || ['A', 'B', 'C', 'D'][1 + i % 4]
            ELSE ({first_code} + family * {stride} + i % 4)::VARCHAR END AS itemno,
       ikey, category * {styles} + style AS pool,
       if(coloured, {colours}[1 + (i + floor(8 * u('hue', fkey))::INT) % 8] || ' ', '')
           || {sizes}[1 + floor(6 * pow(u('size', if(coloured, fkey, ikey)), 2))::INT]
           || {styles_list}[1 + style] || ' ' || pick({nouns}[1 + category], 'noun', if(coloured, fkey, ikey)) AS descr,
       greatest(.19, round(exp(.72 + .85 * z('base', if(coloured, fkey, ikey))), 2)) AS base,
       CASE WHEN u('intro', ikey) < {old_share} THEN DATE '{start}' - (30 + 900 * u('intro2', ikey))::INT
            ELSE DATE '{start}' + (1 + {span} * u('intro3', ikey))::INT END AS intr
FROM named
"""

# Pools without an item fall back to the whole range; an item out of its time is replaced by one of its pool that always stays.
_ITEM = """
CREATE OR REPLACE TABLE item AS
WITH timed AS (
    SELECT g.*, CASE WHEN u('gone', ikey) < .28 THEN greatest(intr, DATE '{start}') + (120 + 900 * u('gone2', ikey))::INT
                     ELSE DATE '9999-12-31' END AS disc
    FROM range_of_goods g
), placed AS (
    SELECT *, (row_number() OVER (ORDER BY pool, starts_with(itemno, 'DCGS'), u('rank', ikey), itemno) - 1)::INT AS idx,
           intr <= DATE '{start}' AND disc = DATE '9999-12-31' AS stays
    FROM timed
), messy AS (
    SELECT *, CASE WHEN u('blank', ikey) < .17 THEN descr || ' ' WHEN u('blank', ikey) < .2 THEN ' ' || descr ELSE descr END AS descr1,
           CASE WHEN u('reword', ikey) < .2 THEN (DATE '{start}' - DATE '1950-01-01') + (900 * u('reword2', ikey))::INT ELSE 0 END AS reworded
    FROM placed
)
SELECT idx, itemno, ikey, pool, descr, descr1, reworded, replace(descr, ' OF ', '/') || if(contains(descr, ' OF '), '', ' GIFT') AS descr0,
       base, intr, disc, u('lower', ikey) < .12 AND itemno <> lower(itemno) AS casey, 1 + (49 * u('supplier', ikey))::INT AS suppno,
       coalesce(
           first_value(if(stays, idx, NULL) IGNORE NULLS) OVER (PARTITION BY pool ORDER BY u('sub', ikey), idx
               ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING),
           first_value(if(stays, idx, NULL) IGNORE NULLS) OVER (PARTITION BY pool ORDER BY u('sub', ikey), idx
               ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING),
           first_value(if(stays, idx, NULL) IGNORE NULLS) OVER (ORDER BY u('sub', ikey), idx
               ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING), idx) AS sub
FROM messy ORDER BY idx;
SET VARIABLE pool_n = (SELECT list(n ORDER BY p) FROM (
    SELECT p, count(i.idx)::INT AS n FROM range({pools}) t(p) LEFT JOIN item i ON i.pool = p GROUP BY p));
SET VARIABLE pool_first = (SELECT list(f ORDER BY p) FROM (
    SELECT p, coalesce(min(i.idx), 0)::INT AS f FROM range({pools}) t(p) LEFT JOIN item i ON i.pool = p GROUP BY p));
SET VARIABLE item_n = (SELECT count(*)::INT FROM item);
"""


def planned_items(customers: int) -> int:
    """How many items the range of a shop of so many customers has, with those yet to come: 60 for each root of a customer, 600 to 6,000."""
    return int(min(6000, max(600, round(60 * customers**0.5))))


def plan_goods(con: duckdb.DuckDBPyConnection, count: int, start: date, days: int) -> None:
    """Plans a generated range of `count` items around the days of the sample: the table `range_of_goods`.

    Of all items 70 % are there from the start; the others come within the days and the two years after them.
    """
    _plan(con, count, start, first_code=20001, old_share=0.7, span=days + 730, stride=37 if count <= 6000 else 5)


def plan_more_goods(con: duckdb.DuckDBPyConnection, count: int, start: date) -> None:
    """Plans `count` items that come within the two years after `start`, with codes from 95001, which the real data does not use."""
    _plan(con, count, start, first_code=95001, old_share=0.0, span=730, stride=4)


def make_items(con: duckdb.DuckDBPyConnection, start: date) -> None:
    """Makes the table `item` and the pools' sizes from `range_of_goods(itemno, ikey, pool, descr, base, intr)`."""
    con.execute(_ITEM.format(start=start.isoformat(), pools=POOLS))


def _plan(
    con: duckdb.DuckDBPyConnection,
    count: int,
    start: date,
    *,
    first_code: int,
    old_share: float,
    span: int,
    stride: int,
) -> None:
    con.execute(
        _PLANNED.format(
            count=count,
            styles=len(STYLES),
            first_code=first_code,
            stride=stride,
            old_share=old_share,
            span=span,
            start=start.isoformat(),
            colours=sql_list(COLOURS),
            sizes=sql_list(SIZES),
            styles_list=sql_list(STYLES),
            nouns="[" + ", ".join(sql_list(nouns) for nouns in CATEGORIES.values()) + "]",
        )
    )


ITEM_ROWS = f"""
SELECT itemno AS "ITEMNO", if(day_of("DAY") < reworded, descr0, descr1) AS "DESCR",
       {sql_list(list(CATEGORIES))}[1 + pool // {len(STYLES)}] AS "CATCD",
       list_price(base, ikey, day_of("DAY")) AS "LISTPR", round(base * .45, 4) AS "COSTPR", suppno AS "SUPPNO",
       if(disc <= "DAY", 'D', 'A') AS "STATCD", intr AS "INTRDT", if(disc <= "DAY", disc, DATE '9999-12-31') AS "DISCDT",
       clock(greatest(intr, if(disc <= "DAY", disc, intr), least("DAY", price_since(ikey, "DAY"))), 60 * (60 + 120 * u('upd', ikey))) AS "UPDTS"
FROM item, (SELECT getvariable('today')::DATE AS "DAY")
WHERE intr <= "DAY"
"""


def service_rows(day: date) -> str:
    """The query of ITEMMAS' rows for codes that are no goods, as of `day`."""
    rows = ", ".join(f"('{code}', '{text}', {price})" for code, text, price in SERVICES)
    return f"""
SELECT code AS "ITEMNO", descr AS "DESCR", 'SERV' AS "CATCD", round(price, 2) AS "LISTPR", 0.0 AS "COSTPR", 0 AS "SUPPNO", 'A' AS "STATCD",
       DATE '1900-01-01' AS "INTRDT", DATE '9999-12-31' AS "DISCDT", TIMESTAMP '{day.isoformat()} 00:00:00' AS "UPDTS"
FROM (VALUES {rows}) t(code, descr, price)
"""
