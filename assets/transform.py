"""Silver and gold: each dbt model as an asset `<layer>/<model>`, and its dbt tests as checks.

What belongs here: what Dagster is told of the models, and the one step that builds them. What does not: running dbt
(`plinth.transform.run`) and the models (`dbt_project/`). A model whose tests fail is not published: its table is as it was, its asset is not
materialised, and what stands downstream does not run.
"""

# No postponed annotations here: Dagster reads that of a `Config` argument as it stands.
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
from dagster._core.definitions.metadata import RawMetadataValue

from assets.automation import downstream_condition
from assets.checks import COMPUTED, EVIDENCE
from assets.columns import CLASSIFICATION_TAG, LEVELS, tag_key
from assets.faults import CHOSEN_VARIABLE, dagster_faults
from assets.profiles import AUTO_TAG, largest_profile, profile_tags
from plinth.errors import OutOfMemory
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.platform import Platform
from plinth.profile import AUTO
from plinth.spark.engine import SparkEngine
from plinth.transform.choosing import asked, may_choose
from plinth.transform.model import table_id
from plinth.transform.project import PreparedColumn, PreparedModel, PreparedProject, PreparedTest, prepare
from plinth.transform.work import OUT_OF_MEMORY, ModelOutcome, Status, TestOutcome
from resources.spark import engine_of, spark_resource

POOL = "transform"
"""One build at a time: each writes the tables of all layers above bronze."""

Event = dg.MaterializeResult[None] | dg.AssetCheckResult


class BuildConfig(dg.Config):
    """How a build is to be done; the default is what schedules and automation do."""

    full_refresh: bool = False
    """Compute every model anew, also where only some scopes were touched."""


def transform_assets(platform: Platform) -> Sequence[dg.AssetsDefinition]:
    """All models of the dbt project, as one step that can be run in part.

    Raises:
        ConfigurationError: dbt cannot parse the project.
    """
    project = prepare(platform.path("dbt_project"))
    if not project.models:
        return []
    # One step builds all models, so it needs what the largest of them may come to have (`meta: {profile: …}`). With `auto` that is the largest that
    # may be chosen: what was measured stands in the tables' logs, which are not read here, as definitions load without the zones. The executor of a
    # cluster reads them when it launches the step, and its pod then has the size that was chosen (`jobs.step_sizes`).
    size = largest_profile(platform, (name for model in project.models for name in may_choose(platform, model.profile)))
    fixed = [model.profile for model in project.models if asked(platform, model.profile) != AUTO]
    profile = largest_profile(platform, fixed)
    keys = {model.table: _key(model.table) for model in project.models}
    checks = [
        dg.AssetCheckSpec(test.name, asset=keys[test.table], description=test.description, blocking=test.blocking)
        for test in project.tests
    ]

    # Only models whose profile is one of Spark's bring its resource, and with it the import of pyspark; for those with `auto` the run opens a session
    # of its own, should it come to that.
    by_spark = [name for name in fixed if platform.declared(name).engine == "spark"]
    spark = spark_resource(platform, largest_profile(platform, by_spark)) if by_spark else None

    @dg.multi_asset(
        name="silver_and_gold",
        specs=[_spec(model, project, platform) for model in project.models],
        check_specs=checks,
        can_subset=True,
        pool=POOL,
        op_tags=profile_tags(platform, size) | ({AUTO_TAG: size} if len(fixed) < len(project.models) else {}),
        required_resource_keys={"lakehouse"} | ({"spark"} if spark is not None else set()),
        resource_defs={"spark": spark} if spark is not None else {},
    )
    def build_models(context: dg.AssetExecutionContext, config: BuildConfig) -> Iterator[Event]:
        engine = engine_of(platform, context.resources.spark) if spark is not None else None
        yield from _build(context, config, context.resources.lakehouse.tables(), project, profile, engine)

    return [build_models]


