"""MariaDB from the system's binaries."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from urllib.parse import quote, urlsplit

import pymysql

from tests.servers.process import PASSWORD, Server, ServerMissing, new_name


class MariaDBServer(Server):
    """A MariaDB with a password for its user, a unix socket in its folder, and no fsync at commit."""

    def __init__(self) -> None:
        self.daemon = _binary("mariadbd")
        self.installer = _binary("mariadb-install-db")
        super().__init__("mysql")
        with self._connect(user="root", unix_socket=str(self.socket)) as con, con.cursor() as cursor:
            cursor.execute("CREATE USER plinth@'127.0.0.1' IDENTIFIED BY %s", (PASSWORD,))
            cursor.execute("CREATE USER plinth@localhost IDENTIFIED BY %s", (PASSWORD,))
            cursor.execute("GRANT ALL ON *.* TO plinth@'127.0.0.1' WITH GRANT OPTION")
            cursor.execute("GRANT ALL ON *.* TO plinth@localhost WITH GRANT OPTION")

    @property
    def socket(self) -> str:
        """Path of the unix socket."""
        return str(self.folder / "s")

    def initialise(self) -> None:
        self.run(
            self.installer,
            *(
                "--no-defaults",
                f"--datadir={self.folder / 'data'}",
                "--auth-root-authentication-method=normal",
            ),
            *("--skip-test-db", "--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=8M"),
        )

    def command(self) -> Sequence[str]:
        return [
            self.daemon,
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--innodb-flush-log-at-trx-commit=2",  # outlives a killed server, not a power cut
            "--innodb-log-file-size=96M",
            "--innodb-buffer-pool-size=128M",
            "--skip-log-bin",
            "--skip-name-resolve",
            "--max-allowed-packet=64M",
        ]

    def answers(self) -> bool:
        try:
            with self._connect(user="root", unix_socket=self.socket):
                return True
        except pymysql.err.OperationalError:
            return False

    def url(self, database: str) -> str:
        """The URL of a database, with the password in it."""
        return f"mariadb://plinth:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{quote(database)}"

    def new_database(self, prefix: str = "t") -> str:
        name = new_name(prefix)
        with self._connect() as con, con.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        name = urlsplit(url).path[1:]
        self.terminate_others(name)
        with self._connect() as con, con.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def terminate_others(self, database: str) -> int:
        """Kills every connection to a database, and says how many there were."""
        with self._connect() as con, con.cursor() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (database,))
            found = [int(row[0]) for row in cursor.fetchall()]
            for number in found:
                # A connection that ended by itself in between is no longer there to be killed.
                cursor.execute(
                    f"BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR 1094 BEGIN END; KILL CONNECTION {number}; END"
                )
        return len(found)

    def _connect(self, **given: str) -> pymysql.connections.Connection:
        address = {"user": "root", "unix_socket": self.socket, **given}
        return pymysql.connect(charset="utf8mb4", autocommit=True, connect_timeout=5, **address)


def _binary(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise ServerMissing(f"{name} is not installed: apt-get install postgresql mariadb-server")
    return found
