"""Running dbt in this process, with the limits of a profile, over pinned inputs.

In process, because starting dbt takes longer than most models do, and because the session is handed over directly. What belongs here:
the invocation and its results. What does not: what a model's run consists of (`session`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plinth.engine import duckdb_memory
from plinth.errors import PlinthError
from plinth.lakehouse.tables import Lakehouse
from plinth.transform.session import Session
from plinth.transform.work import ModelOutcome

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult

Tell = Callable[[str], None]


class TransformFailure(PlinthError):
    """dbt could not run at all; failures of single models and tests are in their outcomes."""


@dataclass(frozen=True)
class TestOutcome:
    """What became of one dbt test: `pass`, `warn`, `fail`, `error` or `skipped`, and how many rows broke it."""

    name: str
    status: str
    failures: int
    message: str
    sql: str

    @property
    def passed(self) -> bool:
        """Whether nothing broke it."""
        return self.status == "pass"


@dataclass(frozen=True)
class Built:
    """The outcomes of one build, and each model's SQL as it ran, by table."""

    models: tuple[ModelOutcome, ...]
    tests: tuple[TestOutcome, ...]
    compiled: Mapping[str, str]


def build(
    folder: Path,
    lakehouse: Lakehouse,
    *,
    select: Sequence[str] = (),
    run: str | None = None,
    full_refresh: bool = False,
    profile: str | None = None,
    tell: Tell | None = None,
) -> Built:
    """Builds models and runs their tests; what passes is published at the end, everything else stays as it was.

    Args:
        folder: the dbt project.
        select: names of models; all by default.
        run: identifier that the commits carry.
        full_refresh: compute everything anew.
        tell: told in words what was done to each model and test, as it happens.

    Raises:
        TransformFailure: dbt could not run (the project does not parse, the connection cannot be opened).
    """
    from plinth.dbt_plugin import expect

    session = Session(lakehouse, run=run, full_refresh=full_refresh)
    expect(session)
    with _settings(lakehouse, profile):
        arguments = ["build", *(["--select", *select] if select else []), *(["--full-refresh"] if full_refresh else [])]
        result = invoke(folder, arguments, tell)
    entries = getattr(result.result, "results", None)
    if entries is None or (result.exception is not None and not session.outcomes):
        raise TransformFailure("dbt could not build the models", found=result.exception, where=folder)
    compiled = {
        str(session.works[entry.node.unique_id].model.table): entry.node.compiled_code
        for entry in entries
        if entry.node.unique_id in session.works and entry.node.compiled_code
    }
    tests = tuple(_test(entry) for entry in entries if str(entry.node.resource_type) == "test")
    return Built(session.outcomes, tests, compiled)


def _test(entry: Any) -> TestOutcome:
    return TestOutcome(
        name=entry.node.name,
        status=entry.status.value,
        failures=int(entry.failures or 0),
        message=entry.message or "",
        sql=entry.node.compiled_code or "",
    )


def invoke(folder: Path, arguments: Sequence[str], tell: Tell | None = None) -> dbtRunnerResult:
    """One dbt command in this process; dbt itself prints nothing."""
    from dbt.cli.main import dbtRunner

    def listen(event: Any) -> None:
        line = _line(event)
        if tell is not None and line:
            tell(line)

    fixed = ["--project-dir", str(folder), "--profiles-dir", str(folder), "--target-path", str(folder / "target"), "--log-path",
             str(folder / "logs"), "--log-level", "none", "--no-print", "--no-use-colors"]  # fmt: skip
    return dbtRunner(callbacks=[listen]).invoke([*arguments, *fixed])


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
def _settings(lakehouse: Lakehouse, profile: str | None) -> Iterator[None]:
    """The environment variables that `dbt_project/profiles.yml` reads, for the length of one invocation."""
    chosen = lakehouse.platform.profile(profile)
    scratch = lakehouse.platform.path(lakehouse.platform.stores.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    wanted = {
        "PLINTH_MEMORY_LIMIT": duckdb_memory(chosen),
        "PLINTH_THREADS": str(chosen.threads),
        "PLINTH_SCRATCH": str(scratch),
        "DO_NOT_TRACK": "1",
    }
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
