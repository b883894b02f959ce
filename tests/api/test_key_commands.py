"""`plinth key` on the command line: what it lists can be copied, and what it makes has the limits that were asked for."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from api.keys.key import SCOPES, Key
from api.keys.table import KeyTable
from plinth.cli import app
from plinth.platform import load_platform
from tests.api.process import platform_values

# As wide as a pipe, and as the narrowest terminal that one meets.
RUN = CliRunner(env={"COLUMNS": "80"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without keys, which is the current folder."""
    values = platform_values("sqlite:///online.db", {"rate_per_second": 33, "burst": 44})
    (tmp_path / "platform.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PLINTH_PLATFORM", raising=False)
    return tmp_path


def run(*words: str) -> Result:
    return RUN.invoke(app, ["key", *words])


def keys() -> list[Key]:
    table = KeyTable(load_platform("platform.yaml").online_url())
    table.set_up()
    found = list(table.all())
    table.close()
    return found


def test_a_list_of_80_columns_shows_ids_whole_and_everything_that_a_key_opens(folder: Path) -> None:
    scopes = [word for scope in SCOPES for word in ("--scope", scope)]
    made = run("create", "a webshop with a long name, as departments have them".replace(",", ""), *scopes)
    assert made.exit_code == 0, made.output
    run("create", "app", "--scope", "events:write", "--days", "30")
    listed = run("list").stdout
    assert max(map(len, listed.splitlines())) <= 80
    assert "…" not in listed
    for key in keys():
        assert key.id in listed
    words = listed.split()
    assert set(SCOPES) <= set(words)
    assert words.count("33") == 2 and "never" in words
    # What is listed can be given back.
    assert run("revoke", next(word for word in words if len(word) == 16 and int(word, 16))).exit_code == 0


def test_a_rotated_key_is_valid_as_long_as_the_old_one_was(folder: Path) -> None:
    run("create", "month", "--scope", "events:write", "--days", "30")
    run("create", "ever", "--scope", "events:write")
    for old in keys():
        run("rotate", old.id)
    spans = {key.name: key.expires_at and key.expires_at - key.created_at for key in keys()[2:]}
    assert spans == {"month": timedelta(days=30), "ever": None}
    run("rotate", keys()[-1].id, "--days", "2")
    newest = keys()[-1]
    assert newest.expires_at is not None and newest.expires_at - newest.created_at == timedelta(days=2)


@pytest.mark.parametrize(
    "limit",
    [
        ("--rate", "0"), ("--rate", "-1"), ("--rate", "nan"), ("--rate", "inf"), ("--rate", "1e300"), ("--burst", "0"),
        ("--burst", "nan"), ("--burst", "inf"), ("--days", "0"), ("--days", "-1"), ("--days", "nan"), ("--days", "inf"),
        ("--days", "1e12"),
    ],
    ids="=".join,
)  # fmt: skip
def test_a_limit_that_is_none_is_refused_with_what_may_be(folder: Path, limit: tuple[str, str]) -> None:
    refused = run("create", "webshop", "--scope", "events:write", f"{limit[0]}={limit[1]}")
    assert refused.exit_code == 1
    assert "KeyRefused" in refused.stderr and "expected" in refused.stderr
    assert keys() == []


def test_a_key_without_limits_of_its_own_has_those_of_the_settings(folder: Path) -> None:
    run("create", "webshop", "--scope", "events:write")
    run("create", "slow", "--scope", "events:write", "--rate", "0.5", "--burst", "1")
    assert [(key.rate, key.burst) for key in keys()] == [(33, 44), (0.5, 1)]
