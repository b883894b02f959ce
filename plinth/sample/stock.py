"""The nightly dump of the stock, STOCKLVL: keyless, with a few rows doubled and a line of totals a night, the last `NIGHTS` nights only.

What belongs here: the rows of one night. What does not: keeping stock in step with sales; the dump is a picture, as legacy dumps are.
"""

from __future__ import annotations

NIGHTS = 7

# The line of totals is no row of stock: the contract names it, and the platform puts it into quarantine.
STOCK_ROWS = """
WITH counted AS (SELECT d AS "SNAPDT", itemno AS "ITEMNO", whscd AS "WHSCD", qty AS "QTYOH" FROM (
    SELECT n.d::DATE AS d, itemno, whscd, key2(ikey, day_of(n.d::DATE) * 4 + w) AS sk,
           (-20 + 900 * pow(u('stock', key2(ikey, w)), 2) + 60 * z('night', key2(ikey, day_of(n.d::DATE) * 4 + w)))::INT AS qty
    FROM item, (VALUES (1, 'MAN'), (2, 'HUL')) s(w, whscd),
         range(getvariable('stock_from')::TIMESTAMP, getvariable('today')::TIMESTAMP + INTERVAL 1 DAY, INTERVAL 1 DAY) n(d)
    WHERE intr <= n.d AND disc > n.d AND (w = 1 OR u('second', ikey) < .3)
), range(if(u('doubled', sk) < .004, 2, 1)))
SELECT * FROM (FROM counted UNION ALL SELECT "SNAPDT", 'TOTAL', 'ALL', sum("QTYOH")::INT FROM counted GROUP BY 1)
ORDER BY "SNAPDT", "ITEMNO" = 'TOTAL', "ITEMNO", "WHSCD"
"""
"""The dumps from the variable `stock_from` to `today`; at most `{NIGHTS}` nights are kept."""
