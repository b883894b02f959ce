"""The commands over a store: versions, rollback, show, prune."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from plinth.cli import app
from plinth.online import Document, OnlineStore

INPUT = "features/a_view_with_a_long_name"
PLATFORM = """
zones: {here: {root: data, clearance: [public, internal]}}
layers: {bronze: here, silver: here, gold: here, serving: here, ops: here}
profiles: {small: {cpu: 1, memory: 256MiB}}
default_profile: small
stores: {online: "sqlite:///online.db"}
"""


@pytest.fixture
def platform(tmp_path: Path) -> Path:
    """Settings with a store of two versions."""
    file = tmp_path / "platform.yaml"
    file.write_text(PLATFORM, encoding="utf-8")
    with OnlineStore.open(f"sqlite:///{tmp_path / 'online.db'}") as store:
        for number in (1, 2):
            documents = [Document("list", "12347", b'{"n":%d}' % number), Document("model", "m", b"\xff\x00")]
            store.publish(documents, inputs={INPUT: str(number)})
    return file


def said(*arguments: str, code: int = 0) -> str:
    """What a command prints."""
    result = CliRunner().invoke(app, ["online", *arguments], env={"COLUMNS": "80"})
    assert result.exit_code == code, result.output
    return result.output


def test_versions_names_the_one_that_is_served(platform: Path) -> None:
    lines = said("versions", "--platform", str(platform)).splitlines()
    assert [line.split("  ")[0] for line in lines if "served" in line] == ["version 2"]
    # Whole, also in a pipe.
    assert [line.split()[-2:] for line in lines if "made from" in line] == [[INPUT, "2"], [INPUT, "1"]]


def test_setup_makes_the_tables_and_leaves_what_is_there(platform: Path) -> None:
    file = platform.with_name("online.db")
    said("setup", "--platform", str(platform))
    assert "version 2" in said("versions", "--platform", str(platform))
    file.unlink()
    said("setup", "--platform", str(platform))
    with closing(sqlite3.connect(file)) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
    assert {"online_versions", "online_documents", "online_events"} <= tables


def test_rollback_serves_the_version_before_and_show_prints_it_as_the_api_would(platform: Path) -> None:
    assert said("show", "list", "12347", "--platform", str(platform)) == '{"n":2}\n'
    assert "Version 1" in said("rollback", "--platform", str(platform))
    assert said("show", "list", "12347", "--platform", str(platform)) == '{"n":1}\n'
    assert said("show", "list", "12347", "--version", "2", "--platform", str(platform)) == '{"n":2}\n'
    assert "Version 2" in said("rollback", "2", "--platform", str(platform))


def test_show_lists_keys_and_says_what_is_no_text(platform: Path) -> None:
    assert said("show", "list", "--platform", str(platform)) == "'12347': 7 bytes\n"
    assert said("show", "model", "m", "--platform", str(platform)) == "2 bytes, no text\n"


def test_what_is_not_there_is_an_error_that_says_what_to_do(platform: Path) -> None:
    assert "plinth online versions" in said("show", "list", "9", "--platform", str(platform), code=1)
    assert "VersionMissing" in said("rollback", "9", "--platform", str(platform), code=1)


def test_prune_keeps_as_many_as_it_is_told(platform: Path) -> None:
    assert said("prune", "1", "--platform", str(platform)) == "1 versions removed.\n"
    assert sum(INPUT in line for line in said("versions", "--platform", str(platform)).splitlines()) == 1
