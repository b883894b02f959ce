"""What can be read: legacy databases, described, watched for change, and read within one consistent snapshot.

What belongs here: catalogues, types, snapshots and probes of each dialect. What does not: contracts (`plinth.contracts`) and what is
done with the rows (`plinth.ingest`). PostgreSQL, MySQL/MariaDB and SQLite are read by DuckDB's scanners, every other database that
SQLAlchemy knows in batches; whole tables of the first two also by sessions of Spark (`jdbc`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plinth.sources.snapshot import REJECTS, BronzeColumn, Relation, Snapshot, Watermark
from plinth.sources.source import Probe, Source

if TYPE_CHECKING:
    from plinth.platform import Platform

__all__ = ["REJECTS", "BronzeColumn", "Probe", "Relation", "Snapshot", "Source", "Watermark", "open_source", "open_url"]


def open_source(name: str, platform: Platform) -> Source:
    """The source `name` of `platform.yaml`; nothing is connected yet.

    Raises:
        ConfigurationError: there is no such source, its URL is wrong, or an environment variable is missing.
        DriverMissing: the database's driver is not installed.
    """
    return open_url(platform.source_url(name))


def open_url(url: str, *, force_batches: bool = False) -> Source:
    """The source at a URL; nothing is connected yet.

    Args:
        url: `sqlite:///…`, `postgresql://…`, `mysql://…`, `mariadb://…`, or any SQLAlchemy URL. Unix sockets: `?host=/folder`.
        force_batches: read through SQLAlchemy also where DuckDB has a scanner.

    Raises:
        ConfigurationError: it is no such URL.
        DriverMissing: the database's driver is not installed.
    """
    from plinth.sources.address import parse_address

    address = parse_address(url)
    if not force_batches:
        if address.dialect == "postgresql":
            from plinth.sources.postgres.source import PostgresSource

            return PostgresSource(address)
        if address.dialect == "mysql":
            from plinth.sources.mysql.source import MySQLSource

            return MySQLSource(address)
        if address.dialect == "sqlite":
            from plinth.sources.sqlite.source import SQLiteSource

            return SQLiteSource(address)
    from plinth.sources.batches.source import BatchSource

    return BatchSource(address)
