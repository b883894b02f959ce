"""Ways to write into a test database, whatever its engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import psycopg

from tests.plinth.sources.test_mariadb_types import cursor_of

Writer = Callable[..., None]
"""Runs SQL statements in turn, each committed."""

_SQLITE = """
import sqlite3, sys
con = sqlite3.connect(sys.argv[1], timeout=float(sys.argv[2]), isolation_level=None)
try:
    for statement in sys.argv[3:]:
        con.execute(statement)
except sqlite3.OperationalError as error:
    sys.exit(str(error))
"""


def writer(url: str) -> Writer:
    """A writer for the database at a URL."""
    if url.startswith("sqlite"):
        return sqlite_writer(url.removeprefix("sqlite:///"))
    return postgres_writer(url) if url.startswith("postgres") else mariadb_writer(url)


def sqlite_writer(path: str, patience: float = 0.0) -> Writer:
    """Writes from another process: two SQLite libraries in one process undo each other's locks."""

    def run(*statements: str) -> None:
        command = [sys.executable, "-c", _SQLITE, path, str(patience), *statements]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BlockingIOError(done.stderr)

    return run


def postgres_writer(url: str) -> Writer:
    """Writes by psycopg."""

    def run(*statements: str) -> None:
        with psycopg.connect(url, autocommit=True) as con:
            for statement in statements:
                con.execute(statement.encode())

    return run


def mariadb_writer(url: str) -> Writer:
    """Writes by PyMySQL, in a session that lets every value in."""

    def run(*statements: str) -> None:
        with cursor_of(url) as cursor:
            for statement in statements:
                cursor.execute(statement)

    return run
