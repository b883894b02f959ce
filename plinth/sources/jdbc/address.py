"""An address in JDBC's words, and what JDBC cannot reach.

What belongs here: which options of an address the drivers know, and under which name. What does not: the sessions' own settings (each dialect's module).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from plinth.sources.address import Address
from plinth.spark_settings import MARIADB_DRIVER, POSTGRES_DRIVER

# libpq's names, and PyMySQL's, in those of the drivers. A client's key has to be in another format there, so it is none of them.
_POSTGRES = {
    "sslmode": "sslmode",
    "sslrootcert": "sslrootcert",
    "application_name": "ApplicationName",
    "connect_timeout": "connectTimeout",
    "options": "options",
}
_MYSQL = {"ssl_ca": "serverSslCert"}
_OPTIONS = {"postgresql": _POSTGRES, "mysql": _MYSQL}
_CONNECT_SECONDS = "10"
_LOCK_WAIT = "30s"
"""Somebody who waits for a table of PostgreSQL, because our transaction holds it, makes every later session wait: without an end, for ours, which waits for
them. It holds for the session that asks for the columns' types as well, which Spark opens with nothing of its own."""


@dataclass(frozen=True)
class Endpoint:
    """Where a driver connects.

    Attributes:
        url: without user and password, which stand in `properties`.
        driver: the driver's class; `package` are the Maven coordinates of its jar.
    """

    url: str
    driver: str
    package: str
    properties: Mapping[str, str] = field(repr=False)


def unreachable(address: Address) -> str | None:
    """Why JDBC does not read from this address, in words that follow a colon; None where it does."""
    if address.dialect not in _OPTIONS:
        return f"of {address.dialect} nothing is read by JDBC, only of PostgreSQL, MySQL and MariaDB"
    if address.socket or address.host is None:
        return "the address is a unix socket, and JDBC knows hosts only"
    unknown = sorted(set(address.options) - set(_OPTIONS[address.dialect]))
    if unknown:
        return f"the driver of JDBC does not know {', '.join(unknown)} of the address"
    return None


def endpoint(address: Address) -> Endpoint:
    """The address for the driver; only of one that is reachable, see `unreachable`."""
    given = {_OPTIONS[address.dialect][name]: value for name, value in address.options.items()}
    login = {"user": address.user, "password": address.password}
    given |= {name: value for name, value in login.items() if value is not None}
    host = f"[{address.host}]" if ":" in (address.host or "") else address.host
    if address.dialect == "postgresql":
        own = {"connectTimeout": _CONNECT_SECONDS, "ApplicationName": "plinth", "tcpKeepAlive": "true"}
        given["options"] = f"{given.get('options', '')} -c lock_timeout={_LOCK_WAIT}".strip()
        url = f"jdbc:postgresql://{host}:{address.port or 5432}/{_path(address.database)}"
        return Endpoint(url, "org.postgresql.Driver", POSTGRES_DRIVER, MappingProxyType(own | given))
    own = {
        "connectTimeout": f"{_CONNECT_SECONDS}000",
        "tinyInt1isBit": "false",
        "yearIsDateType": "false",
        "tcpKeepAlive": "true",
        # As the drivers of the other ways do, for MySQL's own kind of passwords over an address without TLS.
        "allowPublicKeyRetrieval": "true",
    }
    if "ssl_ca" in address.options:
        own["sslMode"] = "verify-ca"
    # Spark knows by this scheme how MySQL quotes; MariaDB's driver takes it where the address says so.
    url = f"jdbc:mysql://{host}:{address.port or 3306}/{_path(address.database)}?permitMysqlScheme"
    return Endpoint(url, "org.mariadb.jdbc.Driver", MARIADB_DRIVER, MappingProxyType(own | given))


def _path(database: str) -> str:
    from urllib.parse import quote

    return quote(database, safe="")
