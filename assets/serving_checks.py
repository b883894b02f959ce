"""The checks of what is served: lists are lists, nobody is contacted who did not consent, and the store says what the tables say.

What belongs here: specs and results. What does not: the rules (`plinth.serving.examine`, `plinth.serving.sample`, `plinth.serving.skew`).
"""

# No `from __future__ import annotations` here: Dagster does not resolve the texts that it makes of a step's parameters.
from collections.abc import Iterator, Sequence

import dagster as dg

from assets.differences import difference_metadata
from assets.faults import dagster_faults
from assets.profiles import heavy_profile, profile_tags
from assets.serving import MADE, ONLINE, serving_key
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.serving.champion import UPLIFT
from plinth.serving.examine import Broken, broken_lists, broken_propensities, without_consent
from plinth.serving.features import online_views
from plinth.serving.lists import Setting
from plinth.serving.plan import served_policy
from plinth.serving.policy import BY_UPLIFT
from plinth.serving.sample import compare
from plinth.serving.skew import ServedSkew, measure_served_skew
from plinth.serving.tables import PROMOTION_PLAN, PURCHASE_PROPENSITY, ServingTable
from resources import LakehouseResource, OnlineStoreResource, RegistryResource

LISTS, CONSENT, EQUAL = "lists_are_whole", "no_consent_no_contact", "documents_equal_tables"
BY_CHAMPION, PROBABILITIES = "planned_by_a_champion", "probabilities_hold"


def serving_checks(platform: Platform) -> Sequence[dg.AssetChecksDefinition]:
    """The checks of the serving tables and of what is published."""
    lists = [_lists(made.table, platform) for made in MADE]
    return [*lists, _consent(), _by_champion(), _probabilities(platform), _equal(platform), *_skew(platform)]


def _lists(table: ServingTable, platform: Platform) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=LISTS,
        asset=serving_key(table),
        description="Ranks begin at 1 and have no gaps, no item comes twice in a list, and each is in the catalogue.",
        blocking=True,
        additional_deps=[dg.AssetKey(["gold", "item_catalog"])],
        op_tags=profile_tags(platform, heavy_profile(platform)),
    )
    def look(context: dg.AssetCheckExecutionContext, lakehouse: LakehouseResource) -> dg.AssetCheckResult:
        with dagster_faults(context):
            return result_of(broken_lists(lakehouse.tables(), platform.profile(heavy_profile(platform)), table))

    return look


def _consent() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=CONSENT,
        asset=serving_key(PROMOTION_PLAN),
        description="No consent, no contact: every customer of the plan consents to marketing by today's silver/customers, and may order.",
        blocking=True,
        additional_deps=[dg.AssetKey(["silver", "customers"])],
    )
    def look(context: dg.AssetCheckExecutionContext, lakehouse: LakehouseResource) -> dg.AssetCheckResult:
        with dagster_faults(context):
            found = without_consent(lakehouse.tables())
        rows = [dg.TableRecord({name: str(value) for name, value in row.items()}) for row in found[:20].to_pylist()]
        return dg.AssetCheckResult(
            passed=found.num_rows == 0,
            severity=dg.AssetCheckSeverity.ERROR,
            description="holds" if found.num_rows == 0 else f"{found.num_rows:,} contacts without consent",
            metadata={"rows_broken": found.num_rows, **({"first": dg.MetadataValue.table(rows)} if rows else {})},
        )

    return look


def _by_champion() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=BY_CHAMPION,
        asset=serving_key(PROMOTION_PLAN),
        description="The plan goes by a model that ranks customers better than chance. Where trials exist but no version has shown that, it goes by "
        "their average effect or contacts nobody, and this check says so.",
        additional_deps=[dg.AssetKey(["models", "uplift"])],
    )
    def look(
        context: dg.AssetCheckExecutionContext, lakehouse: LakehouseResource, registry: RegistryResource
    ) -> dg.AssetCheckResult:
        with dagster_faults(context):
            plan = lakehouse.tables().open(PROMOTION_PLAN.id)
            versions = registry.models().versions(UPLIFT)
        policy = served_policy(plan)
        # Where nothing was ever trained there is no campaign history: an empty plan is all that there can be.
        newest = versions[0] if versions else None
        told = "there is no campaign history to learn from" if newest is None else "the champion's plan"
        if policy != BY_UPLIFT and newest is not None:
            told = newest.decision.reason if newest.decision is not None else f"{newest} was not compared yet"
        return dg.AssetCheckResult(
            passed=policy == BY_UPLIFT or newest is None,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"policy {policy}: {told}",
            metadata={"policy": policy, "contacts": plan.rows, "delta_version": plan.version},
        )

    return look


