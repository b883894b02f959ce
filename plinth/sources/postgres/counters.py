"""What PostgreSQL counts of a table's changes, whatever its size: a sign of change that reads no row.

What belongs here: which counters are taken, and when they are worth nothing. What does not: what a sign is used for (`Source.glance`).

The cumulative statistics count inserted, updated and deleted rows of each table, with those of transactions that were rolled back, and a
session adds to them after its commit. So counters that are taken before a snapshot move for every change that the snapshot does not show
(tried with PostgreSQL 15: an open transaction moves nothing). TRUNCATE and what rewrites a table count nothing but give it another file. The
statistics begin again at zero where somebody resets them and where the server crashed, and each of these has a time.

What they can miss: a superuser's session with track_counts off; and they may be late, by about a second in a busy session and by ten in one that
falls silent (before release 15 by as long as it stays silent).
Source: PostgreSQL's documentation, chapter "The Cumulative Statistics System".
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from plinth.sources.source import Probe, shape_of

if TYPE_CHECKING:
    from psycopg import Connection

    from plinth.sources.catalogue import SourceTable

# A query of a table reads its partitions and the tables that inherit from it, which have counters of their own. Views and foreign tables have
# none, and a standby server does not count what it is sent.
_COUNTERS = """
WITH RECURSIVE parts AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s
    UNION SELECT i.inhrelid FROM pg_inherits i JOIN parts p ON i.inhparent = p.oid
)
SELECT bool_and(c.relkind IN ('r', 'p', 'm')) AND NOT pg_is_in_recovery() AND current_setting('track_counts') = 'on',
       string_agg(concat_ws(' ', c.oid, pg_relation_filenode(c.oid), pg_stat_get_tuples_inserted(c.oid),
                            pg_stat_get_tuples_updated(c.oid), pg_stat_get_tuples_deleted(c.oid)), ',' ORDER BY c.oid),
       (SELECT stats_reset::text FROM pg_stat_bgwriter),
       (SELECT stats_reset::text FROM pg_stat_database WHERE datname = current_database())
FROM parts p JOIN pg_class c ON c.oid = p.oid
"""


def counters(con: Connection[Any], table: SourceTable) -> Probe | None:
    """The counters of a table as a probe; None where the server counts nothing for it.

    Cost: a look at the statistics in memory, 1 ms.
    """
    row = con.execute(_COUNTERS, (table.schema, table.name)).fetchone()
    if row is None or not row[0]:
        return None
    seen = f"{row[1:]} {shape_of(table)}"
    return Probe(token=f"counters-{hashlib.sha256(seen.encode()).hexdigest()[:24]}", sure=False)
