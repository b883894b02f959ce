"""An erasure request: what a customer did goes out of the store's log and out of `bronze/online_events`.

What belongs here: events, which no source system knows of and no run would take out. What does not: everything that follows from the sources;
where those forget a customer, the next runs do (docs/operations.md says the whole of it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from plinth.engine import connect, literal
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.merge import Changes, merge
from plinth.lakehouse.tables import Lakehouse
from plinth.online.archive import COLUMNS, PARTITION, TABLE

if TYPE_CHECKING:
    from plinth.online import OnlineStore

_WHOSE = """
CREATE TEMP TABLE plinth_erased AS SELECT event_id FROM {rows} WHERE customer = {customer} OR (customer IS NULL AND session IN
    (SELECT session FROM {rows} WHERE customer = {customer} AND session IS NOT NULL))
"""


@dataclass(frozen=True)
class Erased:
    """How many events went out of the store's log, and out of bronze."""

    in_store: int
    in_bronze: int


def erase(lakehouse: Lakehouse, store: OnlineStore, customer: str) -> Erased:
    """Removes all events of a customer. Done again it finds what was left, or nothing.

    Raises:
        CommitConflict: a run was writing the table; what is in the store went, and the rest goes when it is done again.
        StorageFailure, StoreUnavailable, StoreConflict: as the table and the store.
    """
    # The store first: from bronze they would come back with the next copy.
    in_store = store.erase_events(customer)
    base = lakehouse.find(TABLE)
    if base is None:
        return Erased(in_store, 0)
    platform = lakehouse.platform
    con = connect(platform.profile(), scratch=platform.path(platform.stores.scratch))
    try:
        con.execute(_WHOSE.format(rows=rows_of(base), customer=literal(customer)))
        con.execute(f"CREATE TEMP TABLE plinth_none AS SELECT * FROM {rows_of(base)} WHERE false")
        found = merge(con, base, COLUMNS, Changes(("event_id",), "plinth_none", "plinth_erased", feed=True))
        if found.changed:
            state = base.state.next(changed=True, run=None)
            write = Write(base, COLUMNS, state, found.add, found.remove, (PARTITION,), feed=found.feed)
            commit(lakehouse, TABLE, write)
    finally:
        con.close()
    return Erased(in_store, found.deleted)
