"""Dagster's history (runs, events, sensor cursors) in PostgreSQL instead of files, by `stores.history_env`.

What belongs here: the lines that `dagster.yaml` gets for it, and a look whether the database is there before Dagster opens it. What does not:
Dagster itself, which makes its tables when it first opens the database.
"""

from __future__ import annotations

import importlib.util
from urllib.parse import urlsplit

from plinth.errors import ConfigurationError, HistoryUnavailable
from plinth.platform import Platform

_ANSWER_SECONDS = 5
# Dagster speaks psycopg2's dialect, and SQLAlchemy 2.1 takes a plain postgresql:// for psycopg 3, which refuses Dagster's NOTIFY with a
# parameter: the first run fails with a syntax error (tried with dagster-postgres 0.29.27 and SQLAlchemy 2.1.9).
_SCHEME = "postgresql+psycopg2"


def history_settings(platform: Platform) -> str:
    """What is added to `dagster.yaml`: nothing, or the storage with the name of the variable, never its value.

    Raises:
        ConfigurationError: the variable is not set, holds no PostgreSQL URL, or the extra is not installed.
        HistoryUnavailable: the database did not answer.
    """
    url = platform.history_url()
    if url is None:
        return ""
    _look(url, platform.stores.history_env or "")
    return f"\nstorage:\n  postgres:\n    postgres_url: {{env: {platform.stores.history_env}}}\n"


def _look(url: str, variable: str) -> None:
    where = f"the environment variable {variable}, named in platform.yaml, stores.history_env"
    if urlsplit(url).scheme != _SCHEME:
        raise ConfigurationError(
            "Dagster's history can be in PostgreSQL only",
            expected=f"{_SCHEME}://user:password@host:5432/database, with the driver in it",
            found=f"{urlsplit(url).scheme}://…",
            where=where,
            remedy="set it to such a URL, or leave history_env out to keep the history in files",
        )
    if importlib.util.find_spec("dagster_postgres") is None:
        raise ConfigurationError(
            "Dagster's library for PostgreSQL is not installed",
            expected="the extra postgres",
            where=where,
            remedy="install requirements/postgres.lock into this environment",
        )
    import psycopg

    try:
        psycopg.connect(url.replace(_SCHEME, "postgresql", 1), connect_timeout=_ANSWER_SECONDS).close()
    except psycopg.OperationalError as error:
        password = urlsplit(url).password
        said = str(error).strip()
        raise HistoryUnavailable(
            "the database of Dagster's history did not let us in",
            found=said.replace(password, "…") if password else said,
            where=where,
            remedy="look whether it runs, and whether user, password and database are right; then run again",
        ) from None
