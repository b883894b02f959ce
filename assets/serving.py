"""Serving: what the champions say, as tables of the lakehouse, and `serving/online`, which publishes them to the online store.

What belongs here: what Dagster is told of them, and what they report. What does not: making rows and documents (`plinth.serving`), what a
version is (`plinth.online`), and the checks (`assets.serving_checks`).
"""

# No postponed annotations here: Dagster reads that of a `Config` argument as it stands.
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.metadata import RawMetadataValue

from assets.automation import downstream_condition
from assets.columns import CLASSIFICATION_TAG
from assets.faults import dagster_faults
from plinth.lakehouse.tables import Lakehouse
from plinth.online import OnlineVersion
from plinth.platform import Platform
from plinth.serving.catalogue import OWNER
from plinth.serving.consents import withhold_offers
from plinth.serving.features import customer_views
from plinth.serving.lists import Setting, make_popular_items, make_recommendations, make_similar_items
from plinth.serving.plan import CUSTOMERS, make_promotion_plan, plan_code
from plinth.serving.plan import INPUTS as PLAN_INPUTS
from plinth.serving.publish import Published, publish
from plinth.serving.standing import INPUTS
from plinth.serving.tables import (
    POPULAR_ITEMS,
    PROMOTION_PLAN,
    RECOMMENDATIONS,
    SERVING_TABLES,
    SIMILAR_ITEMS,
    ServingTable,
)
from plinth.serving.write import Served
from resources import LakehouseResource, OnlineStoreResource, RegistryResource

GROUP = "serving"
PROFILE_TAG, PROFILE = "plinth/profile", "memory"
RECOMMENDER, UPLIFT = dg.AssetKey(["models", "recommender"]), dg.AssetKey(["models", "uplift"])
ONLINE, WITHHELD = dg.AssetKey([GROUP, "online"]), dg.AssetKey([GROUP, "withheld_offers"])


@dataclass(frozen=True)
class Made:
    """A serving table, what it is made from, and by what."""

    table: ServingTable
    deps: Sequence[dg.AssetKey]
    make: Callable[[Setting], Served]


class PublishConfig(dg.Config):
    """How a version is to be published; the default is what schedules and automation do."""

    keep: int = 5
    """Versions that stay for a rollback, the new one among them."""
    label: str = ""
    """Shown beside the version."""


_KNOWN = (RECOMMENDER, *(dg.AssetKey([table.layer, table.name]) for table in INPUTS))
"""The champion, and the purchases and items that it is asked over: newer ones change lists, whoever is champion."""
MADE = (
    Made(RECOMMENDATIONS, (*_KNOWN, dg.AssetKey(["gold", "customer_360"])), make_recommendations),
    Made(SIMILAR_ITEMS, _KNOWN, make_similar_items),
    Made(POPULAR_ITEMS, _KNOWN, make_popular_items),
)


def serving_key(table: ServingTable) -> dg.AssetKey:
    """The asset key of a serving table."""
    return dg.AssetKey([GROUP, table.name])


def profile_of(platform: Platform) -> str:
    """The profile of the serving steps."""
    return PROFILE if PROFILE in platform.profiles else platform.default_profile


def serving_assets(platform: Platform) -> Sequence[dg.AssetsDefinition]:
    """The serving tables, and the publication of what they hold."""
    return [*(_table(made, platform) for made in MADE), _plan(platform), _withheld(platform), _online(platform)]


def _table(made: Made, platform: Platform) -> dg.AssetsDefinition:
    table = made.table

    @dg.asset(
        key=serving_key(table),
        deps=made.deps,
        description=table.description,
        **_told(table, platform),
    )
    def made_now(
        context: dg.AssetExecutionContext, lakehouse: LakehouseResource, registry: RegistryResource
    ) -> dg.MaterializeResult[None]:
        with dagster_faults(context):
            served = made.make(_setting(platform, lakehouse, registry, context.run.run_id))
        return dg.MaterializeResult(
            metadata=served_metadata(served), data_version=dg.DataVersion(served.version.content)
        )

    # The arguments of every serving table come as a mapping, which hides the decorator's type.
    definition: dg.AssetsDefinition = made_now
    return definition


