"""Serving: what the champions say, as tables of the lakehouse, and `serving/online`, which publishes them to the online store.

What belongs here: what Dagster is told of them, and what they report. What does not: making rows and documents (`plinth.serving`), what a
version is (`plinth.online`), and the checks (`assets.serving_checks`).
"""

# No postponed annotations here: Dagster reads that of a `Config` argument as it stands.
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from assets.automation import downstream_condition
from assets.columns import CLASSIFICATION_TAG
from assets.faults import dagster_faults
from assets.images import image
from assets.profiles import heavy_profile, profile_tags
from assets.serving_metadata import published_metadata, served_metadata, table_metadata
from plinth.features import load_views
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.serving.catalogue import OWNER
from plinth.serving.consents import withhold_offers
from plinth.serving.features import online_views
from plinth.serving.lists import Setting, make_popular_items, make_recommendations, make_similar_items
from plinth.serving.plan import CUSTOMERS, make_promotion_plan, plan_code
from plinth.serving.plan import INPUTS as PLAN_INPUTS
from plinth.serving.propensity import make_purchase_propensity
from plinth.serving.publish import publish
from plinth.serving.standing import INPUTS
from plinth.serving.tables import (
    POPULAR_ITEMS,
    PROMOTION_PLAN,
    PURCHASE_PROPENSITY,
    RECOMMENDATIONS,
    SERVING_TABLES,
    SIMILAR_ITEMS,
    ServingTable,
)
from plinth.serving.write import Served
from plinth.training.propensity import PropensityTarget
from plinth.training.target import tables_of
from resources import LakehouseResource, OnlineStoreResource, RegistryResource

GROUP = "serving"
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


def serving_assets(platform: Platform) -> Sequence[dg.AssetsDefinition]:
    """The serving tables, and the publication of what they hold."""
    return [
        *(_table(made, platform) for made in MADE),
        _plan(platform),
        _propensity(platform),
        _withheld(platform),
        _online(platform),
    ]


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
                **{f"plot_{name}": image(name, png) for name, png in outcome.plots.items()},
                **({"offers_left_out": ", ".join(outcome.left_out)} if outcome.left_out else {}),
                # In hundredths of a penny: a page with every digit hides those that say something.
                **{f"plan/{name}": round(value, 4) for name, value in figures.items()},
                **served_metadata(outcome.served),
            },
            data_version=dg.DataVersion(outcome.served.version.content),
        )

    definition: dg.AssetsDefinition = planned
    return definition


def _propensity(platform: Platform) -> dg.AssetsDefinition:
    read = tables_of(PropensityTarget(), load_views(platform))

    @dg.asset(
        key=serving_key(PURCHASE_PROPENSITY),
        deps=[dg.AssetKey(["models", "propensity"]), *(dg.AssetKey([table.layer, table.name]) for table in read)],
        description=f"{PURCHASE_PROPENSITY.description} Empty without a champion; the metadata say why. For SQL: no document is made of it.",
        **_told(PURCHASE_PROPENSITY, platform),
    )
    def scored(
        context: dg.AssetExecutionContext, lakehouse: LakehouseResource, registry: RegistryResource
    ) -> dg.MaterializeResult[None]:
        with dagster_faults(context):
            outcome = make_purchase_propensity(_setting(platform, lakehouse, registry, context.run.run_id))
        return dg.MaterializeResult(
            metadata={**served_metadata(outcome.served), "reason": outcome.reason},
            data_version=dg.DataVersion(outcome.served.version.content),
        )

    definition: dg.AssetsDefinition = scored
    return definition


def _setting(platform: Platform, lakehouse: LakehouseResource, registry: RegistryResource, run: str) -> Setting:
    return Setting(lakehouse.tables(), registry.models(), platform.profile(heavy_profile(platform)), run)


def _told(table: ServingTable, platform: Platform) -> dict[str, Any]:
    """What Dagster is told of every serving table."""
    return {
        "group_name": GROUP,
        "owners": [OWNER],
        "kinds": {"deltalake", "duckdb"},
        "tags": {"plinth/zone": platform.layers[table.id.layer], CLASSIFICATION_TAG: "internal"},
        "metadata": table_metadata(table, platform),
        "pool": f"{GROUP}/{table.name}",
        "op_tags": profile_tags(platform, heavy_profile(platform)),
        "automation_condition": downstream_condition(),
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
        op_tags=profile_tags(platform, heavy_profile(platform)),
        automation_condition=downstream_condition(),
    )
    def withheld(
        context: dg.AssetExecutionContext, lakehouse: LakehouseResource, online: OnlineStoreResource
    ) -> dg.MaterializeResult[None]:
        with dagster_faults(context), online.store() as store:
            store.set_up()
            found = withhold_offers(lakehouse.tables(), platform.profile(heavy_profile(platform)), store)
        return dg.MaterializeResult(metadata={"customers": found.customers, "changed": found.changed})

    return withheld


def _online(platform: Platform) -> dg.AssetsDefinition:
    views = online_views(Lakehouse(platform)).values()
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
        description="What the API reads: the lists, items, offers, features of customers and items as of the newest data, the catalogue and the session's model as one version of the "
        "online store, which appears at once. `plinth online rollback` goes back to the version before.",
        group_name=GROUP,
        owners=[OWNER],
        kinds={_store_kind(platform)},
        pool=f"{GROUP}/online",
        op_tags=profile_tags(platform, heavy_profile(platform)),
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
