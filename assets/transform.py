"""Silver and gold: each dbt model as an asset `<layer>/<model>`, and its dbt tests as checks.

What belongs here: the steps that build the models, one for all that ask for the same size, and their results as Dagster's events. What does not:
what Dagster is told of a model (`assets.transform_metadata`), which step a model and a test belong to (`plinth.transform.steps`), running dbt
(`plinth.transform.run`) and the models (`dbt_project/`). A model whose tests fail is not published: its table is as it was, its asset is not
materialised, and what stands downstream does not run.
"""

# No postponed annotations here: Dagster reads that of a `Config` argument as it stands.
import os
import re
from collections.abc import Iterator, Sequence
from itertools import chain, count
from typing import TYPE_CHECKING

import dagster as dg

from assets.checks import COMPUTED, EVIDENCE
from assets.faults import CHOSEN_VARIABLE, dagster_faults
from assets.profiles import AUTO_TAG, largest_profile, profile_tags
from assets.transform_metadata import build_metadata, model_key, model_spec
from plinth.errors import OutOfMemory
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.profile import AUTO
from plinth.spark.engine import SparkEngine
from plinth.transform.choosing import asked, may_choose
from plinth.transform.model import table_id
from plinth.transform.project import PreparedProject, PreparedTest, prepare
from plinth.transform.steps import Step, split
from plinth.transform.work import OUT_OF_MEMORY, Status, TestOutcome
from resources.spark import engine_of, spark_resource

if TYPE_CHECKING:
    from plinth.transform.run import Built

STEP = "silver_and_gold"
"""The step of the models that ask for the default size; those of other sizes have the size's name behind it."""
POOL = "transform"
"""One build at a time, whichever step: each writes tables of all layers above bronze, and a table may change its step with its size."""

Event = dg.MaterializeResult[None] | dg.AssetCheckResult


class BuildConfig(dg.Config):
    """How a build is to be done; the default is what schedules and automation do."""

    full_refresh: bool = False
    """Compute every model of the step anew, also where only some scopes were touched."""


def transform_assets(platform: Platform) -> Sequence[dg.AssetsDefinition]:
    """All models of the dbt project, as one step for each size that they ask for; each can be run in part.

    Raises:
        ConfigurationError: dbt cannot parse the project, or a model asks for a profile that is not there.
    """
    project = prepare(platform.path("dbt_project"))

    def room(name: str) -> float:
        return platform.declared(largest_profile(platform, may_choose(platform, name))).memory

    steps = split(project, {model.table: asked(platform, model.profile) for model in project.models}, room)
    names = _names([step.size for step in steps], asked(platform, None))
    return [_asset(platform, project, step, name) for step, name in zip(steps, names, strict=True)]


def _names(sizes: Sequence[str], default: str) -> list[str]:
    """A name for each step; where there is but one it is the same whatever its size."""
    names: list[str] = []
    for size in sizes:
        own = STEP if size == default or len(sizes) == 1 else f"{STEP}__{re.sub('[^A-Za-z0-9]', '_', size)}"
        # Two underscores: with one, Dagster numbers the parts of a step that it splits by itself.
        numbered = chain([own], (f"{own}__{at}" for at in count(2)))
        names.append(next(each for each in numbered if each not in names))
    return names


def _asset(platform: Platform, project: PreparedProject, step: Step, name: str) -> dg.AssetsDefinition:
    # A step needs what the largest of its models may come to have (`meta: {profile: …}`). With `auto` that is the largest that may be chosen:
    # what was measured stands in the tables' logs, which are not read here, as definitions load without the zones. The executor of a cluster reads
    # them when it launches the step, and its pod then has the size that was chosen (`jobs.step_sizes`).
    size = largest_profile(platform, (each for model in step.models for each in may_choose(platform, model.profile)))
    fixed = [model.profile for model in step.models if asked(platform, model.profile) != AUTO]
    profile = largest_profile(platform, fixed)
    checks = [
        dg.AssetCheckSpec(test.name, asset=model_key(test.table), description=test.description, blocking=test.blocking)
        for test in step.tests
    ]
    # Only models whose profile is one of Spark's bring its resource, and with it the import of pyspark; for those with `auto` the run opens a session
    # of its own, should it come to that. Each step has its own, as their settings differ with the profile.
    by_spark = [each for each in fixed if platform.declared(each).engine == "spark"]
    sparks = {f"{name}_spark": spark_resource(platform, largest_profile(platform, by_spark))} if by_spark else {}

    @dg.multi_asset(
        name=name,
        specs=[model_spec(model, project, platform) for model in step.models],
        check_specs=checks,
        can_subset=True,
        pool=POOL,
        op_tags=profile_tags(platform, size) | ({AUTO_TAG: size} if len(fixed) < len(step.models) else {}),
        required_resource_keys={"lakehouse", *sparks},
        resource_defs=sparks,
    )
    def build_models(context: dg.AssetExecutionContext, config: BuildConfig) -> Iterator[Event]:
        engine = next((engine_of(platform, getattr(context.resources, each)) for each in sparks), None)
        lakehouse = context.resources.lakehouse.tables()
        built = _build(context, config, lakehouse, project, step, profile, engine)
        yield from _results(context, lakehouse, step, built)

    return build_models


