"""The names under which a run's SQL finds what it reads: tables as the run sees them, and the run's own relations.

What belongs here: names, and the views behind them. What does not: deciding what is read (`session`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plinth.engine import quote
from plinth.lakehouse.tables import TableId
from plinth.transform.pending import Held

if TYPE_CHECKING:
    import duckdb

OWN_SCHEMA = '"memory"."plinth"'
"""The schema in the run's DuckDB of what belongs to no table."""


def relation_name(table: TableId) -> str:
    """The name under which a run's SQL reads a table."""
    return f'"memory".{quote(table.layer)}.{quote(table.name)}'


def touched_name(model: str) -> str:
    """The name of the table with the scopes of a model that changes touch."""
    return f"{OWN_SCHEMA}.{quote(f'touched of {model}')}"


def show(con: duckdb.DuckDBPyConnection, held: Held) -> None:
    """Makes or replaces the view of a table, over what the run has staged of it if it has.

    Two threads that make a schema at once conflict in DuckDB's catalogue: call it under the session's lock.
    """
    con.execute(f'CREATE SCHEMA IF NOT EXISTS "memory".{quote(held.table.layer)}')
    con.execute(f"CREATE OR REPLACE VIEW {relation_name(held.table)} AS {held.relation}")
