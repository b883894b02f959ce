"""Features: each declared view as an asset `features/<view>` with a partition for each week, and its checks.

What belongs here: the factory, what a materialisation reports, and the checks. What does not: what a view computes and which snapshots are due
(`plinth.features`), and the declarations (`feature_views.yaml`). A run with partitions makes those, all in one step; a run without any, such as
`refresh`, makes what is due, and reports each snapshot as its own partition.
"""

# No `from __future__ import annotations` here: Dagster does not resolve the texts that it makes of a step's parameters.
import warnings
from collections.abc import Iterator, Sequence
from datetime import date

import dagster as dg
from dagster._core.definitions.metadata import RawMetadataValue

from assets.automation import downstream_condition
from assets.differences import difference_metadata
from assets.faults import dagster_faults
from assets.feature_metadata import (
    classification_tags,
    declared_metadata,
    description_of,
    made_metadata,
    snapshot_metadata,
)
from assets.profiles import profile_tags
from plinth.features import FeatureViews, load_views
from plinth.features.declare import FeatureView
from plinth.features.declared import DeclaredTables
from plinth.features.due import WEEK, last_reached, last_told
from plinth.features.skew import Skew, measure_skew
from plinth.features.store import Materialised, materialise, refresh
from plinth.features.verify import Finding, Part, verify
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.spark.engine import SparkEngine
from resources import LakehouseResource
from resources.spark import engine_of, spark_resource

LAYER = "features"
SKEW = "skew"
_BY_AUTOMATION = "dagster/from_automation_condition"
"""Tag of the runs that Dagster's daemon starts for an automation condition."""
_PART_CHECKS = {
    Part.SCHEMA: "The table has the columns that the view declares, in their types.",
    Part.KEYS: "No key column is null, and no entity has two rows of one instant.",
    Part.CLOCKS: "Nothing in a row was known at or after the instant that it is as of.",
}


def feature_key(view: FeatureView | str) -> dg.AssetKey:
    """The asset key of a view."""
    return dg.AssetKey([LAYER, view if isinstance(view, str) else view.name])


def weekly_partitions(views: FeatureViews, last: date | None) -> dg.WeeklyPartitionsDefinition:
    """One partition for each Monday, named by it, from the first that the declarations allow.

    They end with the last that the data reached at the last run, and not with this week: data may end long before it, and "Latest" in the UI must
    not be a week that nobody knows anything of. So a new week shows when the definitions are loaded again after the refresh that made it. Dagster's
    dynamic partitions would show it at once, but know no ranges of time, and would be none at all on a new machine, where nothing could be asked for.

    Args:
        last: that Monday; the weeks end with this one of the calendar where there is none.
    """
    first = views.since.isoformat()
    if last is None or last < views.since:
        return dg.WeeklyPartitionsDefinition(start_date=first, day_offset=1, end_offset=1)
    return dg.WeeklyPartitionsDefinition(start_date=first, end_date=(last + WEEK).isoformat(), day_offset=1)


def feature_views_assets(platform: Platform) -> Sequence[dg.AssetsDefinition]:
    """One asset for each declared view; none where the platform declares no views.

    Raises:
        FeatureViewError: a declaration is wrong.
        ContractError, ConfigurationError: so is what is declared of a table that a view reads.
    """
    views = load_views(platform)
    weeks = weekly_partitions(views, last_told(Lakehouse(platform), views))
    declared = DeclaredTables.read(platform, views)
    return [_asset(view, views, platform, weeks, declared.classified(view)) for view in views.views.values()]


def feature_views_checks(platform: Platform) -> Sequence[dg.AssetChecksDefinition]:
    """The checks of each declared view.

    Raises:
        FeatureViewError: a declaration is wrong.
    """
    return [_checks(view, platform) for view in load_views(platform).views.values()]


