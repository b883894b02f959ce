"""Stores of a test's own: in SQLite always, and in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from plinth.online import OnlineStore


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite store that nobody has made yet."""
    return f"sqlite:///{tmp_path / 'online' / 'online.db'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store, once for each kind of database."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_db"))


@pytest.fixture
def store(url: str) -> Iterator[OnlineStore]:
    """An empty store."""
    with OnlineStore.open(url) as opened:
        yield opened