def _probabilities(platform: Platform) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=PROBABILITIES,
        asset=serving_key(PURCHASE_PROPENSITY),
        description="Every probability lies within 0 and 1, and each customer stands there once.",
        blocking=True,
        op_tags=profile_tags(platform, heavy_profile(platform)),
    )
    def look(context: dg.AssetCheckExecutionContext, lakehouse: LakehouseResource) -> dg.AssetCheckResult:
        with dagster_faults(context):
            return result_of(broken_propensities(lakehouse.tables(), platform.profile(heavy_profile(platform))))

    return look


def result_of(broken: Broken) -> dg.AssetCheckResult:
    """The result of a rule of which no row may break it."""
    return dg.AssetCheckResult(
        passed=broken.rows == 0,
        severity=dg.AssetCheckSeverity.ERROR,
        description="holds" if broken.rows == 0 else f"{broken.rows:,} rows break it",
        metadata={
            "rows_broken": broken.rows,
            "delta_version": broken.version,
            "query": dg.MetadataValue.md(f"```sql\n{broken.sql}\n```"),
        },
    )


def _equal(platform: Platform) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=EQUAL,
        asset=ONLINE,
        description="A sample of documents, read back from the store, says what the rows say that they were made from; none is missing.",
        op_tags=profile_tags(platform, heavy_profile(platform)),
    )
    def look(
        context: dg.AssetCheckExecutionContext,
        lakehouse: LakehouseResource,
        registry: RegistryResource,
        online: OnlineStoreResource,
    ) -> dg.AssetCheckResult:
        with dagster_faults(context), online.store() as store:
            setting = Setting(lakehouse.tables(), registry.models(), platform.profile(heavy_profile(platform)))
            finding = compare(setting, store)
        differing = [dg.TableRecord({"kind": kind, "key": key}) for kind, key in finding.differing[:20]]
        return dg.AssetCheckResult(
            passed=finding.passed,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{finding.compared} documents compared, {len(finding.differing)} differ",
            metadata={
                "compared": finding.compared,
                "differing": len(finding.differing),
                **({"first_that_differ": dg.MetadataValue.table(differing)} if differing else {}),
                **{f"served_and_rows/{kind}": f"{a:,} of {b:,}" for kind, (a, b) in finding.counts.items()},
            },
        )

    return look


def skew_check(view: str) -> str:
    """The name of the check that compares what is served of a view."""
    return f"skew_{view}"


def _skew(platform: Platform) -> Sequence[dg.AssetChecksDefinition]:
    """The comparison of the features that are served, a check for each view in one step; none where no view is served."""
    views = online_views(Lakehouse(platform))
    if not views:
        return []
    specs = [
        dg.AssetCheckSpec(
            skew_check(name),
            asset=ONLINE,
            description=f"What is served of the view {name}, read back from the store for some of its entities, has the values that are computed "
            "offline as of the same moment, one entity by one, to the last digit.",
        )
        for name in views
    ]

    # One step for all of them: each step is a process, which takes longer to start than the comparison.
    @dg.multi_asset_check(specs=specs, name="served_skew", op_tags=profile_tags(platform, heavy_profile(platform)))
    def look(
        context: dg.AssetCheckExecutionContext, lakehouse: LakehouseResource, online: OnlineStoreResource
    ) -> Iterator[dg.AssetCheckResult]:
        with dagster_faults(context), online.store() as store:
            found = measure_served_skew(lakehouse.tables(), store)
        for name in views:
            yield _skew_result(name, found.get(name, ServedSkew(why="it is declared no more")))

    return [look]


def _skew_result(view: str, found: ServedSkew) -> dg.AssetCheckResult:
    said = found.why or f"{found.values} values of {found.entities} entities compared, {len(found.differences)} differ"
    return dg.AssetCheckResult(
        check_name=skew_check(view),
        asset_key=ONLINE,
        passed=not found.differences,
        severity=dg.AssetCheckSeverity.WARN,
        description=said,
        metadata={
            "as_of": str(found.at or ""),
            "entities": found.entities,
            "values": found.values,
            **difference_metadata(found.differences),
        },
    )
