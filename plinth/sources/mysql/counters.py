"""What MySQL and MariaDB tell of a table's changes without reading it.

What belongs here: which signs are taken, and when they are worth nothing. What does not: what a sign is used for (`Source.glance`).

None of them is exact, so they are taken together (tried with MariaDB 10.11):
- `update_time` moves at each commit, but is kept in memory only: it is NULL after a restart, and after the server put the table out of its
  cache. MariaDB dates by the second in which the transaction *began*: of two that begin in the same second the later to commit moves nothing.
  So a load that finds a time of the last seconds is followed by another load, once the time is older.
- the start of the server, which tells one NULL from another;
- `table_rows`, an estimate that follows inserts and deletes, and whether there is any row: TRUNCATE moves no time.
- `create_time`, which moves with ALTER TABLE.

What they can miss: a transaction that began in the same second as another, committed more than `_UNSETTLED` seconds later, and changed values
only; and any change between the look and the moment at which the server forgets the table. TRUNCATE PARTITION moves nothing at all, and other
engines than those named keep no time: such tables have no sign.
"""

from __future__ import annotations

import hashlib

from plinth.sources.catalogue import SourceTable
from plinth.sources.mysql.catalogue import Query
from plinth.sources.source import Probe, shape_of

_ENGINES = ("InnoDB", "MyISAM", "Aria")
_UNSETTLED = 10
"""Seconds for which an update may have been followed by another with the same time: few transactions are open for longer."""

# MySQL 8 would tell times that are a day old. MariaDB takes what stands in such a comment for one.
_FRESH = "SET SESSION net_write_timeout = 3600 /*!80003 , information_schema_stats_expiry = 0 */"
_SIGNS = """
SELECT engine, create_options, create_time, update_time, table_rows, UNIX_TIMESTAMP() - UNIX_TIMESTAMP(update_time), VERSION()
FROM information_schema.tables WHERE table_schema = %s AND table_name = %s
"""
# Exact, as both parts are of the second in which the statement began.
_STARTED = "SELECT UNIX_TIMESTAMP() - variable_value FROM {schema}.global_status WHERE variable_name = 'Uptime'"


def signs(query: Query, table: SourceTable, target: str, *, to_keep: bool) -> Probe | None:
    """The signs of a table as a probe; None where there are none for it.

    Args:
        target: the table's quoted name.
        to_keep: whether later looks are compared with this one: it equals none of them while its time is unsettled.

    Cost: a look at the server's memory, some milliseconds.
    """
    query(_FRESH, ())
    found = query(_SIGNS, (table.schema, table.name))
    if not found:
        return None
    engine, options, created, updated, rows, age, version = found[0]
    if engine not in _ENGINES or "partitioned" in (options or "") or (updated is None and engine != "InnoDB"):
        return None
    schema = "information_schema" if "mariadb" in version.lower() else "performance_schema"
    started, filled = query(_STARTED.format(schema=schema), ()), query(f"SELECT 1 FROM {target} LIMIT 1", ())
    seen = f"{(created, updated, rows, started, filled)} {shape_of(table)}"
    token = f"signs-{hashlib.sha256(seen.encode()).hexdigest()[:24]}"
    unsettled = to_keep and age is not None and int(age) <= _UNSETTLED
    return Probe(token=f"{token}-unsettled" if unsettled else token, sure=False)
