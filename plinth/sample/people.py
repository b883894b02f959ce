"""The customers: the latent table `cust`, which orders are made from, and the rows of CUSTMAS.

What belongs here: who a customer is (the hidden tastes, rate and lifetime; the visible personal data) and how the personal data changes.
What does not: orders and campaigns. All of it is a pure function of seed and CUSTNO, but for what CUSTMAS itself records (CRTDT, CNTRY).

A customer belongs to one of 8 clusters. The cluster leans to categories and styles; three categories and two styles of his own are drawn from
it, and most of what he buys comes from them. He buys his favourites again at a rate of his own. An eighth of the customers are wholesalers.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from plinth.sample.vocabulary import (
    COUNTRIES,
    FAMILY_NAMES,
    GIVEN_NAMES,
    POSTCODE_AREAS,
    SHOP_KINDS,
    SHOP_WORDS,
    sql_list,
)

if TYPE_CHECKING:
    import duckdb

FIRST_CUSTNO = 12346
CLUSTERS = 8
JOIN_SHARE = 0.4  # of the customers of a fresh sample, who come during its days; the others were there before

MACROS = f"""
CREATE OR REPLACE MACRO cluster_of(custno) AS floor({CLUSTERS} * u('cluster', custno))::INT;
CREATE OR REPLACE MACRO is_wholesale(custno) AS u('wholesale', custno) < .12;
CREATE OR REPLACE MACRO age_of(custno) AS 19 + (28 * (u('age', custno) + u('age2', custno)))::INT;
CREATE OR REPLACE MACRO cluster_category(custno, name) AS (cluster_of(custno) * 5 + floor(5 * pow(u(name, custno), 1.8))::INT) % 12;
CREATE OR REPLACE MACRO country_of(custno) AS if(u('abroad', custno) < .91, 'United Kingdom',
    {sql_list(COUNTRIES)}[1 + floor({len(COUNTRIES)} * pow(u('country', custno), 2.2))::INT]);
CREATE OR REPLACE MACRO consent_of(custno) AS CASE WHEN u('consent', custno) < .70 THEN 'Y' WHEN u('consent', custno) < .91 THEN 'N' ELSE ' ' END;
CREATE OR REPLACE MACRO postcode_of(custno, move) AS {sql_list(POSTCODE_AREAS)}[1 + floor(12 * u('area', key2(custno, move)))::INT]
    || (1 + floor(28 * u('district', key2(custno, move)))::INT)::VARCHAR || ' ' || floor(10 * u('sector', key2(custno, move)))::INT::VARCHAR
    || pick(['AB', 'BD', 'EF', 'GH', 'JL', 'NP', 'QR', 'TW'], 'unit', key2(custno, move));
CREATE OR REPLACE MACRO phone_of(custno, move) AS CASE
    WHEN u('phone', key2(custno, move)) < .62 THEN '07700 900' || lpad(floor(1000 * u('digits', key2(custno, move)))::INT::VARCHAR, 3, '0')
    WHEN u('phone', key2(custno, move)) < .70 THEN '+44 7700 900' || lpad(floor(1000 * u('digits', key2(custno, move)))::INT::VARCHAR, 3, '0')
    WHEN u('phone', key2(custno, move)) < .90 THEN '01632 960' || lpad(floor(1000 * u('digits', key2(custno, move)))::INT::VARCHAR, 3, '0')
    ELSE '' END;
