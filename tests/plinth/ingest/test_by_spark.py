"""Which tables Spark reads: whole ones of a profile that somebody named for them; everything else is DuckDB's, with the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from plinth.ingest.by_spark import choose
from plinth.ingest.plan import Plan
from plinth.platform import Platform
from plinth.profile import Profile
from plinth.sources.address import parse_address
from plinth.sources.jdbc.address import endpoint
from plinth.spark_settings import Spark

from .conftest import ORDERS, make_platform

BIG = Profile(cpu=2, memory=2**30, engine="spark")
WHOLE, INCREMENT = Plan(None, "first load", "c"), Plan("2024-01-01", "", "c")
POSTGRES = "postgresql://u:p@host/db"


def platform(tmp_path: Path, **changes: object) -> Platform:
    made = make_platform(tmp_path, "sqlite:///x")
    return made.model_copy(update={"profiles": {**made.profiles, "big": BIG}, **changes})


def test_a_profile_of_spark_reads_whole_tables_by_spark(tmp_path: Path) -> None:
    table = replace(ORDERS, profile="big")
    for url in (POSTGRES, "mysql://u:p@host/db", "mariadb://u:p@host/db?ssl_ca=/ca.pem", f"{POSTGRES}?sslmode=require"):
        choice = choose(platform(tmp_path), table, parse_address(url), WHOLE)
        assert (choice.engine, choice.reason) == ("spark", "Spark over JDBC, as the profile big says")


def test_the_profile_of_the_source_counts_and_the_default_one_does_not(tmp_path: Path) -> None:
    default = platform(tmp_path, default_profile="big")
    assert choose(default, ORDERS, parse_address(POSTGRES), WHOLE).engine == "duckdb"
    source = default.sources["shop"].model_copy(update={"profile": "big"})
    named = platform(tmp_path, sources={"shop": source})
    assert choose(named, ORDERS, parse_address(POSTGRES), WHOLE).engine == "spark"


@pytest.mark.parametrize(
    ("url", "plan", "spark", "why"),
    [
        (POSTGRES, INCREMENT, Spark(), "only what changed is read"),
        (POSTGRES, WHOLE, Spark(remote="sc://host:15002"), "a Connect server would show"),
        ("sqlite:////x.db", WHOLE, Spark(), "of sqlite nothing is read by JDBC"),
        ("oracle://u:p@host/db", WHOLE, Spark(), "of oracle nothing is read by JDBC"),
        ("postgresql://u:p@/db?host=/run/postgresql", WHOLE, Spark(), "unix socket"),
        (f"{POSTGRES}?sslkey=/key.pem", WHOLE, Spark(), "does not know sslkey"),
    ],
)
def test_what_spark_does_not_read_is_duckdbs_with_the_reason(
    tmp_path: Path, url: str, plan: Plan, spark: Spark, why: str
) -> None:
    choice = choose(platform(tmp_path, spark=spark), replace(ORDERS, profile="big"), parse_address(url), plan)
    assert choice.engine == "duckdb" and "DuckDB, though the profile big is one of Spark" in choice.reason
    assert why in choice.reason


def test_an_address_for_the_driver_holds_no_secret_but_in_its_properties() -> None:
    made = endpoint(parse_address("postgresql://me:s3cret@[::1]:5433/a%20b?sslmode=require&application_name=x"))
    assert made.url == "jdbc:postgresql://[::1]:5433/a%20b"
    assert (made.properties["user"], made.properties["password"], made.properties["sslmode"]) == (
        "me",
        "s3cret",
        "require",
    )
    assert made.properties["ApplicationName"] == "x" and "s3cret" not in repr(made)
    assert endpoint(parse_address("mariadb://me@host/db?ssl_ca=/ca")).properties["sslMode"] == "verify-ca"