def _plan(platform: Platform) -> dg.AssetsDefinition:
    @dg.asset(
        key=serving_key(PROMOTION_PLAN),
        deps=[UPLIFT, *(dg.AssetKey([table.layer, table.name]) for table in PLAN_INPUTS)],
        description=f"{PROMOTION_PLAN.description}\n\nWithout a champion the plan goes by the average effect of the trials; where they show "
        "none, it contacts nobody. The terms are `promotions` in platform.yaml.",
        code_version=plan_code(platform.promotions),
        **_told(PROMOTION_PLAN, platform),
    )
    def planned(
        context: dg.AssetExecutionContext, lakehouse: LakehouseResource, registry: RegistryResource
    ) -> dg.MaterializeResult[None]:
        with dagster_faults(context):
            outcome = make_promotion_plan(_setting(platform, lakehouse, registry, context.run.run_id))
        figures = outcome.summary.figures() if outcome.summary is not None else {}
        return dg.MaterializeResult(
            metadata={
                "policy": outcome.policy,
                "policy_reason": outcome.reason,
                # In hundredths of a penny: a page with every digit hides those that say something.
                **{f"plan/{name}": round(value, 4) for name, value in figures.items()},
                **served_metadata(outcome.served),
            },
            data_version=dg.DataVersion(outcome.served.version.content),
        )

    definition: dg.AssetsDefinition = planned
    return definition


def _setting(platform: Platform, lakehouse: LakehouseResource, registry: RegistryResource, run: str) -> Setting:
    return Setting(lakehouse.tables(), registry.models(), platform.profile(profile_of(platform)), run)


def _told(table: ServingTable, platform: Platform) -> dict[str, Any]:
    """What Dagster is told of every serving table."""
    return {
        "group_name": GROUP,
        "owners": [OWNER],
        "kinds": {"deltalake", "duckdb"},
        "tags": {"plinth/zone": platform.layers[table.id.layer], CLASSIFICATION_TAG: "internal"},
        "metadata": _table_metadata(table, platform),
        "pool": f"{GROUP}/{table.name}",
        "op_tags": {PROFILE_TAG: profile_of(platform)},
        "automation_condition": downstream_condition(),
    }


def _table_metadata(table: ServingTable, platform: Platform) -> dict[str, RawMetadataValue]:
    columns = [
        dg.TableColumn(
            column.name,
            column.type,
            column.comment,
            dg.TableColumnConstraints(
                nullable=column.name not in table.key,
                other=[f"key ({', '.join(table.key)})"] if column.name in table.key else [],
            ),
            {CLASSIFICATION_TAG: column.classification},
        )
        for column in table.columns
    ]
    return {
        "dagster/table_name": str(table.id).replace("/", "."),
        "dagster/storage_kind": "delta",
        "dagster/uri": Lakehouse(platform).uri_of(table.id),
        "dagster/column_schema": dg.TableSchema(columns),
    }


def served_metadata(served: Served) -> dict[str, RawMetadataValue]:
    """What the making of a serving table reports."""
    return {
        "dagster/row_count": served.version.rows,
        "changed": served.changed,
        "computed": served.computed,
        "delta_version": served.version.version,
        "content": served.version.content,
        "inserted": served.counts.inserted,
        "updated": served.counts.updated,
        "deleted": served.counts.deleted,
        "bytes": served.version.size,
        "seconds": served.seconds,
        "made_from": dg.MetadataValue.json(dict(served.version.state.inputs)),
        **({"known_until": until} if (until := served.version.state.watermark) is not None else {}),
    }


