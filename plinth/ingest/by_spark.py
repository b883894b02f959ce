"""Whole tables read by Spark over JDBC, and which are.

What belongs here: the choice of the engine with its reason, and the way of Spark's rows to where the load finds them. What does not: what the
sessions are told (`plinth.sources.jdbc`), Spark (`plinth.spark`), and all that comes after the reading, which is the same for every engine: casts,
rejects, rules, quarantine and the commit are DuckDB's, over files that Spark has landed in the table's zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plinth.contracts.model import Table
from plinth.ingest.plan import Plan
from plinth.ingest.read import Opener, Target
from plinth.lakehouse.staged_apart import new_folder, remove_folder
from plinth.platform import Platform
from plinth.profile import Engine

if TYPE_CHECKING:
    import duckdb

    from plinth.sources import Snapshot, Source
    from plinth.sources.address import Address
    from plinth.sources.jdbc.landing import Landing
    from plinth.spark.engine import SparkEngine


@dataclass(frozen=True)
class Choice:
    """What reads a table, and why in words that follow "by"; empty where nothing but DuckDB was asked for."""

    engine: Engine
    reason: str


def asks_for_spark(platform: Platform, table: Table) -> bool:
    """Whether the profile that the table or its source names is one of Spark's. The platform's default one is no such wish: a legacy system has many
    small tables, and each would start a session."""
    name = table.profile or platform.source(table.source).profile
    return name is not None and platform.declared(name).engine == "spark"


def choose(platform: Platform, table: Table, address: Address, plan: Plan) -> Choice:
    """What is to read a table as planned: Spark the whole of those that ask for it, DuckDB everything else."""
    if not asks_for_spark(platform, table):
        return Choice("duckdb", "")
    from plinth.sources.jdbc.address import unreachable

    name = table.profile or platform.source(table.source).profile
    obstacle = unreachable(address)
    if plan.since is not None:
        obstacle = "only what changed is read, which takes less than a session's start"
    elif platform.spark.connects:
        obstacle = "the address goes to Spark with its password, which a Connect server would show in its log and pages"
    if obstacle is not None:
        return Choice("duckdb", f"DuckDB, though the profile {name} is one of Spark: {obstacle}")
    return Choice("spark", f"Spark over JDBC, as the profile {name} says")


def snapshots(source: Source, target: Target, spark: SparkEngine | None) -> Opener:
    """What opens snapshots of the source whose tables Spark reads.

    Args:
        spark: whose session reads; one of this process's own by default.
    """
    from plinth.sources.jdbc.landing import JdbcRead, Landing
    from plinth.spark.engine import SparkEngine
    from plinth.spark.jdbc import land
    from plinth.spark.session import open_session

    platform, table = target.lakehouse.platform, target.table
    profile = platform.profile(table.profile or platform.source(table.source).profile)
    engine = spark or SparkEngine(lambda: open_session(platform, profile))

    def bring(read: JdbcRead, folder: str) -> None:
        land(engine, source.address, read, folder)

    @contextmanager
    def opened(con: duckdb.DuckDBPyConnection, tables: tuple[Table, ...]) -> Iterator[Snapshot]:
        folder = new_folder(target.lakehouse, target.id, table.zone)
        try:
            with _snapshot(source, con, Landing(folder, platform.spark.jdbc_sessions, bring)) as snapshot:
                yield snapshot
        finally:
            remove_folder(folder)

    return opened


@contextmanager
def _snapshot(source: Source, con: duckdb.DuckDBPyConnection, landing: Landing) -> Iterator[Snapshot]:
    from plinth.sources.mysql.source import MySQLSource
    from plinth.sources.postgres.source import PostgresSource

    if isinstance(source, PostgresSource):
        from plinth.sources.jdbc.postgres import open_snapshot

        with open_snapshot(source, con, landing) as snapshot:
            yield snapshot
        return
    assert isinstance(source, MySQLSource), "the choice lets no other through"
    from plinth.sources.jdbc.mysql import open_snapshot as open_statement

    with open_statement(source, con, landing) as snapshot:
        yield snapshot