def _build(
    context: dg.AssetExecutionContext,
    config: BuildConfig,
    lakehouse: Lakehouse,
    project: PreparedProject,
    step: Step,
    profile: str,
    spark: SparkEngine | None,
) -> "Built":
    from plinth.transform.run import build

    across = [
        test for test in step.tests if test.name in step.across and _key(test) in context.selected_asset_check_keys
    ]
    with dagster_faults(context):
        built = build(
            project.folder,
            lakehouse,
            select=[model.name for model in step.models if model_key(model.table) in context.selected_asset_keys],
            tests=[test.name for test in step.tests],
            again=[test.name for test in across if not _stands(context, test, _evidence(test, lakehouse))],
            run=context.run.run_id,
            full_refresh=config.full_refresh,
            profile=profile,
            spark=spark,
            tell=context.log.info,
        )
        short = next((each for each in built.models if OUT_OF_MEMORY in each.reason), None)
        if short is not None and CHOSEN_VARIABLE in os.environ:
            # A pod of the size that was chosen has no larger one within; the executor has. What was published stands, and is passed over then.
            where = f"profile {os.environ[CHOSEN_VARIABLE]}"
            raise OutOfMemory(f"{short.table} had too little memory", found=short.reason, where=where)
        passing = [error for error in built.errors.values() if error.transient]
        if passing:
            # Before anything is reported: the next attempt finds what was published, and reports it.
            raise passing[0]
    return built


def _results(context: dg.AssetExecutionContext, lakehouse: Lakehouse, step: Step, built: "Built") -> Iterator[Event]:
    """What a build came to: tables and checks, and a failure where a table was held back.

    Raises:
        Failure: some models were not published.
    """
    models = {model.table: model for model in step.models}
    for outcome in built.models:
        if outcome.status in (Status.PUBLISHED, Status.UNCHANGED):
            table = str(outcome.table)
            yield dg.MaterializeResult(
                asset_key=model_key(table),
                metadata=build_metadata(outcome, models[table]),
                data_version=dg.DataVersion(outcome.content or ""),
            )
    ran = {result.name: result for result in built.tests}
    for test in step.tests:
        if _key(test) in context.selected_asset_check_keys:
            proof = _evidence(test, lakehouse)
            if test.name in built.held and not test.blocking:
                yield from _repeated(context, _key(test), proof)
            else:
                yield from _check_result(test, ran.get(test.name), proof, held=test.name in built.held)
    back = [outcome for outcome in built.models if outcome.status in (Status.FAILED, Status.WITHHELD)]
    if back:
        reasons = {str(each.table): str(built.errors.get(str(each.table)) or each.reason) for each in back}
        raise dg.Failure(
            "Some models were not published, their tables are as they were:\n"
            + "\n".join(f"{table}: {reason}" for table, reason in reasons.items()),
            metadata=reasons,
            allow_retries=False,
        )


def _key(test: PreparedTest) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(model_key(test.table), test.name)


def _evidence(test: PreparedTest, lakehouse: Lakehouse) -> str:
    """Names what a result follows from: the content of each table that the test reads."""
    found = {table: lakehouse.find(table_id(table)) for table in sorted(test.reads)}
    return ", ".join(
        f"{table} {version.content if version is not None else 'none'}" for table, version in found.items()
    )


def _last(context: dg.AssetExecutionContext, key: dg.AssetCheckKey, proof: str) -> dg.AssetCheckEvaluation | None:
    """The last result of a check, if it follows from the same content."""
    history = context.instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=COMPUTED)
    result = history[0].evaluation if history else None
    same = result is not None and EVIDENCE in result.metadata and result.metadata[EVIDENCE].value == proof
    return result if same else None


def _stands(context: dg.AssetExecutionContext, test: PreparedTest, proof: str) -> bool:
    """Whether a test over tables of several steps need not run again: those of other steps are not due here, however much they have changed."""
    last = _last(context, _key(test), proof)
    return last is not None and (last.passed or not test.blocking)


def _repeated(context: dg.AssetExecutionContext, key: dg.AssetCheckKey, proof: str) -> Iterator[dg.AssetCheckResult]:
    """The last result of a warning, if it was computed from the same content; it may have been either way."""
    result = _last(context, key, proof)
    if result is not None:
        yield dg.AssetCheckResult(
            passed=result.passed,
            asset_key=result.asset_key,
            check_name=result.check_name,
            severity=result.severity,
            metadata=dict(result.metadata),
        )


def _check_result(
    test: PreparedTest, result: TestOutcome | None, proof: str, *, held: bool
) -> Iterator[dg.AssetCheckResult]:
    """What a test came to; nothing where it could not be run."""
    key, severity = _key(test), dg.AssetCheckSeverity.ERROR if test.blocking else dg.AssetCheckSeverity.WARN
    if result is not None and result.status != "skipped":
        yield dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=result.passed,
            severity=severity,
            metadata={
                "rows_that_break_it": result.failures,
                EVIDENCE: proof,
                "message": result.message,
                "sql": dg.MetadataValue.md(f"```sql\n{result.sql}\n```"),
            },
        )
    elif held:
        # A version is published only after it has passed its tests, so an unchanged one still does.
        yield dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=True,
            severity=severity,
            metadata={
                EVIDENCE: proof,
                "message": "held when the tables that it reads were published, and nothing changed since",
            },
        )
