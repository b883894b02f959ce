"""The transaction of a DuckDB connection in which a legacy system is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


@contextmanager
def reading(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Begins a transaction, and ends it with the block. Tables that the block made in `con` stay if it ends well.

    Unless the server is gone by then: nothing is said of that here, since who has read all that he wanted into files has lost nothing by it. Who
    keeps rows in a table has to look whether it is there.
    """
    import duckdb

    con.execute("BEGIN")
    ending = "ROLLBACK"
    try:
        yield
        ending = "COMMIT"
    finally:
        # A server that has gone took the transaction with it; the fault that matters is on its way up.
        for statement in dict.fromkeys((ending, "ROLLBACK")):
            with suppress(duckdb.Error):
                con.execute(statement)
                break
