"""docs/quarantine.md can be followed command by command."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.frame.shop import PROJECT, Shop

PAGE = PROJECT / "docs" / "quarantine.md"


@pytest.fixture
def sample(tmp_path: Path) -> Shop:
    """A project of its own with a small sample and the sample's contract, loaded once; its commands stand where the page has them."""
    shop = Shop(tmp_path)
    shop.make_project()
    (tmp_path / "contracts").mkdir()
    shutil.copy(PROJECT / "contracts" / "erp.odcs.yaml", tmp_path / "contracts")
    settings = yaml.safe_load((PROJECT / "platform.yaml").read_text())
    for name in ("api", "transform", "features", "targets", "serving"):
        settings.pop(name, None)
    (tmp_path / "platform.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    for command in ("sample --customers 1000 --days 40", "ingest invoice_line", "ingest stock_level"):
        done = shop.command("plinth", *command.split())
        assert done.returncode == 0, done.stdout + done.stderr
    return shop


def commands() -> list[str]:
    """The page's indented lines, in order."""
    return re.findall(r"^    (\S.*)$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs the command sqlite3: apt-get install sqlite3")
def test_the_page_breaks_a_row_finds_it_and_puts_it_back(sample: Shop) -> None:
    said = {}
    for command in commands():
        environment = {
            key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "PLINTH_PLATFORM")
        }
        done = subprocess.run(
            command,
            shell=True,
            cwd=sample.folder,
            env=environment,
            input="y\n",
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        said[command] = done.stdout
    listed = next(words for command, words in said.items() if command.endswith("quarantine list"))
    assert "quantity_type" in listed
    assert "line_of_totals" in listed, "the sample itself shows what a quarantine is"
    assert any("1 rows put back" in words for words in said.values())
    version = sample.table("invoice_line")
    import duckdb

    con = duckdb.connect()
    files = [file.uri for file in version.files]
    assert con.execute("SELECT quantity FROM read_parquet(?) WHERE line_id = 900000001", [files]).fetchall() == [(12,)]