def _withheld(platform: Platform) -> dg.AssetsDefinition:
    @dg.asset(
        key=WITHHELD,
        # Of nothing but the consents: whatever else fails or is held back tonight, they are heeded.
        deps=[dg.AssetKey([CUSTOMERS.layer, CUSTOMERS.name])],
        description="Whose offers the API shows to nobody, in whichever version: customers who do not consent to marketing by today's "
        "silver/customers. A publish that is held back, or a rollback, brings none of theirs back.",
        group_name=GROUP,
        owners=[OWNER],
        kinds={_store_kind(platform)},
        pool=f"{GROUP}/online",
        op_tags={PROFILE_TAG: profile_of(platform)},
        automation_condition=downstream_condition(),
    )
    def withheld(
        context: dg.AssetExecutionContext, lakehouse: LakehouseResource, online: OnlineStoreResource
    ) -> dg.MaterializeResult[None]:
        with dagster_faults(context), online.store() as store:
            store.set_up()
            found = withhold_offers(lakehouse.tables(), platform.profile(profile_of(platform)), store)
        return dg.MaterializeResult(metadata={"customers": found.customers, "changed": found.changed})

    return withheld


def _online(platform: Platform) -> dg.AssetsDefinition:
    views = customer_views(Lakehouse(platform)).values()
    features = [dg.AssetKey([view.table.layer, view.table.name]) for view in views]
    # The online values follow from these; the snapshots stand before them, so that a view whose checks fail is not served.
    read = [dg.AssetKey([table.layer, table.name]) for table in dict.fromkeys(t for view in views for t in view.tables)]

    @dg.asset(
        key=ONLINE,
        deps=[
            *(serving_key(table) for table in SERVING_TABLES),
            dg.AssetKey(["gold", "item_catalog"]),
            *features,
            *read,
        ],
        description="What the API reads: the lists, items, offers, features as of the newest data, the catalogue and the session's model as one version of the "
        "online store, which appears at once. `plinth online rollback` goes back to the version before.",
        group_name=GROUP,
        owners=[OWNER],
        kinds={_store_kind(platform)},
        pool=f"{GROUP}/online",
        op_tags={PROFILE_TAG: profile_of(platform)},
        automation_condition=_published_condition(features),
    )
    def published(
        context: dg.AssetExecutionContext,
        config: PublishConfig,
        lakehouse: LakehouseResource,
        registry: RegistryResource,
        online: OnlineStoreResource,
    ) -> dg.MaterializeResult[None]:
        with dagster_faults(context), online.store() as store:
            outcome = publish(
                _setting(platform, lakehouse, registry, context.run.run_id), store, keep=config.keep, label=config.label
            )
        return dg.MaterializeResult(
            metadata=published_metadata(outcome), data_version=dg.DataVersion(str(outcome.version.id))
        )

    return published


def _store_kind(platform: Platform) -> str:
    # By the setting alone: a code location loads without the variables that hold addresses and passwords.
    stores = platform.stores
    return "sqlite" if stores.online_env is None and stores.online.startswith("sqlite") else "postgresql"


def _published_condition(features: Sequence[dg.AssetKey]) -> dg.AutomationCondition[dg.AssetKey | dg.AssetCheckKey]:
    if not features:
        return downstream_condition()
    # The snapshots are not what is served; that weeks of them were never made is no reason to wait.
    missing = dg.AutomationCondition.any_deps_missing().ignore(dg.AssetSelection.assets(*features))
    return downstream_condition().replace("any_deps_missing", missing)


def published_metadata(outcome: Published) -> dict[str, RawMetadataValue]:
    """What a publish reports; the counts stand as numbers, so that the asset's page plots them over time."""
    version = outcome.version
    return {
        "version": version.id,
        "changed": outcome.changed,
        "changed_documents": version.changed if outcome.changed else 0,
        "documents": sum(version.documents.values()),
        **{f"documents/{kind}": count for kind, count in sorted(version.documents.items())},
        "published_at": dg.MetadataValue.timestamp(version.published_at),
        "versions_removed": outcome.pruned,
        "seconds": outcome.seconds,
        "made_from": _inputs(version),
    }


def _inputs(version: OnlineVersion) -> dg.TableMetadataValue:
    said: Mapping[str, str] = version.inputs
    return dg.MetadataValue.table(
        [dg.TableRecord({"input": name, "version": value}) for name, value in sorted(said.items())]
    )
