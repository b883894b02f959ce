"""Running dbt in this process, with the limits of a profile, over pinned inputs.

In process, because a step is a process of its own already, and the session is handed over directly. What belongs here: the invocation and
its results. What does not: what a model's run consists of (`session`).
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plinth.engine import duckdb_memory
from plinth.errors import ConfigurationError, PlinthError
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.scratch import spill_folder
from plinth.spark.engine import SparkEngine
from plinth.transform.choosing import ran_short
from plinth.transform.due import due_models, due_tests
from plinth.transform.model import table_id
from plinth.transform.project import PreparedModel, PreparedProject, PreparedTest, prepare
from plinth.transform.session import Session
from plinth.transform.work import OUT_OF_MEMORY, Mode, ModelOutcome, Status, TestOutcome

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

Tell = Callable[[str], None]
PARSED = "manifest.msgpack"
# Models and tests that do not wait for each other run side by side, which fills the gaps that one query leaves, as far as the memory goes.
_MEMORY_OF_A_MODEL = 2 * 2**30


class TransformFailure(PlinthError):
    """dbt could not run at all; failures of single models and tests are in their outcomes."""


@dataclass(frozen=True)
class Built:
    """The outcomes of one build.

    Attributes:
        models: the models that were chosen, in the order in which they are made.
        tests: the tests that ran.
        compiled: the SQL of the models that ran, as it ran, by table.
        errors: why models failed, by table, where it is an error of ours.
        held: names of the tests that need not run, since what they read is unchanged: blocking ones were passed before it was published.
    """

    models: tuple[ModelOutcome, ...]
    tests: tuple[TestOutcome, ...]
    compiled: Mapping[str, str]
    errors: Mapping[str, PlinthError]
    held: tuple[str, ...] = ()


def build(
    folder: Path,
    lakehouse: Lakehouse,
    *,
    select: Sequence[str] = (),
    run: str | None = None,
    full_refresh: bool = False,
    profile: str | None = None,
    spark: SparkEngine | None = None,
    tell: Tell | None = None,
) -> Built:
    """Builds models and runs their tests; what passes is published at the end, everything else stays as it was.

    Models that still follow from their inputs are left alone, and where all do, dbt is not started. Models whose profile is `auto` and that run
    out of memory are computed once more in the next one.

    Args:
        folder: the dbt project.
        select: names of models; all by default.
        run: identifier that the commits carry.
        full_refresh: compute everything anew.
        profile: whose limits DuckDB gets; a model whose profile is `auto` may widen them.
        spark: for the models whose own profile says `engine: spark`.
        tell: told in words what was done to each model and test, as it happens.

    Raises:
        ConfigurationError: the project does not parse, or has no model of a name.
        TransformFailure: dbt could not run.
    """
    project = prepare(folder)
    chosen = _chosen(project, select)
    due = {model.table: "full refresh" for model in chosen} if full_refresh else due_models(project, chosen, lakehouse)
    tests = due_tests(project, due, lakehouse)
    built = Built((), (), {}, {})
    if due:
        lineage = {model.table: model.lineage for model in project.models}

        def session(short: Mapping[str, str]) -> Session:
            return Session(
                lakehouse,
                run=run,
                full_refresh=full_refresh,
                lineage=lineage,
                spark=spark,
                profile=profile,
                short=short,
            )

        built = _attempts(project, session, due, tests.run, profile, tell)
    outcomes = {str(outcome.table): outcome for outcome in built.models}
    models = tuple(outcomes.get(model.table) or _left_alone(model, lakehouse) for model in chosen)
    return Built(models, built.tests, built.compiled, built.errors, tests.held)


def _attempts(
    project: PreparedProject,
    opened: Callable[[Mapping[str, str]], Session],
    due: Container[str],
    tests: Sequence[PreparedTest],
    profile: str | None,
    tell: Tell | None,
) -> Built:
    """Runs what is due, and where models with `auto` ran out of memory, once more what was held back."""

    def attempt(session: Session, tables: Container[str]) -> Built:
        names = [model.name for model in project.models if model.table in due and model.table in tables]
        names += [test.name for test in tests if any(table in tables for table in test.reads)]
        done = _run(project, session, names, profile, tell)
        _tell_choices(session, done, tell)
        return done

    first = opened({})
    built = attempt(first, due)
    short = short_of_memory(first)
    if not short:
        return built
    # What was published in the first attempt stands already, and is passed over.
    left = {str(each.table) for each in built.models if each.status in (Status.FAILED, Status.WITHHELD)}
    return _together(built, attempt(opened(short), left), left)


def _together(first: Built, again: Built, left: Container[str]) -> Built:
    """Two attempts as one: of the models `left` by the first, and of tests that ran twice, the second has the last word."""
    repeated = {test.name for test in again.tests}
    return Built(
        models=(*(each for each in first.models if str(each.table) not in left), *again.models),
        tests=(*(test for test in first.tests if test.name not in repeated), *again.tests),
        compiled={**first.compiled, **again.compiled},
        errors={**{table: error for table, error in first.errors.items() if table not in left}, **again.errors},
    )


def _chosen(project: PreparedProject, select: Sequence[str]) -> list[PreparedModel]:
    known = {model.name for model in project.models}
    wrong = [name for name in select if name not in known]
    if wrong:
        raise ConfigurationError(
            f"there is no model {', '.join(wrong)}", expected=f"one of {', '.join(sorted(known))}", where=project.folder
        )
    return [model for model in project.models if not select or model.name in select]


def _left_alone(model: PreparedModel, lakehouse: Lakehouse) -> ModelOutcome:
    version = lakehouse.open(table_id(model.table))
    return ModelOutcome(
        table=version.id,
        status=Status.UNCHANGED,
        mode=Mode.NOTHING,
        reason="neither inputs nor code changed",
        version=version.version,
        content=version.content,
        rows=version.rows,
        size=version.size,
        columns=version.columns,
    )


def _run(
    project: PreparedProject, session: Session, names: Sequence[str], profile: str | None, tell: Tell | None
) -> Built:
    _import_dbt()
    from plinth.dbt_plugin import expect

    # Tests are named one by one: dbt's own choice would take in those of tables that nobody has made yet.
    arguments = ["build", "--select", *names, "--indirect-selection", "empty"]
    scratch = session.lakehouse.platform.path(session.lakehouse.platform.stores.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    # dbt writes whatever it is told, and an image's project is closed: what it writes goes with the run.
    with (
        _settings(session.lakehouse, profile),
        expect(session),
        tempfile.TemporaryDirectory(prefix="dbt-", dir=scratch) as written,
    ):
        result = invoke(project.folder, arguments, target=Path(written), manifest=_manifest(project), tell=tell)
    entries = getattr(result.result, "results", None)
    if entries is None or (result.exception is not None and not session.outcomes):
        raise TransformFailure("dbt could not build the models", found=result.exception, where=project.folder)
    works = session.works
    return Built(
        models=session.outcomes,
        tests=tuple(_test(entry) for entry in entries if str(entry.node.resource_type) == "test"),
        compiled={
            str(works[entry.node.unique_id].model.table): entry.node.compiled_code
            for entry in entries
            if entry.node.unique_id in works and entry.node.compiled_code
        },
        errors={str(works[name].model.table): error for name, error in session.failures.items()},
    )


def _tell_choices(session: Session, built: Built, tell: Tell | None) -> None:
    auto = {work.model.table for work in session.works.values() if work.choice.auto}
    for each in built.models:
        if tell is not None and each.table in auto and each.engine is not None:
            tell(f"{each.table}: {each.engine_reason}")


def short_of_memory(session: Session) -> dict[str, str]:
    """The models with `auto` that ran out of DuckDB's memory, by table, and the profile to step up from; none where no step is left."""
    short = ran_short(session.lakehouse.platform, session.limits) if session.limits is not None else None
    auto = {work.model.table for work in session.works.values() if work.choice.auto and work.choice.engine == "duckdb"}
    lost = [each for each in session.outcomes if each.table in auto and OUT_OF_MEMORY in each.reason]
    return {str(each.table): short for each in lost} if short is not None else {}


def _manifest(project: PreparedProject) -> Manifest:
    """dbt's own parsed form of the project, so that it neither parses again nor looks at a file."""
    with _without_collector():
        import dbt.cli.main  # noqa: F401
        from dbt.contracts.graph.manifest import Manifest
        from dbt.parser.manifest import extended_mashumuro_decoder

        manifest = Manifest.from_msgpack((project.parsed / PARSED).read_bytes(), decoder=extended_mashumuro_decoder)
        manifest.build_flat_graph()  # type: ignore[no-untyped-call]
    return manifest


def _import_dbt() -> None:
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


def _test(entry: Any) -> TestOutcome:
    return TestOutcome(
        name=entry.node.name,
        status=entry.status.value,
        failures=int(entry.failures or 0),
        message=entry.message or "",
        sql=entry.node.compiled_code or "",
    )


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
def _settings(lakehouse: Lakehouse, profile: str | None) -> Iterator[None]:
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
