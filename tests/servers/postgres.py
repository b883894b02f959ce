"""PostgreSQL from the system's binaries."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg

from tests.servers.process import PASSWORD, Server, ServerMissing, new_name


class PostgresServer(Server):
    """A PostgreSQL with password authentication, a unix socket in its folder, and no fsync: what is committed outlives a killed server, not a power cut."""

    def __init__(self) -> None:
        self.binaries = _binaries()
        super().__init__("postgres")

    def initialise(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        secret.chmod(0o644)
        self.run(
            str(self.binaries / "initdb"),
            *(
                "-D",
                str(self.folder / "data"),
                "-U",
                "plinth",
                "--pwfile",
                str(secret),
                "--auth=scram-sha-256",
            ),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
        )

    def command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "64MB",
            "max_connections": "60",
            "max_wal_size": "512MB",
            "autovacuum": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.binaries / "postgres"), "-D", str(self.folder / "data"), *options]

    def answers(self) -> bool:
        try:
            with self._connect():
                return True
        except psycopg.OperationalError:
            return False

    def url(self, database: str) -> str:
        """The URL of a database, with the password in it."""
        return f"postgresql://plinth:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{quote(database)}"

    def new_database(self, prefix: str = "t") -> str:
        name = new_name(prefix)
        with self._connect() as con:
            con.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop_database(self, url: str) -> None:
        with self._connect() as con:
            con.execute(f'DROP DATABASE IF EXISTS "{urlsplit(url).path[1:]}" WITH (FORCE)')

    def terminate_others(self, database: str) -> int:
        """Terminates every connection to a database, and says how many there were."""
        with self._connect() as con:
            rows = con.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,)
            ).fetchall()
        return len(rows)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="plinth",
            password=PASSWORD,
            dbname="postgres",
            autocommit=True,
            connect_timeout=5,
        )


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    raise ServerMissing("PostgreSQL's server is not installed: apt-get install postgresql mariadb-server")