def _build(
    context: dg.AssetExecutionContext,
    config: BuildConfig,
    lakehouse: Lakehouse,
    project: PreparedProject,
    profile: str,
    spark: SparkEngine | None,
) -> Iterator[Event]:
    from plinth.transform.run import build

    chosen = [model for model in project.models if _key(model.table) in context.selected_asset_keys]
    select = [] if len(chosen) == len(project.models) else [model.name for model in chosen]
    with dagster_faults(context):
        built = build(
            project.folder,
            lakehouse,
            select=select,
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
    outcomes = {str(outcome.table): outcome for outcome in built.models}
    for model in chosen:
        outcome = outcomes[model.table]
        if outcome.status in (Status.PUBLISHED, Status.UNCHANGED):
            yield dg.MaterializeResult(
                asset_key=_key(model.table),
                metadata=_build_metadata(outcome, model),
                data_version=dg.DataVersion(outcome.content or ""),
            )
    ran = {result.name: result for result in built.tests}
    for test in project.tests:
        key = dg.AssetCheckKey(_key(test.table), test.name)
        if key in context.selected_asset_check_keys:
            proof = _evidence(test, lakehouse)
            if test.name in built.held and not test.blocking:
                yield from _repeated(context, key, proof)
            else:
                yield from _check_result(test, key, ran.get(test.name), proof, held=test.name in built.held)
    back = [outcome for outcome in built.models if outcome.status in (Status.FAILED, Status.WITHHELD)]
    if back:
        reasons = {str(each.table): str(built.errors.get(str(each.table)) or each.reason) for each in back}
        raise dg.Failure(
            "Some models were not published, their tables are as they were:\n"
            + "\n".join(f"{table}: {reason}" for table, reason in reasons.items()),
            metadata=reasons,
            allow_retries=False,
        )


def _evidence(test: PreparedTest, lakehouse: Lakehouse) -> str:
    """Names what a result follows from: the content of each table that the test reads."""
    found = {table: lakehouse.find(table_id(table)) for table in sorted(test.reads)}
    return ", ".join(
        f"{table} {version.content if version is not None else 'none'}" for table, version in found.items()
    )


def _repeated(context: dg.AssetExecutionContext, key: dg.AssetCheckKey, proof: str) -> Iterator[dg.AssetCheckResult]:
    """The last result of a warning, if it was computed from the same content; it may have been either way."""
    history = context.instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=COMPUTED)
    result = history[0].evaluation if history else None
    if result is not None and EVIDENCE in result.metadata and result.metadata[EVIDENCE].value == proof:
        yield dg.AssetCheckResult(
            passed=result.passed,
            asset_key=result.asset_key,
            check_name=result.check_name,
            severity=result.severity,
            metadata=dict(result.metadata),
        )


def _check_result(
    test: PreparedTest, key: dg.AssetCheckKey, result: TestOutcome | None, proof: str, *, held: bool
) -> Iterator[dg.AssetCheckResult]:
    """What a test came to; nothing where it could not be run."""
    severity = dg.AssetCheckSeverity.ERROR if test.blocking else dg.AssetCheckSeverity.WARN
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
            metadata={"message": "held when the tables that it reads were published, and nothing changed since"},
        )


def _key(table: str) -> dg.AssetKey:
    return dg.AssetKey(table.split("/"))


def _spec(model: PreparedModel, project: PreparedProject, platform: Platform) -> dg.AssetSpec:
    layer, _, name = model.table.partition("/")
    uri = Lakehouse(platform).uri_of(TableId(layer, name))  # type: ignore[arg-type]
    highest = max((column.classification for column in model.columns), key=LEVELS.index, default="internal")
    return dg.AssetSpec(
        _key(model.table),
        deps=[_key(table) for table in model.inputs],
        description=model.description,
        group_name=layer,
        owners=[model.owner] if model.owner else [],
        kinds={"dbt", "delta"},
        tags={
            "plinth/zone": platform.layers[layer],  # type: ignore[index]
            "plinth/strategy": model.strategy,
            CLASSIFICATION_TAG: highest,
            **{tag_key(tag): "" for tag in model.tags},
        },
        metadata=_metadata(model, project.folder, uri),
        code_version=model.code,
        automation_condition=downstream_condition(),
        skippable=True,
    )


def _metadata(model: PreparedModel, folder: Path, uri: str) -> dict[str, RawMetadataValue]:
    columns = [
        dg.TableColumn(
            column.name,
            column.type or "as the query yields",
            column.description,
            dg.TableColumnConstraints(
                nullable=not column.required, unique=column.unique, other=_said_of(column, model)
            ),
            {CLASSIFICATION_TAG: column.classification},
        )
        for column in model.columns
    ]
    where = dg.LocalFileCodeReference(file_path=str(folder / model.path), line_number=1, label=f"model {model.name}")
    return {
        "dagster/table_name": model.table.replace("/", "."),
        "dagster/storage_kind": "delta",
        "dagster/uri": uri,
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[where]),
    }


def _said_of(column: PreparedColumn, model: PreparedModel) -> list[str]:
    key = [f"key ({', '.join(model.key)})"] if column.name in model.key else []
    return key + ([f"pseudonymised: {column.pseudonymised}"] if column.pseudonymised else [])


def _build_metadata(outcome: ModelOutcome, model: PreparedModel) -> dict[str, RawMetadataValue]:
    lineage = {
        column: [dg.TableColumnDep(asset_key=_key(table), column_name=name) for table, name in found]
        for column, found in (model.lineage or {}).items()
    }
    return {
        "dagster/row_count": outcome.rows,
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
        "changed": outcome.status is Status.PUBLISHED,
        "mode": outcome.mode.value,
        "reason": outcome.reason,
        "delta_version": outcome.version or 0,
        "content": outcome.content or "",
        "inserted": outcome.inserted,
        "updated": outcome.updated,
        "deleted": outcome.deleted,
        "bytes": outcome.size,
        "seconds": outcome.seconds,
        **_by_what(outcome),
    }


def _by_what(outcome: ModelOutcome) -> dict[str, RawMetadataValue]:
    """Engine and profile of what was computed, and why."""
    if outcome.engine is None:
        return {}
    return {"engine": outcome.engine, "profile": outcome.profile or "", "engine_reason": outcome.engine_reason}
