"""What errors of DuckDB mean when a legacy system is read.

What belongs here: telling a cast that failed, a connection that was cut and a table that cannot be read apart, from DuckDB's error
classes and the scanners' texts. What does not: errors of the Python drivers (each source knows its own).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from plinth.errors import PlinthError, SourceUnavailable, SourceUnreadable

if TYPE_CHECKING:
    from plinth.contracts.model import Table
    from plinth.sources.address import Address

# Texts of libpq, the MySQL client, SQLite and the scanners when the other side is not there (any more).
_CUT = (
    "server closed the connection", "terminating connection", "could not connect", "unable to connect", "failed to connect",
    "connection refused", "connection reset", "no connection to the server", "could not receive data", "could not send data",
    "ssl connection has been closed", "ssl syscall", "broken pipe", "timeout expired", "timed out", "lost connection",
    "server has gone away", "can't connect", "no route to host", "network is unreachable", "could not translate host name",
    "name or service not known", "unknown server host", "unknown mysql server host", "too many connections", "too many clients",
    "the database system is starting up", "the database system is shutting down", "the database system is in recovery mode",
    "connection was killed", "query execution was interrupted", "max_statement_time", "server shutdown", "remaining connection slots",
    "database is locked", "database is busy", "disk i/o error", "unable to read binary copy data", "no connection available",
    "statement timeout", "idle-in-transaction timeout", "canceling statement", "failed to fetch result row", "deadlock found",
    "lock wait timeout", "unable to open database file", "out of buffer in read", "expected postgres binary copy header",
)  # fmt: skip
_REFUSED = ("password authentication failed", "access denied", "no pg_hba.conf entry", "permission denied")
_CASTS = ("invalid unicode", "invalid utf", "valid utf", "mismatch type error", "expected an array with")


def is_cut(text: str) -> bool:
    """Whether an error's text says that the other side did not answer."""
    lower = text.lower()
    return any(part in lower for part in _CUT)


def is_refused(text: str) -> bool:
    """Whether an error's text says that the other side answered and refused."""
    lower = text.lower()
    return any(part in lower for part in _REFUSED)


def unavailable(address: Address, text: str, *, what: str = "") -> SourceUnavailable:
    """The error for a system that does not answer, or stopped answering."""
    return SourceUnavailable(
        what or "the legacy system did not answer, or the connection was cut; nothing was published",
        expected="an answer",
        found=address.redact(_first_lines(text)),
        where=address,
        remedy="see that the system is up and reachable from here; the next try reads from the start",
    )


def refused(address: Address, text: str) -> SourceUnreadable:
    """The error for a system that does not let the platform's user in or read."""
    return SourceUnreadable(
        "the legacy system refused the platform's user",
        expected="a user that may connect and SELECT",
        found=address.redact(_first_lines(text)),
        where=address,
        remedy="mend user, password (url_env or password_env in platform.yaml) or the user's grants",
    )


def explain(address: Address, error: Exception, table: Table | None) -> PlinthError:
    """What an error of DuckDB or a driver means; a PlinthError is handed back as it is."""
    if isinstance(error, PlinthError):
        return error
    text = str(error)
    if is_refused(text):  # first, since a refusal at the door comes in the words of a failed connection
        return refused(address, text)
    if is_cut(text):
        return unavailable(address, text)
    name = f"the table {table.physical_name}" if table is not None else "the legacy system"
    return SourceUnreadable(
        f"{name} could not be read",
        expected="rows as the contract describes them",
        found=address.redact(f"{type(error).__name__}: {_first_lines(text)}"),
        where=address,
        remedy="compare contract and database: plinth contract check",
    )


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """Lets errors of DuckDB leave as what they mean: ConversionException for every kind of failed cast, PlinthError for a cut
    connection; what says nothing about the source leaves as it is."""
    import duckdb

    try:
        yield
    except duckdb.ConversionException:
        raise
    except duckdb.Error as error:
        text = str(error)
        if any(part in text.lower() for part in _CASTS):
            raise duckdb.ConversionException(text) from error
        if is_cut(text) or is_refused(text):
            raise explain(address, error, None) from error
        raise


def _first_lines(text: str) -> str:
    lines = [
        line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("LINE ", "^"))
    ]
    return "; ".join(lines[:3])
