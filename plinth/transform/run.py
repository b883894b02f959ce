"""Running dbt in this process, over pinned inputs: what is due, once or twice, and what came of it.

What belongs here: the choice of models and tests, and their results. What does not: how dbt is called (`invoke`), and what a model's run
consists of (`session`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plinth.errors import ConfigurationError, PlinthError
from plinth.lakehouse.tables import Lakehouse
from plinth.spark.engine import SparkEngine
from plinth.transform.choosing import ran_short
from plinth.transform.due import due_models, due_tests
from plinth.transform.invoke import Tell, import_dbt, invoke, manifest_of, settings
from plinth.transform.model import table_id
from plinth.transform.project import PreparedModel, PreparedProject, PreparedTest, prepare
from plinth.transform.session import Session
from plinth.transform.work import OUT_OF_MEMORY, Mode, ModelOutcome, Status, TestOutcome


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
    select: Sequence[str] | None = None,
    tests: Collection[str] | None = None,
    again: Collection[str] = (),
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
        tests: names of the tests that may run; all by default.
        again: those of them that run whatever is due: they read tables that another build makes, whose content is not what they ran over last.
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
    if tests is not None:
        project = replace(project, tests=tuple(test for test in project.tests if test.name in tests))
    due = {model.table: "full refresh" for model in chosen} if full_refresh else due_models(project, chosen, lakehouse)
    wanted = due_tests(project, due, lakehouse, again)
    built = Built((), (), {}, {})
    if due or wanted.run:
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

        built = _attempts(project, session, due, wanted.run, profile, tell)
    outcomes = {str(outcome.table): outcome for outcome in built.models}
    models = tuple(outcomes.get(model.table) or _left_alone(model, lakehouse) for model in chosen)
    return Built(models, built.tests, built.compiled, built.errors, wanted.held)


def _attempts(
    project: PreparedProject,
    opened: Callable[[Mapping[str, str]], Session],
    due: Container[str],
    tests: Sequence[PreparedTest],
    profile: str | None,
    tell: Tell | None,
) -> Built:
    """Runs what is due, and where models with `auto` ran out of memory, once more what was held back."""

    def attempt(session: Session, tables: Container[str], over: Sequence[PreparedTest]) -> Built:
        names = [model.name for model in project.models if model.table in due and model.table in tables]
        done = _run(project, session, [*names, *(test.name for test in over)], profile, tell)
        _tell_choices(session, done, tell)
        return done

    first = opened({})
    built = attempt(first, due, tests)
    short = short_of_memory(first)
    if not short:
        return built
    # What was published in the first attempt stands already, and is passed over.
    left = {str(each.table) for each in built.models if each.status in (Status.FAILED, Status.WITHHELD)}
    over = [test for test in tests if any(table in left for table in test.reads)]
    return _together(built, attempt(opened(short), left, over), left)


def _together(first: Built, again: Built, left: Container[str]) -> Built:
    """Two attempts as one: of the models `left` by the first, and of tests that ran twice, the second has the last word."""
    repeated = {test.name for test in again.tests}
    return Built(
        models=(*(each for each in first.models if str(each.table) not in left), *again.models),
        tests=(*(test for test in first.tests if test.name not in repeated), *again.tests),
        compiled={**first.compiled, **again.compiled},
        errors={**{table: error for table, error in first.errors.items() if table not in left}, **again.errors},
    )


def _chosen(project: PreparedProject, select: Sequence[str] | None) -> list[PreparedModel]:
    known = {model.name for model in project.models}
    wrong = [name for name in select or () if name not in known]
    if wrong:
        raise ConfigurationError(
            f"there is no model {', '.join(wrong)}", expected=f"one of {', '.join(sorted(known))}", where=project.folder
        )
    return [model for model in project.models if select is None or model.name in select]


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
    import_dbt()
    from plinth.dbt_plugin import expect

    # Tests are named one by one: dbt's own choice would take in those of tables that nobody has made yet.
    arguments = ["build", "--select", *names, "--indirect-selection", "empty"]
    scratch = session.lakehouse.platform.path(session.lakehouse.platform.stores.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    # dbt writes whatever it is told, and an image's project is closed: what it writes goes with the run.
    with (
        settings(session.lakehouse, profile),
        expect(session),
        tempfile.TemporaryDirectory(prefix="dbt-", dir=scratch) as written,
    ):
        result = invoke(project.folder, arguments, target=Path(written), manifest=manifest_of(project), tell=tell)
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


def _test(entry: Any) -> TestOutcome:
    return TestOutcome(
        name=entry.node.name,
        status=entry.status.value,
        failures=int(entry.failures or 0),
        message=entry.message or "",
        sql=entry.node.compiled_code or "",
    )