def _asset(
    view: FeatureView,
    views: FeatureViews,
    platform: Platform,
    weeks: dg.WeeklyPartitionsDefinition,
    columns: Sequence[DeltaColumn],
) -> dg.AssetsDefinition:
    # Only views whose profile is one of Spark's bring its resource, and with it the import of pyspark. Each has a key of its own: within a job Dagster
    # takes two resources of one key for a conflict, also where they are equal.
    by_spark = platform.declared(view.profile).engine == "spark"
    key = f"{LAYER}_{view.name}_spark"
    sparks = {key: spark_resource(platform, view.profile or platform.base_profile)} if by_spark else {}
    with warnings.catch_warnings():
        # Backfill policies are beta in 1.13; without one every week of a backfill would be a run of its own (TRAPS).
        warnings.simplefilter("ignore", dg.BetaWarning)
        single = dg.BackfillPolicy.single_run()

        @dg.asset(
            key=feature_key(view),
            deps=[dg.AssetKey([table.layer, table.name]) for table in view.tables],
            partitions_def=weeks,
            backfill_policy=single,
            description=description_of(view),
            group_name=LAYER,
            owners=[view.owner],
            kinds={"deltalake", "spark" if by_spark else "duckdb"},
            tags={"plinth/zone": Lakehouse(platform).zone_of(view.table), **classification_tags(columns)},
            code_version=view.fingerprint,
            metadata=declared_metadata(view, platform, columns),
            automation_condition=dg.AutomationCondition.in_latest_time_window() & downstream_condition(),
            # One writer per table, whatever started it: dagster.yaml gives every pool one slot.
            pool=f"{LAYER}/{view.name}",
            op_tags=profile_tags(platform, view.profile),
            required_resource_keys={"lakehouse", *sparks},
            resource_defs=sparks,
        )
        def make_snapshots(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
            engine = engine_of(platform, getattr(context.resources, key)) if by_spark else None
            with dagster_faults(context):
                made = _make(context, context.resources.lakehouse.tables(), views, view, engine)
                _report_snapshots(context, made, views.since)
            return dg.MaterializeResult(metadata=made_metadata(made), data_version=dg.DataVersion(made.version.content))

    return make_snapshots


def _make(
    context: dg.AssetExecutionContext,
    lakehouse: Lakehouse,
    views: FeatureViews,
    view: FeatureView,
    spark: SparkEngine | None,
) -> Materialised:
    """What is due, unless a person asked for certain weeks that the data reach.

    Automation can only ask for a week, and asks for the last one; with new data the next is due, and of a late row older ones are. A week that
    the data do not reach is never made: before the first run the UI knows no other end of the weeks than the calendar's.
    """
    run, tell, asked = context.run, context.log.info, _asked(context)
    if not asked or _BY_AUTOMATION in run.tags:
        return refresh(lakehouse, views, view.name, run=run.run_id, spark=spark, tell=tell)
    last = last_reached(lakehouse, view)
    reached = [day for day in asked if last is not None and day <= last]
    if len(reached) == len(asked):
        return materialise(lakehouse, views, view.name, asked, run=run.run_id, spark=spark, tell=tell)
    context.log.warning(f"the data reach {last} and no week after it: what is due is made instead of {asked[-1]}")
    return refresh(lakehouse, views, view.name, also=reached, run=run.run_id, spark=spark, tell=tell)


def _asked(context: dg.AssetExecutionContext) -> list[date]:
    if not (context.has_partition_key or context.has_partition_key_range):
        return []
    return [date.fromisoformat(key) for key in context.partition_keys]


def _report_snapshots(context: dg.AssetExecutionContext, made: Materialised, since: date) -> None:
    """What a run made beyond the partitions that it was asked for, each as the partition that it is; also those that this instance has never
    heard of. Those that were asked for Dagster reports itself. A week that was made just now may lie behind the end of the partitions as this
    process loaded them; it is one of them from the next load on.
    """
    key = feature_key(made.view)
    unheard = set(map(str, made.there)) - set(context.instance.get_materialized_partitions(key))
    found = {str(snapshot.monday): snapshot for snapshot in made.snapshots}
    asked = set(map(str, _asked(context)))
    for day in sorted(unheard | {name for name, snapshot in found.items() if snapshot.changed}):
        if day in asked or date.fromisoformat(day) < since:
            continue
        context.log_event(dg.AssetMaterialization(key, partition=day, metadata=snapshot_metadata(found.get(day))))


def _checks(view: FeatureView, platform: Platform) -> dg.AssetChecksDefinition:
    specs = [
        dg.AssetCheckSpec(part.value, asset=feature_key(view), description=text, blocking=True)
        for part, text in _PART_CHECKS.items()
    ]
    specs.append(
        dg.AssetCheckSpec(
            SKEW,
            asset=feature_key(view),
            description="Some entities of the newest snapshot, computed again the way online values are, have the same values to the last digit.",
            blocking=False,
        )
    )

    @dg.multi_asset_check(
        name=f"features__{view.name}__checks",
        specs=specs,
        can_subset=True,
        description=f"Looks at features/{view.name}.",
        op_tags=profile_tags(platform),
    )
    def look(context: dg.AssetCheckExecutionContext, lakehouse: LakehouseResource) -> Iterator[dg.AssetCheckResult]:
        wanted = {key.name for key in context.selected_asset_check_keys}
        with dagster_faults(context):
            for finding in verify(lakehouse.tables(), view):
                if finding.part.value in wanted:
                    yield _part_result(view, finding)
            if SKEW in wanted:
                yield _skew_result(view, measure_skew(lakehouse.tables(), view))

    return look


def _part_result(view: FeatureView, finding: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=finding.broken == 0,
        asset_key=feature_key(view),
        check_name=finding.part.value,
        severity=dg.AssetCheckSeverity.ERROR,
        description=finding.found,
        metadata={"broken": finding.broken},
    )


def _skew_result(view: FeatureView, skew: Skew) -> dg.AssetCheckResult:
    metadata: dict[str, RawMetadataValue] = {
        "snapshot": str(skew.monday),
        "entities": skew.entities,
        "values": skew.values,
        **difference_metadata(skew.differences),
    }
    return dg.AssetCheckResult(
        passed=not skew.differences,
        asset_key=feature_key(view),
        check_name=SKEW,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )
