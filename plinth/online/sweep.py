"""Taking away what no version needs: leftovers of publishers that ended too early, and versions older than those that are kept.

Everything goes in short transactions and can be ended at any point: what is left is found again by the state of its version's row. The
cost follows what the versions changed, not how many documents there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection

from plinth.online.batches import ROWS
from plinth.online.database import Database
from plinth.online.schema import PRUNED


def sweep_abandoned(database: Database) -> int:
    """Removes the rows of abandoned drafts; gives their number."""

    def found(connection: Connection) -> list[int]:
        return list(connection.execute(database.writes.abandoned).scalars())

    removed = 0
    for version in database.transact(found):

        def take(connection: Connection, page: list[dict[str, Any]]) -> None:
            connection.execute(database.writes.remove_row, page)

        removed += sum(_over_rows(database, version, take))
        _drop(database, version)
    return removed


def prune(database: Database, keep: int) -> int:
    """Keeps the newest `keep` versions and the one that readers see, and what lies between; gives how many versions went.

    A version from the oldest kept one on sees of each key its newest row up to there. All older rows of the key are superseded, and only
    keys that a version changed have any.
    """
    floor = database.transact(lambda connection: _mark(database, connection, keep))
    if floor is None:
        return 0

    def due(connection: Connection) -> list[tuple[int, str, int]]:
        rows = connection.execute(database.writes.unsettled, {"floor": floor})
        return [(row.id, row.state, row.settled) for row in rows]

    gone = 0
    for version, state, settled in database.transact(due):

        def take(connection: Connection, page: list[dict[str, Any]]) -> None:
            connection.execute(database.writes.remove_older, page)
            # A tombstone hides older rows only, and these are gone now.
            tombstones = [row for row in page if row["digest"] is None]
            if tombstones:
                connection.execute(database.writes.remove_row, tombstones)

        if not settled:
            for _ in _over_rows(database, version, take):
                pass
        if state == PRUNED:
            _drop(database, version)
            gone += 1
        else:
            _settle(database, version)
    return gone


def _mark(database: Database, connection: Connection, keep: int) -> int | None:
    ids: list[int] = list(connection.execute(database.writes.published_ids).scalars())
    seen: int | None = connection.execute(database.writes.pointed).scalar()
    if not ids:
        return None
    kept: list[int] = [*ids[: max(keep, 1)], *([seen] if seen is not None else [])]
    floor = min(kept)
    connection.execute(database.writes.mark_pruned, {"floor": floor})
    return floor


def _over_rows(
    database: Database, version: int, take: Callable[[Connection, list[dict[str, Any]]], None]
) -> Iterator[int]:
    """Hands the rows that a version wrote to `take`, in portions, each in its transaction; yields their sizes."""
    after = ("", "")
    while True:

        def work(connection: Connection, after: tuple[str, str] = after) -> list[dict[str, Any]]:
            values = {"version": version, "after_kind": after[0], "after_key": after[1], "limit": ROWS}
            page = [
                {"row_kind": row.kind, "row_key": row.key, "digest": row.digest, "version": version}
                for row in connection.execute(database.writes.page_of_version, values)
            ]
            if page:
                take(connection, page)
            return page

        page = database.transact(work)
        if not page:
            return
        yield len(page)
        after = (page[-1]["row_kind"], page[-1]["row_key"])


def _drop(database: Database, version: int) -> None:
    database.transact(
        lambda connection: connection.execute(database.writes.drop_version, {"version": version}).rowcount
    )


def _settle(database: Database, version: int) -> None:
    database.transact(
        lambda connection: connection.execute(database.writes.settle_version, {"version": version}).rowcount
    )
