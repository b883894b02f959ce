"""Calling dbt in this process, with the limits of a profile.

In process, because a step is a process of its own already, and the session is handed over directly. What belongs here: the import of dbt, one
command, and the settings that its profile reads. What does not: what is run, and what became of it (`run`).
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plinth.engine import duckdb_memory
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.scratch import spill_folder
from plinth.transform.project import PreparedProject

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

Tell = Callable[[str], None]
"""Told in words what is being done."""
PARSED = "manifest.msgpack"
# Models and tests that do not wait for each other run side by side, which fills the gaps that one query leaves, as far as the memory goes.
_MEMORY_OF_A_MODEL = 2 * 2**30


def import_dbt() -> None:
    """Imports dbt for the first time in this process, and tells the garbage collector that what it made stays.

    Its modules hold some hundred thousand objects in cycles. The collector would look through them while they are made, from time to time
    during the run, and once more at the process's end, where taking them apart costs half a second of nothing.
    """
    if "dbt.cli.main" in sys.modules:
        return
    with _without_collector():
        import dbt.cli.main  # noqa: F401

        import plinth.dbt_plugin  # noqa: F401
    gc.freeze()


@contextmanager
def _without_collector() -> Iterator[None]:
    """A while in which many objects are made that stay: looking through them for garbage takes an eighth of dbt's start."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def manifest_of(project: PreparedProject) -> Manifest:
    """dbt's own parsed form of the project, so that it neither parses again nor looks at a file."""
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    with _without_collector():
        manifest = Manifest.from_msgpack((project.parsed / PARSED).read_bytes(), decoder=extended_mashumuro_decoder)
        manifest.build_flat_graph()  # type: ignore[no-untyped-call]
    return manifest


def invoke(
    folder: Path,
    arguments: Sequence[str],
    *,
    target: Path | None = None,
    manifest: Manifest | None = None,
    tell: Tell | None = None,
) -> Any:
    """One dbt command in this process, which gives dbt's own result; dbt itself prints nothing.

    Args:
        target: folder for what dbt writes; `target` in the project by default.
        manifest: the parsed project, where it need not be parsed.
        tell: told of the end of each model, and of tests that do not pass.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    def listen(event: Any) -> None:
        line = _line(event)
        if tell is not None and line:
            tell(line)

    fixed = ["--project-dir", str(folder), "--profiles-dir", str(folder), "--target-path", str(target or folder / "target"), "--log-path",
             str((target or folder) / "logs"), "--log-level", "none", "--log-level-file", "none", "--no-print", "--no-use-colors"]  # fmt: skip
    fixed += ["--no-write-json"] if manifest is not None else []
    try:
        return dbtRunner(manifest=manifest, callbacks=[listen]).invoke([*arguments, *fixed])
    finally:
        # dbt-duckdb keeps its in-memory database, and with it our plugin, for the next invocation of the process.
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


def _line(event: Any) -> str:
    """An event worth telling: the end of a model or test."""
    data = event.data
    if event.info.name == "LogModelResult":
        name = str(data.description).rpartition(" ")[2].replace(".", "/")
        return f"{name}: {data.status}, {data.execution_time:.1f} s"
    if event.info.name == "LogTestResult" and data.status != "pass":
        return f"test {data.name}: {data.status} ({data.num_failures} rows)"
    return ""


@contextmanager
def settings(lakehouse: Lakehouse, profile: str | None) -> Iterator[None]:
    """Sets the environment variables for the length of one invocation."""
    wanted = settings_of(lakehouse.platform, profile)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def settings_of(platform: Platform, profile: str | None = None) -> dict[str, str]:
    """The environment variables that `dbt_project/profiles.yml` reads: the limits of a profile, and the scratch folder."""
    chosen = platform.profile(profile)
    return {
        "PLINTH_MEMORY_LIMIT": duckdb_memory(chosen),
        "PLINTH_THREADS": str(chosen.threads),
        "PLINTH_DBT_THREADS": str(max(1, min(chosen.threads, chosen.memory // _MEMORY_OF_A_MODEL))),
        "PLINTH_SCRATCH": str(spill_folder(platform.path(platform.stores.scratch))),
        "DO_NOT_TRACK": "1",
    }
