"""Where a legacy system is: a URL taken apart, and its text without the secret.

What belongs here: the URL forms that users write. What does not: connecting (each source has its own way).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from plinth.errors import ConfigurationError

_DIALECTS = {"postgres": "postgresql", "mariadb": "mysql", "sqlite3": "sqlite"}
_FORMS = "sqlite:///file, postgresql://user@host:port/database, mysql://…, mariadb://…, or any SQLAlchemy URL"


@dataclass(frozen=True)
class Address:
    """A source's URL in parts; the password never shows in its repr or its text.

    Attributes:
        dialect: `postgresql`, `mysql` (MariaDB too), `sqlite`, or SQLAlchemy's name of another database.
        driver: the part after `+`, e.g. `psycopg`; None where the URL names none.
        host: host name, or the folder of a unix socket (`?host=/run/postgresql`, `?unix_socket=/run/mysqld/mysqld.sock`).
        database: name of the database; for SQLite the path of the file.
        options: what stands behind the question mark, without host and unix_socket.
    """

    dialect: str
    driver: str | None
    host: str | None
    port: int | None
    user: str | None
    password: str | None = field(repr=False)
    database: str
    options: Mapping[str, str]
    url: str = field(repr=False)

    @property
    def socket(self) -> bool:
        """Whether `host` is a path of a unix socket."""
        return self.host is not None and self.host.startswith("/")

    def __str__(self) -> str:
        if self.dialect == "sqlite":
            return f"sqlite:///{self.database}"
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.dialect}://{user}{self.host or ''}{port}/{self.database}"

    def redact(self, text: str) -> str:
        """A driver's message without the password, in whatever spelling it repeats it."""
        if not self.password:
            return text
        plain = self.password
        escaped = plain.replace("\\", "\\\\").replace("'", "\\'")
        for secret in {plain, escaped, plain.replace("'", "''"), quote(plain), quote(plain, safe="")}:
            text = text.replace(secret, "***")
        return text


def parse_address(url: str) -> Address:
    """Takes a URL apart.

    Raises:
        ConfigurationError: it is no URL of a database, or its port is no number.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or not scheme:
        raise ConfigurationError("a source's address is no URL", expected=_FORMS, found=repr(scheme[:20]))
    name, _, driver = scheme.lower().partition("+")
    dialect = _DIALECTS.get(name, name)
    if dialect == "sqlite":
        return _sqlite(url, driver or None)
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise ConfigurationError(
            "the port of a source's address is no number", expected=_FORMS, where=f"{scheme}://{parts.hostname or ''}"
        ) from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    host = options.pop("host", None) or options.pop("unix_socket", None) or parts.hostname
    return Address(
        dialect,
        driver or None,
        unquote(host) if host else None,
        port,
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        unquote(parts.path.removeprefix("/")),
        MappingProxyType(options),
        url,
    )


def _sqlite(url: str, driver: str | None) -> Address:
    path, _, query = url.partition("://")[2].partition("?")
    if not path.startswith("/") or path == "/":
        raise ConfigurationError(
            "an SQLite address names no file", expected="sqlite:///relative.db or sqlite:////absolute.db", found=url
        )
    return Address("sqlite", driver, None, None, None, None, path[1:], MappingProxyType(dict(parse_qsl(query))), url)