"""

# rate: orders per trading day of mean strength. The spread of both rate and basket is that of the real customers (log-normal, sigma about 1).
_CUST = """
SELECT custno, crtdt, crtdt + (30 - 1100 * ln(1 - u('life', custno)))::INT AS enddt, cntry, is_wholesale(custno) AS wholesale,
       least(.30, {rate} * exp(z('rate', custno) - .5) * if(is_wholesale(custno), 1.5, 1)) AS rate,
       exp(2.2 + .65 * z('basket', custno)) AS basket, .05 + .95 * pow(u('repeat', custno), 1.4) AS repeats,
       cluster_category(custno, 'c1') AS c1, cluster_category(custno, 'c2') AS c2, floor(12 * u('c3', custno))::INT AS c3,
       ((cluster_of(custno) // 2) + floor(2 * u('s1', custno))::INT) % 6 AS s1, floor(6 * u('s2', custno))::INT AS s2,
       if(u('moved', custno) < .003, 'United Kingdom', cntry) AS cntry2
FROM ({people})
"""
_RATE = 0.0245

_PERSONAL = f"""
SELECT custno AS "CUSTNO",
       if(is_wholesale(custno), pick({sql_list(SHOP_WORDS)}, 'shop1', custno) || ' & ' || pick({sql_list(SHOP_WORDS)}, 'shop2', custno) || ' '
              || pick({sql_list(SHOP_KINDS)}, 'shop3', custno),
          pick({sql_list(GIVEN_NAMES)}, 'given', custno) || ' ' || pick({sql_list(FAMILY_NAMES)}, 'family', custno)) AS name,
       pick({sql_list(GIVEN_NAMES)}, 'given', custno) || '.' || pick({sql_list(FAMILY_NAMES)}, 'family', custno) AS person,
       if(is_wholesale(custno) OR u('birth', custno) < .14, DATE '1900-01-01',
          make_date(2024 - age_of(custno), 1 + floor(12 * u('month', custno))::INT, 1 + floor(28 * u('mday', custno))::INT)) AS "BIRTHDT",
       cntry AS "CNTRY", consent_of(custno) AS "MKTCNS", crtdt AS "CRTDT", crtdt + (30 - 1100 * ln(1 - u('life', custno)))::INT AS enddt
FROM newcomer
"""
CUSTOMER_ROWS = f"""
SELECT "CUSTNO", CASE WHEN u('caps', "CUSTNO") < .06 THEN upper(name) WHEN u('caps', "CUSTNO") < .09 THEN name || '  ' ELSE name END AS "CUSTNM",
       CASE WHEN u('mail', "CUSTNO") < .04 THEN '' ELSE
           regexp_replace(strip_accents(if(u('mail', "CUSTNO") < .1, upper(person), lower(person))), '[^A-Za-z.]', '', 'g')
           || "CUSTNO"::VARCHAR || '@example.' || pick(['com', 'org', 'net'], 'domain', "CUSTNO") END AS "EMAIL",
       phone_of("CUSTNO", 0) AS "PHONE", "BIRTHDT",
       if("CNTRY" = 'United Kingdom', postcode_of("CUSTNO", 0), '00' || floor(1000 * u('zip', "CUSTNO"))::INT::VARCHAR) AS "POSTCD",
       "CNTRY", "MKTCNS", "CRTDT", if(enddt + 180 < "DAY", 'N', 'Y') AS "ACTFLG",
       clock(if(enddt + 180 < "DAY", enddt + 181, "CRTDT"), 3600 * (9 + 8 * u('made', "CUSTNO"))) AS "UPDTS"
FROM ({_PERSONAL}), (SELECT getvariable('today')::DATE AS "DAY") ORDER BY "CUSTNO"
"""


def plan_customers(con: duckdb.DuckDBPyConnection, count: int, start: date, days: int) -> None:
    """Makes the table `newcomer(custno, crtdt, cntry)` of a fresh sample: numbers rise with the day of creation.

    Three of five were there before the first day, spread over 400 days; the others come evenly during the days.
    """
    old = max(1, round(count * (1 - JOIN_SHARE)))
    con.execute(
        f"""CREATE OR REPLACE TABLE newcomer AS
        SELECT custno, crtdt, country_of(custno) AS cntry FROM (
            SELECT {FIRST_CUSTNO} + i AS custno, DATE '{start.isoformat()}' + if(i < {old}, -400 + (399 * i / {old})::INT,
                   ({days - 1} * (i - {old}) / {max(1, count - old)})::INT)::INT AS crtdt FROM range({count}) t(i))"""
    )


def new_customers(con: duckdb.DuckDBPyConnection, first_custno: int, count: float, day: date) -> None:
    """Makes the table `newcomer` of one advanced day: `count` customers on average, numbered from `first_custno`."""
    con.execute(
        f"""CREATE OR REPLACE TABLE newcomer AS
        SELECT custno, DATE '{day.isoformat()}' AS crtdt, country_of(custno) AS cntry
        FROM (SELECT {first_custno} + i AS custno FROM range(whole({count}, 'come', day_of(DATE '{day.isoformat()}'))) t(i))"""
    )


def latent(people: str) -> str:
    """The query of the latent customers for a query or table `people(custno, crtdt, cntry)`."""
    return _CUST.format(rate=_RATE, people=f"FROM {people}")


def make_customers(con: duckdb.DuckDBPyConnection, people: str = "newcomer") -> None:
    """Makes the table `cust` of the latent customers."""
    con.execute(f"CREATE OR REPLACE TABLE cust AS {latent(people)}")
