"""`plinth sample` on the command line: what it writes, says and refuses."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from plinth.sample.cli import app

RUN = CliRunner()


def test_a_warehouse_is_written_advanced_and_reported(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'legacy.sqlite'}"
    written = RUN.invoke(
        app, ["--to", url, "--customers", "50", "--days", "20", "--seed", "1", "--start", "2025-03-03"]
    )
    assert written.exit_code == 0, written.output
    assert "2025-03-03 to 2025-03-22" in written.output
    assert "INVLINE" in written.output
    advanced = RUN.invoke(app, ["advance", "--to", url, "--days", "2"])
    assert advanced.exit_code == 0, advanced.output
    assert "to 2025-03-24" in advanced.output
    before_the_command = RUN.invoke(app, ["--to", url, "advance"])
    assert "to 2025-03-25" in before_the_command.output


def test_a_refusal_says_what_to_do_and_ends_with_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'legacy.sqlite'}"
    options = ["--to", url, "--customers", "5", "--days", "5"]
    assert RUN.invoke(app, options).exit_code == 0
    refused = RUN.invoke(app, options)
    assert refused.exit_code == 1
    assert "--replace" in refused.output
    assert "Traceback" not in refused.output
    assert RUN.invoke(app, [*options, "--replace"]).exit_code == 0


def test_sizes_beside_the_real_file_are_refused(tmp_path: Path) -> None:
    refused = RUN.invoke(app, ["--to", f"sqlite:///{tmp_path / 'x.sqlite'}", "--from", "real.parquet", "--days", "9"])
    assert refused.exit_code == 1
    assert "--from without --days" in refused.output
