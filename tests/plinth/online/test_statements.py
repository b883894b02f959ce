"""One SQL for three databases: every statement compiles for each, and keeps to what CockroachDB has."""

from __future__ import annotations

import dataclasses
import re

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import ClauseElement

from plinth.errors import ConfigurationError
from plinth.online import Document, OnlineStore
from plinth.online.address import CockroachDialect, parse_address
from plinth.online.schema import metadata
from plinth.online.statements import READS, writes
from tests.plinth.online.appending import event

# What CockroachDB refuses, ignores or does otherwise, from its documentation of PostgreSQL compatibility ("Unsupported features",
# "Features that differ"): advisory locks are no-ops, sequences and SERIAL give no order, LOCK TABLE, triggers' row movement, CTID,
# stored locks and exclusion constraints are missing, and XMIN has no meaning.
REFUSED = (
    r"advisory", r"\block\s+table\b", r"\bserial\b", r"\bbigserial\b", r"nextval", r"\bctid\b", r"\bxmin\b", r"\bexclude\b", r"\btrigger\b",
    r"\btablesample\b", r"\blisten\b", r"\bnotify\b", r"\bcreate\s+(type|domain|rule|extension)\b", r"\bmerge\s+into\b", r"generated\s+.*identity",
    r"\bdeferrable\b", r"\bfor\s+(update|share)\s+.*skip\s+locked", r"\bon\s+constraint\b", r"\bcopy\b", r"\bunlogged\b", r"\bcollate\b",
)  # fmt: skip
DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.psycopg.dialect(),  # type: ignore[no-untyped-call]
    "cockroachdb": CockroachDialect(),
}


def statements(dialect: str) -> dict[str, ClauseElement]:
    """Everything that the store runs against a database, by name."""
    found: dict[str, ClauseElement] = dict(READS)
    made = writes(dialect)
    found |= {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
    for table in metadata.sorted_tables:
        found[f"create {table.name}"] = CreateTable(table, if_not_exists=True)
        found |= {f"create {index.name}": CreateIndex(index, if_not_exists=True) for index in table.indexes}
    return found


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_statement_compiles(dialect: str) -> None:
    for name, statement in statements(dialect).items():
        assert str(statement.compile(dialect=DIALECTS[dialect])), name


def test_nothing_uses_what_cockroachdb_does_not_have() -> None:
    for name, statement in statements("cockroachdb").items():
        text = str(statement.compile(dialect=DIALECTS["cockroachdb"])).lower()
        assert [pattern for pattern in REFUSED if re.search(pattern, text)] == [], name


def test_the_three_databases_run_the_same_text_but_for_types_and_parameters() -> None:
    def plain(dialect: str, name: str) -> str:
        text = str(statements(dialect)[name].compile(dialect=DIALECTS[dialect]))
        for pattern, by in (
            (r"::\w+", ""),
            (r'\s+COLLATE "C"', ""),
            (r"%\(\w+\)s", "?"),
            (r'"', ""),
            (r"\s+", " "),
            (r" ?LIMIT", " LIMIT"),
        ):
            text = re.sub(pattern, by, text)
        return text.replace("RETURNING online_counters.", "RETURNING ").strip()

    for name in statements("sqlite"):
        if not name.startswith("create"):
            assert plain("sqlite", name) == plain("postgresql", name) == plain("cockroachdb", name), name


def test_every_table_has_a_primary_key() -> None:
    assert [table.name for table in metadata.sorted_tables if not table.primary_key.columns] == []


def test_a_pointer_is_never_turned_back_by_an_older_change() -> None:
    for dialect in DIALECTS:
        text = str(writes(dialect).point.compile(dialect=DIALECTS[dialect]))  # type: ignore[attr-defined]
        assert "ON CONFLICT (slot) DO UPDATE" in text
        assert "WHERE online_current.change < excluded.change" in text


def test_cockroachdb_is_reached_by_psycopg_and_its_version_text_is_not_parsed() -> None:
    engine = parse_address("cockroachdb://root@127.0.0.1:26257/plinth").engine()
    assert isinstance(engine.dialect, CockroachDialect)
    assert engine.dialect.driver == "psycopg"
    assert engine.dialect._get_server_version_info(None) == (13, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["mysql://u@h/d", "sqlite://", "sqlite:///:memory:", "no url", ""])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_address(url)


def test_an_address_is_shown_without_its_password() -> None:
    address = parse_address("postgresql://plinth:s3cr3t%2F@db/online?sslmode=require&password=other")
    assert address.url.password == make_url("postgresql://plinth:s3cr3t%2F@db/online").password
    assert "s3cr3t" not in address.text
    assert "other" not in address.text


@pytest.mark.slow
def test_what_is_compiled_for_cockroachdb_runs_by_its_dialect_against_a_server_of_the_same_protocol(
    postgres_db: str,
) -> None:
    # A stand-in: PostgreSQL takes the same statements. What CockroachDB itself would refuse is held by the list above.
    with OnlineStore.open(postgres_db.replace("postgresql://", "cockroachdb://")) as store:
        for number in range(3):
            store.publish([Document("list", "1", b"%d" % number), Document("list", f"only {number}", b"")], inputs={})
        assert store.rollback().id == 2
        assert store.prune(1) == 1
        assert store.read_many("list", ["1", "only 0", "only 1", "only 2"]) == {"1": b"1", "only 1": b""}
        assert store.append_events([event("a"), event("a")]).repeated == ["a"]
        assert [each.event_id for each in store.events()] == ["a"]
        assert [key for key, _ in store.scan("list", None)] == ["1", "only 1"]
