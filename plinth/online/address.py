"""From a URL to a database that the store can use: which dialect, which driver, which settings of the connection.

CockroachDB speaks PostgreSQL's protocol, and psycopg reaches it. SQLAlchemy's dialect only has to be told that its version text is another
one, and that types which CockroachDB does not have need not be looked up.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from plinth.errors import ConfigurationError

BUSY_SECONDS = 5.0
"""How long SQLite waits for another writer; a batch of a publish holds the file for some milliseconds."""

_ANSWER_SECONDS = 5
_PRAGMAS = (
    # Readers see the last commit and never wait for the writer.
    "PRAGMA journal_mode = WAL",
    # The log is on the disk before a commit answers: an event that was accepted outlives a power cut.
    "PRAGMA synchronous = FULL",
    # A publish of everything writes a long log; once it is worked in, its file is cut back.
    "PRAGMA journal_size_limit = 67108864",
    # Never mapped into memory: a file that is truncated under a map ends the process with SIGBUS, and a read costs half a microsecond less.
    "PRAGMA cache_size = -16384",
    "PRAGMA mmap_size = 0",
)
_SCHEMES = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "cockroachdb": "cockroachdb+plinth",
    "cockroach": "cockroachdb+plinth",
}


class CockroachDialect(PGDialect_psycopg):
    """PostgreSQL's dialect over psycopg, for a server that says it is CockroachDB."""

    name = "cockroachdb"
    supports_statement_cache = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "use_native_hstore": False})  # type: ignore[no-untyped-call]

    def _get_server_version_info(self, connection: Connection) -> tuple[int, ...]:
        # It follows PostgreSQL 13 in what it says of itself (`SHOW server_version`).
        return (13, 0)


registry.register("cockroachdb.plinth", "plinth.online.address", "CockroachDialect")


@dataclass(frozen=True)
class Address:
    """Where a store is. `text` is for people and never holds a password; `file` is the path of an SQLite store."""

    url: URL
    text: str
    file: Path | None

    def place(self) -> tuple[int, int] | None:
        """Tells the file that lies here now from any other; None for a server, or where there is no file."""
        if self.file is None:
            return None
        try:
            found = os.stat(self.file)
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def engine(self) -> Engine:
        """The engine whose transactions write, all of them serialisable."""
        if self.file is not None:
            engine = create_engine(self.url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        return create_engine(
            self.url, isolation_level="SERIALIZABLE", pool_pre_ping=True, pool_size=4, connect_args=connect_options()
        )


def parse_address(url: str) -> Address:
    """The address that a URL stands for.

    Raises:
        ConfigurationError: it is no URL, or of a database that the store does not know.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError("stores.online is no URL", expected="sqlite:///path or postgresql://…") from None
    scheme = parsed.drivername.split("+")[0]
    if scheme not in _SCHEMES:
        raise ConfigurationError(
            "the online store cannot be kept in this database",
            expected="sqlite:///path, postgresql://… or cockroachdb://…",
            found=f"{parsed.drivername}://…",
            where="platform.yaml, stores.online",
        )
    if scheme == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigurationError(
            "the online store needs a file: several processes share it",
            expected="sqlite:///path",
            found=url,
            where="platform.yaml, stores.online",
        )
    chosen = parsed.set(drivername=_SCHEMES[scheme])
    shown = parsed.set(password=None, query={}).render_as_string()
    return Address(chosen, shown, Path(str(parsed.database)).absolute() if scheme == "sqlite" else None)


def connect_options() -> dict[str, Any]:
    """Settings of a connection to a server: a server that does not answer is found out in seconds, not when TCP gives up."""
    return {
        "connect_timeout": _ANSWER_SECONDS,
        "keepalives_idle": _ANSWER_SECONDS,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": _ANSWER_SECONDS * 1000,
        "application_name": "plinth-online",
    }


def _begin_sqlite(connection: Connection) -> None:
    # A file that was truncated or written over in place looks whole to who has its pages in memory, and what is added to them is lost with
    # it. Without them each transaction reads what it adds to, and SQLite sees that it is no page of its own.
    connection.exec_driver_sql("PRAGMA shrink_memory")
    # The lock is taken at the beginning: a reading transaction that begins to write may not be able to, and cannot wait.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_sqlite(connection: Any, record: object) -> None:
    # The driver's own BEGIN would come before the first write only, and hide the transaction's beginning from the listener above.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def prepare_reader(connection: Any) -> None:
    """Sets up an SQLite connection that only reads."""
    for pragma in (*_PRAGMAS[3:], "PRAGMA query_only = ON"):
        connection.execute(pragma)
