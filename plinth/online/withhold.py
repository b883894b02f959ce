"""What is shown to nobody: keys of documents that no reader gets, whichever version is served.

Versions say what was true when they were published, and a rollback brings that back. Some of it may never come back: an offer for somebody
who has withdrawn consent since. So this set has no version; a publish, a rollback and the prunings leave it alone. What belongs here:
writing it. What does not: who is in it (`plinth.serving.consents`), and leaving it out of what is read (`statements`).
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from plinth.online.batches import by_number
from plinth.online.database import Database
from plinth.online.model import storable
from plinth.online.schema import WITHHELD_COUNTER


def withhold(database: Database, kind: str, keys: Collection[str]) -> bool:
    """Makes these the withheld keys of a kind; see `OnlineStore.withhold`."""
    # What cannot be a key is no document's, and so needs no withholding.
    wanted = {key for key in keys if storable(key)}

    def work(connection: Connection) -> bool:
        # First of all, since it holds the counter's row: two who do this come one after the other.
        database.take_numbers(connection, WITHHELD_COUNTER)
        before: set[str] = set(connection.execute(database.writes.withheld_keys, {"kind": kind}).scalars())
        for page in by_number(sorted(wanted - before)):
            connection.execute(database.writes.withhold, [{"kind": kind, "key": key} for key in page])
        for page in by_number(sorted(before - wanted)):
            connection.execute(database.writes.release, [{"row_kind": kind, "row_key": key} for key in page])
        return before != wanted

    return database.transact(work)
