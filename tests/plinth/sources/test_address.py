"""Addresses are taken apart without loss, and their passwords never show."""

from __future__ import annotations

import pytest

from plinth.errors import ConfigurationError, DriverMissing
from plinth.sources import open_url
from plinth.sources.address import parse_address


def test_user_password_host_port_and_database_come_decoded() -> None:
    address = parse_address("postgresql://us%40er:p%2Fw%3A%C3%B6@db.example:6543/my%20db?sslmode=require")
    assert (address.dialect, address.user, address.password) == ("postgresql", "us@er", "p/w:ö")
    assert (address.host, address.port, address.database) == ("db.example", 6543, "my db")
    assert dict(address.options) == {"sslmode": "require"}


@pytest.mark.parametrize(
    ("url", "dialect", "driver"),
    [
        ("postgres://h/d", "postgresql", None),
        ("postgresql+psycopg://h/d", "postgresql", "psycopg"),
        ("mariadb://h/d", "mysql", None),
        ("mysql+pymysql://h/d", "mysql", "pymysql"),
        ("mssql+pymssql://h/d", "mssql", "pymssql"),
        ("oracle+oracledb://h/?service_name=x", "oracle", "oracledb"),
    ],
)
def test_every_spelling_of_a_dialect_is_understood(url: str, dialect: str, driver: str | None) -> None:
    address = parse_address(url)
    assert (address.dialect, address.driver) == (dialect, driver)


def test_a_unix_socket_is_a_host_that_is_a_path() -> None:
    assert parse_address("postgresql://u@/db?host=/run/postgresql").host == "/run/postgresql"
    assert parse_address("mysql://u@/db?unix_socket=/run/mysqld/s.sock").socket
    assert not parse_address("mysql://u@h/db").socket


def test_sqlite_paths_are_relative_with_three_slashes_and_absolute_with_four() -> None:
    assert parse_address("sqlite:///data/a.db").database == "data/a.db"
    assert parse_address("sqlite:////srv/a b%20.db").database == "/srv/a b%20.db"


@pytest.mark.parametrize("url", ["", "legacy.db", "postgresql://h:port/db", "sqlite://", "sqlite:///"])
def test_what_is_no_address_is_refused_with_the_forms_that_are(url: str) -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///"):
        parse_address(url)


@pytest.mark.parametrize("password", ["s3cr3t", "it's", "a\\b", "ö/ü", "p@ss w%rd"])
def test_a_password_never_shows(password: str) -> None:
    from urllib.parse import quote

    address = parse_address(f"mysql://u:{quote(password, safe='')}@h/d")
    assert password not in str(address)
    assert password not in repr(address)
    said = f"failed: host=h password='{password}' url mysql://u:{quote(password, safe='')}@h"
    assert password not in address.redact(said)
    assert quote(password, safe="") not in address.redact(said)


@pytest.mark.parametrize(("url", "extra"), [("mssql://u@h/d", "mssql"), ("oracle://u@h/d", "oracle")])
def test_a_missing_driver_names_the_extra_that_brings_it(url: str, extra: str) -> None:
    import importlib.util

    module = "pymssql" if "mssql" in url else "oracledb"
    if importlib.util.find_spec(module):
        pytest.skip(f"{module} is installed here; the message shows where it is not")
    with pytest.raises(DriverMissing) as caught:
        open_url(url)
    said = str(caught.value)
    assert f"requirements/databases.lock, which has the extra {extra}," in said
    assert "pip install 'plinth" not in said, "of that name an index may have anything"


def test_a_database_that_sqlalchemy_does_not_know_is_named() -> None:
    with pytest.raises(DriverMissing, match="nonesuch"):
        open_url("nonesuch://u@h/d")
