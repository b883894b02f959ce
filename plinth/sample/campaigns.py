"""The promotions: who is contacted, who is held out, and what a contact does; the tables `promo` and `contact`.

What belongs here: the plan of promotions, the randomised hold-out, and the true effect of a treatment. What does not: orders, which only
read the effect. The effect is a factor on the daily chance of an order during the promotion's days, so that the true uplift of each customer
and promotion follows exactly (`plinth.sample.truth`).

- Every 21 days comes one promotion of 10 to 14 days; no two overlap. It stands in PROMOS from 3 days before its start.
- Of the customers who consent, 55 % are chosen by lot, and of those one in five by lot is held out: GRPCD C, never contacted.
- The factor is 1 + depth x affinity. Depth: by discount. Affinity: rarer buyers, consumers, and an age that fits the channel, respond
  more; 7 % respond against it (`sleeping dogs`), and a log-normal share stays unexplained.
- A treated buyer names the code in his first order of the promotion with a chance of his own; only then does RDMFLG become Y.
- One promotion in eight is called off the day before it starts, and its rows vanish.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

ANNOUNCED = 3  # days before the start at which PROMOS and CAMPCON get their rows
HOLD_OUT = 0.2

MACROS = f"""
CREATE OR REPLACE MACRO chosen(custno, promoid) AS u('chosen', key2(custno, promoid)) < .55;
CREATE OR REPLACE MACRO group_of(custno, promoid) AS if(u('group', key2(custno, promoid)) < {HOLD_OUT}, 'C', 'T');
CREATE OR REPLACE MACRO channel_of(custno, promoid) AS CASE WHEN u('channel', key2(custno, promoid)) < .6 THEN 'EM'
    WHEN u('channel', key2(custno, promoid)) < .85 THEN 'SM' ELSE 'PO' END;
CREATE OR REPLACE MACRO channel_fit(age, channel) AS CASE channel WHEN 'PO' THEN if(age >= 50, 1.5, .6) WHEN 'SM' THEN if(age < 40, 1.5, .6) ELSE 1.0 END;
CREATE OR REPLACE MACRO affinity(custno, promoid, rate) AS if(u('contrary', custno) < .07, -.5,
    if(is_wholesale(custno), .2, 1.0) * if(rate < .015, 1.5, .7) * channel_fit(age_of(custno), channel_of(custno, promoid))
    * exp(.25 * z('affinity', custno)));
CREATE OR REPLACE MACRO effect(custno, promoid, rate, depth) AS greatest(.4, least(4.0, 1 + depth * affinity(custno, promoid, rate)));
CREATE OR REPLACE MACRO code_chance(custno, promtyp) AS
    CASE promtyp WHEN 'PC' THEN .8 WHEN 'AM' THEN .7 ELSE .85 END * if(is_wholesale(custno), .6, 1.0);
"""

_PROMO = f"""
CREATE OR REPLACE TABLE promo AS
WITH planned AS (
    SELECT 1001 + p AS promoid, DATE '{{origin}}' + (20 + 21 * p + floor(4 * u('shift', 1001 + p)))::INT AS startdt FROM range({{count}}) t(p)
), typed AS (
    SELECT *, CASE WHEN u('type', promoid) < .5 THEN 'PC' WHEN u('type', promoid) < .75 THEN 'AM' ELSE 'FS' END AS promtyp,
           5.0 * (1 + floor(4 * u('disc', promoid))) AS disc
    FROM planned
)
SELECT promoid, promtyp, startdt, startdt + (9 + floor(5 * u('length', promoid)))::INT AS enddt, startdt - {ANNOUNCED} AS announced,
       CASE promtyp WHEN 'PC' THEN disc WHEN 'AM' THEN disc / 2 ELSE 0.0 END AS discpc,
       if(startdt < DATE '{{generated_from}}', 0.0, CASE promtyp WHEN 'FS' THEN .6 ELSE .35 + disc / 25 END) AS depth, u('called off', promoid) < .125 AS called_off
FROM typed
"""

# Promotions that have their rows as of today: announced, and not called off.
KNOWN = (
    "p.announced <= getvariable('today')::DATE AND NOT (p.called_off AND p.startdt - 1 <= getvariable('today')::DATE)"
)

PROMO_ROWS = f"""
SELECT promoid AS "PROMOID",
       pick(['Spring into', 'Treat yourself to', 'Hello again:', 'A little thank you:', 'This fortnight only:'], 'title', promoid)
           || CASE promtyp WHEN 'PC' THEN ' ' || discpc::INT::VARCHAR || '% off' WHEN 'AM' THEN ' £' || printf('%.2f', discpc) || ' off'
              ELSE ' free delivery' END AS "PROMNM",
       promtyp AS "PROMTYP", discpc AS "DISCPC", if(promtyp = 'PC', 0.0, 15.0) AS "MINVAL", startdt AS "STARTDT", enddt AS "ENDDT",
       round(500 + 4500 * u('budget', promoid), 2) AS "BUDGET", clock(announced, 3600 * 9 + 60 * (promoid % 60)) AS "UPDTS"
FROM promo p WHERE {KNOWN} ORDER BY promoid
"""


def plan_promotions(con: duckdb.DuckDBPyConnection, origin: date, last: date, generated_from: date) -> None:
    """Makes the table `promo` of all promotions from `origin` to a little after `last`.

    Those that start before `generated_from` have no effect: real buyers did not know of them.
    """
    con.execute(
        _PROMO.format(
            origin=origin.isoformat(),
            generated_from=generated_from.isoformat(),
            count=max(1, ((last - origin).days + 21) // 21),
        )
    )


def eligible(people: str, condition: str) -> str:
    """The query of who is contacted or held out: pairs (promoid, custno, rate).

    Args:
        people: a table or query in brackets with (custno, crtdt, rate, mktcns).
        condition: which promotions, over the columns of `promo p`.
    """
    return f"""
    SELECT p.promoid, c.custno, c.rate FROM promo p, {people} c
    WHERE {condition} AND c.mktcns = 'Y' AND c.crtdt <= p.announced AND chosen(c.custno, p.promoid)
    """


def contacts_of(pairs: str) -> str:
    """The query of the contacts, with their true effect, of pairs (promoid, custno, rate)."""
    return f"""
    SELECT p.promoid, c.custno, p.startdt - floor(3 * u('contacted', key2(c.custno, p.promoid)))::INT AS contdt,
           channel_of(c.custno, p.promoid) AS chancd, group_of(c.custno, p.promoid) AS grpcd, p.startdt, p.enddt, p.announced,
           effect(c.custno, p.promoid, c.rate, p.depth) AS effect,
           u('code', key2(c.custno, p.promoid)) < code_chance(c.custno, p.promtyp) AS names_code
    FROM ({pairs}) c JOIN promo p USING (promoid)
    """


CONTACT_ROWS = """
SELECT k.promoid AS "PROMOID", k.custno AS "CUSTNO", k.contdt AS "CONTDT", k.chancd AS "CHANCD", k.grpcd AS "GRPCD",
       if(r.invno IS NULL, 'N', 'Y') AS "RDMFLG", coalesce(r.d, DATE '9999-12-31') AS "RDMDT", coalesce(r.invno, '') AS "RDMINV",
       coalesce(r.insts, clock(k.announced, 3600 * 9 + 60 * (k.promoid % 60) + 1)) AS "UPDTS"
FROM contact k LEFT JOIN redemption r USING (promoid, custno)
"""
