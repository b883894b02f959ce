"""What a run's report tells to do next can be typed as it stands, and the sizes in it leave something to see."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from jobs.cli import next_steps
from plinth.project import Project, find_home, open_project
from plinth.report import SUCCEEDED, Report, TableLine, print_report

_LINES = [TableLine("bronze", "small", 2, 0, 1234, True), TableLine("bronze", "none", 0, 0, 0, True)]
REPORT = Report("sample", SUCCEEDED, "2024-01-01T00:00:00+00:00", 1.0, 1.0, 1.0, tables=_LINES)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's folder, as the current one."""
    folder = find_home()
    for name in ("DAGSTER_HOME", "PLINTH_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(folder)
    return folder


def test_the_project_itself_is_told_the_short_commands(home: Path) -> None:
    hints = next_steps(SUCCEEDED, open_project())
    assert [hint.split("  ")[0] for hint in hints[:2]] == ["make ui", "make serve"]
    assert "sample advance --days 1 && make run" in hints[2]
    assert not any(":3000" in hint for hint in hints), "the port may be another"


def test_an_overlay_is_named_in_each_command_and_its_warehouse_in_that_which_changes_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay = tmp_path / "an overlay.yaml"
    overlay.write_text(yaml.safe_dump({"sources": {"erp": {"url": f"sqlite:///{tmp_path}/other.sqlite"}}}))
    monkeypatch.setenv("PLINTH_PLATFORM", str(overlay))
    project = open_project()
    monkeypatch.chdir(tmp_path)
    ui, serve, advance, report = next_steps(SUCCEEDED, project)
    for hint in (ui, serve, report):
        assert hint.startswith("PLINTH_PLATFORM='an overlay.yaml' "), hint
    assert (
        "sample advance --days 1 --to sqlite:///other.sqlite && PLINTH_PLATFORM='an overlay.yaml' make run" in advance
    )


def test_a_project_without_a_sample_is_told_of_none(home: Path) -> None:
    project = open_project()
    platform = project.platform.model_copy(update={"sources": {}})
    loaded = Project(home, project.platform, home / "data" / "trade" / "platform.yaml", project.instance, "trade")
    for other in (Project(home, platform, None, project.instance), loaded):
        hints = next_steps(SUCCEEDED, other)
        assert hints[0].startswith("make ui ") and not any("sample advance" in hint for hint in hints)


def test_sizes_of_small_tables_are_told_in_small_units() -> None:
    out = io.StringIO()
    print_report(REPORT, Console(file=out, width=120))
    assert "1.2 KiB" in out.getvalue() and " 0 B" in out.getvalue() and "0.0 MiB" not in out.getvalue()
