"""What the tests stand on: real servers, fresh databases, the shared real data.

A server starts when the first test asks for it and serves the whole session; under `pytest -n` each process has servers of its own, on
ports and in folders that nobody else has. `*_url` is one empty database of the session, `*_db` a database of one test's own, dropped after it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import plinth  # noqa: F401  # before a test imports scikit-learn: threads that wait must not spin
from tests.scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler
from tests.servers import MariaDBServer, MlflowServer, PostgresServer, S3Server, ServerMissing

__all__ = ["pytest_collection_modifyitems", "pytest_xdist_make_scheduler"]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL that can be killed and restarted; whoever kills it restarts it."""
    try:
        server = PostgresServer()
    except ServerMissing as missing:
        pytest.skip(str(missing))
    yield server
    server.close()


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDBServer]:
    """A MariaDB that can be killed and restarted; whoever kills it restarts it."""
    try:
        server = MariaDBServer()
    except ServerMissing as missing:
        pytest.skip(str(missing))
    yield server
    server.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server that can be killed and restarted; whoever kills it restarts it."""
    pytest.importorskip("obstore", reason="the extra objects is not installed: requirements/objects.lock")
    try:
        server = S3Server()
    except ServerMissing as missing:
        pytest.skip(str(missing))
    yield server
    server.close()


@pytest.fixture(scope="session")
def mlflow_server() -> Iterator[MlflowServer]:
    """An MLflow tracking server that can be killed and restarted; models of all its tests stand in it."""
    try:
        server = MlflowServer()
    except ServerMissing as missing:
        pytest.skip(str(missing))
    yield server
    server.close()


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket of this test's own, and the credentials for it in the environment."""
    # What a platform makes known stays known to its process; the next test's connections shall not ask this bucket's server.
    monkeypatch.setattr("plinth.objects.stores._KNOWN", {})
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server.new_bucket()


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    """An empty PostgreSQL database that lives as long as the session."""
    return postgres_server.new_database("session")


@pytest.fixture(scope="session")
def mariadb_url(mariadb_server: MariaDBServer) -> str:
    """An empty MariaDB database that lives as long as the session."""
    return mariadb_server.new_database("session")


@pytest.fixture
def postgres_db(postgres_server: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database of this test's own."""
    url = postgres_server.new_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def mariadb_db(mariadb_server: MariaDBServer) -> Iterator[str]:
    """A MariaDB database of this test's own."""
    url = mariadb_server.new_database()
    yield url
    mariadb_server.drop_database(url)


@pytest.fixture
def sqlite_db(tmp_path: Path) -> str:
    """The URL of an SQLite file of this test's own; the file is made by whoever writes first."""
    return f"sqlite:///{tmp_path / 'legacy.sqlite'}"


@pytest.fixture(scope="session")
def plinth_data() -> Path:
    """The folder of shared real data: PLINTH_DATA, or ../shared/data beside the repository."""
    named = os.environ.get("PLINTH_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "online_retail_ii.parquet").exists():
        pytest.skip(
            f"no real data in {folder}: set PLINTH_DATA to the folder that holds online_retail_ii.parquet (UCI 502)"
        )
    return folder
