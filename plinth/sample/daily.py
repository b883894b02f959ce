"""What happens in the legacy system within one day, as DuckDB queries over the world's tables.

What belongs here: which customers, goods, promotions and lines change on a day, and to what. What does not: carrying it out
(`plinth.sample.advancing`), or what is bought (`plinth.sample.orders`). Every query speaks of the day in the variable `today`; the choice
depends on seed, key and day only, so that ten days at once and ten times one day come to the same.
"""

from __future__ import annotations

_TODAY = "getvariable('today')::DATE"
_DAYNO = f"day_of({_TODAY})"

# 1. Erased on request: the customer and his contacts go, his invoice lines stay for the tax office without his number.
ERASED = f"""
SELECT custno FROM people_now WHERE crtdt < {_TODAY} AND u('erase', key2(custno, {_DAYNO})) < .0003 ORDER BY custno
"""
FORGET = """
DELETE FROM people_now WHERE custno IN (FROM erased);
DELETE FROM cust WHERE custno IN (FROM erased);
DELETE FROM contact WHERE custno IN (FROM erased);
DELETE FROM ord WHERE custno IN (FROM erased);
"""
CONTACTS_OF_ERASED = (
    'SELECT promoid AS "PROMOID", custno AS "CUSTNO" FROM contact WHERE custno IN (FROM erased) ORDER BY ALL'
)

# 2. Customers who lapse, move or change their mind: at most one of the three on a day, so that a row is updated once.
FATES = f"""
CREATE OR REPLACE TEMP TABLE fate AS
SELECT p.custno, p.mktcns, p.cntry, clock({_TODAY}, 3600 * (9 + 8 * u('changed', key2(p.custno, {_DAYNO})))) AS ts,
       CASE WHEN c.enddt + 181 = {_TODAY} THEN 'lapsed' WHEN u('move', key2(p.custno, {_DAYNO})) < .0006 THEN 'moved'
            WHEN u('flip', key2(p.custno, {_DAYNO})) < .0007 THEN 'flipped' END AS fate
FROM people_now p JOIN cust c USING (custno) WHERE p.crtdt < {_TODAY}
"""
LAPSED = """SELECT custno AS "CUSTNO", 'N' AS "ACTFLG", ts AS "UPDTS" FROM fate WHERE fate = 'lapsed' ORDER BY custno"""
MOVED = f"""
SELECT custno AS "CUSTNO", phone_of(custno, {_DAYNO}) AS "PHONE", if(cntry = 'United Kingdom', postcode_of(custno, {_DAYNO}),
       '00' || floor(1000 * u('zip', key2(custno, {_DAYNO})))::INT::VARCHAR) AS "POSTCD", ts AS "UPDTS"
FROM fate WHERE fate = 'moved' ORDER BY custno
"""
FLIPPED = """
SELECT custno AS "CUSTNO", if(mktcns = 'Y', 'N', 'Y') AS "MKTCNS", ts AS "UPDTS" FROM fate WHERE fate = 'flipped' ORDER BY custno
"""
REMEMBER_FLIPS = """
UPDATE people_now SET mktcns = if(people_now.mktcns = 'Y', 'N', 'Y') FROM fate
WHERE fate.custno = people_now.custno AND fate.fate = 'flipped'
"""
REMEMBER_NEWCOMERS = """
INSERT INTO people_now SELECT custno, crtdt, cntry, consent_of(custno) FROM newcomer;
"""

# 3. Goods: new ones, and those whose price, wording or state is another than yesterday. The real goods keep their wording.
CHANGED_ITEMS = f"""
SELECT n."ITEMNO", {{wording}} n."LISTPR", n."STATCD", n."DISCDT", clock({_TODAY}, 3600 + 60 * (goods_key(n."ITEMNO") % 100)) AS "UPDTS"
FROM items_now n JOIN items_before b USING ("ITEMNO")
WHERE (n."LISTPR", n."STATCD", n."DISCDT") IS DISTINCT FROM (b."LISTPR", b."STATCD", b."DISCDT") OR ({{reworded}})
ORDER BY n."ITEMNO"
"""
NEW_ITEMS = f'FROM items_now WHERE "INTRDT" = {_TODAY} ORDER BY "ITEMNO"'

# 4. Promotions: announced with their contacts, called off the day before they would begin.
ANNOUNCED_TODAY = f"p.announced = {_TODAY}"
CALLED_OFF = f'SELECT promoid AS "PROMOID" FROM promo WHERE called_off AND startdt - 1 = {_TODAY}'
CALLED_OFF_CONTACTS = (
    f'SELECT promoid AS "PROMOID", custno AS "CUSTNO" FROM contact WHERE promoid IN ({CALLED_OFF}) ORDER BY ALL'
)
REDEEMED = f"""
SELECT promoid AS "PROMOID", custno AS "CUSTNO", 'Y' AS "RDMFLG", d AS "RDMDT", invno AS "RDMINV", insts AS "UPDTS"
FROM redemption WHERE insts::DATE = {_TODAY} ORDER BY promoid, custno
"""

# 5. Lines of the last days: chosen by number, read by key, then corrected or removed. An invoice that redeemed a promotion stays whole.
TOUCHED = f"""
SELECT id, u('touch', key2(id, {_DAYNO})) < .00025 AS goes FROM range(getvariable('touch_from'), getvariable('touch_to')) t(id)
WHERE u('touch', key2(id, {_DAYNO})) < .0009
"""
REMOVED = f"""
SELECT t.lineid AS "LINEID" FROM touched_lines t JOIN ({TOUCHED}) c ON c.id = t.lineid
WHERE c.goes AND t.invno NOT IN (SELECT invno FROM redemption) ORDER BY t.lineid
"""
CORRECTED = f"""
SELECT t.lineid AS "LINEID", if(t.lineid % 2 = 0, if(qty > 6, qty - 6, qty + 1), qty) AS "QTY",
       if(t.lineid % 2 = 0, unitpr, round(unitpr * 1.1, 2) + .01)::DECIMAL(12, 4) AS "UNITPR",
       clock({_TODAY}, 3600 * 19 + 3000 * u('mend', t.lineid)) AS "UPDTS"
FROM touched_lines t JOIN ({TOUCHED}) c ON c.id = t.lineid
WHERE NOT c.goes AND qty > 0 AND unitpr > 0 AND t.invno NOT LIKE 'C%' AND t.invno NOT LIKE 'A%' ORDER BY t.lineid
"""
