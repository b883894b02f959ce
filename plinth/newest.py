"""Which project a command shows that is not told: the one that was run last, and the report of it.

What belongs here: choosing between the project of the current folder and the one beside it that the newest report is of. What does not: where
a project's files are (`plinth.project`) and what a report says (`plinth.report`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from plinth.errors import TableMissing
from plinth.platform import load_platform
from plinth.project import Project, open_project
from plinth.report import Report, read_report


def project_to_show(data: Path | None = None, *, itself: bool = False) -> tuple[Project, bool]:
    """The project to serve or to look at, and whether it is another than the one that was asked for, since that was run last.

    A data file, an overlay in the environment and `itself` ask for one project; only without any of them does the newest run decide.

    Raises:
        ConfigurationError: as `open_project`.
    """
    project = open_project(data)
    if data is not None or itself or project.overlay is not None or not project.report.exists():
        return project, False
    newest = read_report(project.report)
    if not newest.overlay or not newest.instance or not Path(newest.overlay).exists():
        return project, False
    overlay = Path(newest.overlay)
    platform = load_platform(project.home / "platform.yaml", overlay)
    return Project(project.home, platform, overlay, Path(newest.instance), newest.dataset), True


def newest_report(project: Project) -> Report:
    """The report of the newest run on the project's own tables. Overlays may share `stores.report`, which then tells of another lakehouse.

    Raises:
        TableMissing: the project was never run; names the lakehouse that the report is of, if there is one.
    """
    shared = read_report(project.report) if project.report.exists() else None
    if shared is not None and is_of(shared, project):
        return shared
    own = read_report(project.last_report) if project.last_report.exists() or shared is None else None
    if own is not None and is_of(own, project):
        return own
    other = shared or own
    assert other is not None  # a report that is missing was told by reading it
    raise TableMissing(
        "there is no report of this lakehouse yet",
        expected=f"a report of the tables in {_places(project.roots)}",
        found=f"one of the tables in {_places(other.roots)}"
        + (f", by the overlay {other.overlay}" if other.overlay else ""),
        where=project.report,
        remedy="run `make run` (or `plinth run`) first",
    )


def is_of(report: Report, project: Project) -> bool:
    """Whether a report tells of the project's own tables; one of an older release, which names no roots, is told by its overlay."""
    if not report.roots:
        return report.overlay == (str(project.overlay) if project.overlay is not None else None)
    return dict(report.roots) == project.roots


def _places(roots: Mapping[str, str]) -> str:
    return ", ".join(dict.fromkeys(roots.values())) or "an unknown place (an older release wrote it)"
