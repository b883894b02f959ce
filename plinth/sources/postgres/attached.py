"""A PostgreSQL database attached to a DuckDB connection, and queries that the server runs as they stand.

What belongs here: the way to the server. What does not: what is asked (`catalogue`) and what is read (`snapshot`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from plinth.engine import literal, load_extension
from plinth.sources import faults
from plinth.sources.catalogue import SourceTable
from plinth.sources.postgres import catalogue
from plinth.sources.source import Look

if TYPE_CHECKING:
    import duckdb

    from plinth.sources.postgres.source import PostgresSource

ATTACHED = "plinth_postgres"
_SECRET = "plinth_postgres_secret"


@contextmanager
def attached(source: PostgresSource, con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Attaches the database as `ATTACHED` for the length of a block.

    Raises:
        SourceUnavailable: the server did not answer.
        SourceUnreadable: it refused the user, or the database is not there.
    """
    load_extension(con, "postgres_scanner")
    _attach(source, con)
    try:
        yield
    finally:
        con.execute(f"DETACH DATABASE IF EXISTS {ATTACHED}")
        con.execute(f"DROP SECRET IF EXISTS {_SECRET}")


@contextmanager
def asking(source: PostgresSource, con: duckdb.DuckDBPyConnection) -> Iterator[Look]:
    """See `Source.asking`. The import of psycopg costs 0.05 CPU seconds, a tenth of a load of 100,000 changed rows; this way costs 0.01."""

    def look(schema: str | None, name: str | None) -> Sequence[SourceTable]:
        return catalogue.describe(lambda sql: query(con, sql), schema, name)

    with attached(source, con), faults.translated(source.address):
        yield look


def query(con: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    """What the server answers to a query whose columns all have names."""
    return con.execute(remote(sql)).fetchall()


def remote(sql: str) -> str:
    """SQL of DuckDB for what the server answers."""
    return f"SELECT * FROM postgres_query({literal(ATTACHED)}, {literal(sql)})"


def _attach(source: PostgresSource, con: duckdb.DuckDBPyConnection) -> None:
    import duckdb

    parameters = source.parameters()
    known = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "DATABASE"}
    secret = ", ".join(f"{known[name]} {literal(str(value))}" for name, value in parameters.items() if name in known)
    rest = " ".join(f"{name}={_conninfo(str(value))}" for name, value in parameters.items() if name not in known)
    # Limits that the server sets for the user would cut a long read; these lift them on the scan's own connections.
    con.execute("SET pg_statement_timeout_millis = 0")
    con.execute("SET pg_idle_in_transaction_timeout_millis = 0")
    try:
        con.execute(f"CREATE OR REPLACE TEMPORARY SECRET {_SECRET} (TYPE postgres, {secret})")
        con.execute(f"ATTACH {literal(rest)} AS {ATTACHED} (TYPE postgres, SECRET {_SECRET}, READ_ONLY)")
    except duckdb.Error as error:
        con.execute(f"DROP SECRET IF EXISTS {_SECRET}")
        text = str(error)
        if faults.is_refused(text) or "does not exist" in text:
            raise faults.refused(source.address, text) from None
        raise faults.unavailable(source.address, text) from None


def _conninfo(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
