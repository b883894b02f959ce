"""Models: each as an asset `models/<name>`, which is one training round and says who is champion after it.

What belongs here: what Dagster is told of a model, and what a round reports. What does not: the round (`plinth.training`), the record of versions
(`plinth.registry`), checks (`assets.model_checks`), and when a round is due (`sensors.retraining`).

No automation condition stands here: gold changes every night, and a round takes a minute or more. A run that refreshes everything says so by a tag,
and then a model is trained only where it is due (`plinth.training.due`); whoever else asks, a schedule, a sensor or a person, has decided already. A
round on tables, code and seed of an earlier one trains nothing in any case.
"""

# No postponed annotations here: Dagster reads that of a `Config` argument as it stands.
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg
from dagster._core.definitions.metadata import RawMetadataValue

from assets.faults import dagster_faults
from assets.images import image
from assets.profiles import heavy_profile, profile_tags
from plinth.features import FeatureViews, load_views
from plinth.platform import Platform
from plinth.training.code import code_of_target
from plinth.training.tags import REASON
from plinth.training.target import Target, tables_of
from plinth.training.targets import TARGETS
from plinth.training.work import SEED, Outcome, train
from resources import LakehouseResource, RegistryResource

GROUP = "models"
POOL = "training"
"""One training at a time: each uses all threads of its profile, and gradient boosting on oversubscribed threads takes ten times as long."""
OWNER = "team:data-science"
REASON_TAG = "plinth/reason"
WHEN_TAG, WHEN_DUE = "plinth/train", "when due"
"""Of runs that refresh everything: models that are not due stay as they are."""
NOTHING = "nothing to train on"
"""The data version of a model that today's tables hold nothing for."""


class TrainConfig(dg.Config):
    """How a round is to be done; the default is what schedules and sensors do."""

    seed: int = SEED
    """Of every draw; another seed is another model."""


def model_key(name: str) -> dg.AssetKey:
    """The asset key of a model."""
    return dg.AssetKey([GROUP, name])


def model_assets(platform: Platform, targets: Sequence[Target] = TARGETS) -> Sequence[dg.AssetsDefinition]:
    """One asset for each model."""
    views = load_views(platform)
    return [_asset(target, views, platform) for target in targets]


def _asset(target: Target, views: FeatureViews, platform: Platform) -> dg.AssetsDefinition:
    declared = [views.views[name].table for name in target.feature_views if name in views.views]
    profile = heavy_profile(platform)

    @dg.asset(
        key=model_key(target.name),
        # The features are computed from the views' tables; the snapshots stand before them, so that a view whose checks fail is not learnt from.
        deps=[dg.AssetKey([table.layer, table.name]) for table in (*tables_of(target, views), *declared)],
        description=f"{target.description}\n\nA new version becomes champion, and is served, only if its {target.metric} beats the present "
        "champion's on the same snapshot.",
        group_name=GROUP,
        owners=[OWNER],
        kinds={"scikitlearn", "mlflow"},
        tags={"plinth/metric": target.metric},
        code_version=code_of_target(target, views),
        metadata=_metadata(target, platform),
        pool=POOL,
        op_tags=profile_tags(platform, profile),
    )
    def trained(
        context: dg.AssetExecutionContext,
        config: TrainConfig,
        lakehouse: LakehouseResource,
        registry: RegistryResource,
    ) -> dg.MaterializeResult[None]:
        with dagster_faults(context):
            outcome = train(
                target,
                lakehouse.tables(),
                registry.models(),
                profile=platform.profile(profile),
                seed=config.seed,
                reason=context.run.tags.get(REASON_TAG, ""),
                run=context.run.run_id,
                only_if_due=context.run.tags.get(WHEN_TAG) == WHEN_DUE,
                tell=context.log.info,
            )
        return dg.MaterializeResult(
            metadata=round_metadata(target, outcome), data_version=dg.DataVersion(_served(outcome))
        )

    return trained


def _metadata(target: Target, platform: Platform) -> dict[str, RawMetadataValue]:
    sources = Path(__file__).resolve().parents[1] / "plinth" / "training" / f"{target.name}.py"
    where = dg.LocalFileCodeReference(file_path=str(sources), line_number=1, label=f"round of {target.name}")
    return {
        "dagster/storage_kind": "mlflow",
        "dagster/uri": str(platform.path(platform.stores.registry)),
        "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[where]),
        "decides": f"{target.metric}, the {'higher' if target.higher_is_better else 'lower'} the better",
    }


def _served(outcome: Outcome) -> str:
    # What is made from a model is made from its champion: a challenger that lost changes nothing downstream, a rollback does.
    return outcome.champion.digest if outcome.champion is not None else NOTHING


def round_metadata(target: Target, outcome: Outcome) -> dict[str, RawMetadataValue]:
    """What a round reports, in the order in which it is read: what was decided and why, the plots, the figures, and last what only a search looks for.

    Figures stand as numbers, so that the asset's page plots them over time.
    """
    version = outcome.version
    metadata: dict[str, RawMetadataValue] = {}
    if outcome.decision is not None:
        metadata["decision"] = outcome.decision.reason
    if outcome.reason:
        metadata["reason"] = outcome.reason
    if version is not None and target.metric in version.metrics:
        metadata[target.metric] = _rounded(version.metrics[target.metric])
    metadata |= {f"plot_{name}": image(name, png) for name, png in outcome.plots.items()}
    if outcome.decision is not None:
        metadata["promoted"] = outcome.decision.promoted
    if version is not None and version.tags.get(REASON):
        metadata["trained_because"] = version.tags[REASON]
    if outcome.champion is not None:
        metadata["champion_version"] = outcome.champion.version
    if version is not None:
        metadata["registry_version"] = version.version
        metadata["judged_on"] = version.evaluated_on
    metadata |= {"trained": outcome.trained, "registered": outcome.registered, "seconds": outcome.seconds}
    if version is not None:
        metadata |= {name: _rounded(value) for name, value in version.metrics.items() if name != target.metric}
    return metadata | _for_a_search(outcome)


def _rounded(figure: float) -> float:
    # The registry keeps every digit; a page with sixteen of them hides the four that say something.
    return round(figure, 4)


def _for_a_search(outcome: Outcome) -> dict[str, RawMetadataValue]:
    found: dict[str, RawMetadataValue] = {"inputs": _table(outcome.inputs, "table", "delta_version")}
    if outcome.version is not None:
        found["settings"] = _table(outcome.version.parameters, "setting", "value")
        found["seed"] = outcome.version.seed
        found["digest"] = outcome.version.digest
    if outcome.champion is not None:
        found["champion_digest"] = outcome.champion.digest
    if outcome.version is not None:
        found["files"] = _table(outcome.version.files, "file", "sha256")
    return found


def _table(values: Mapping[str, object], left: str, right: str) -> dg.TableMetadataValue:
    records = [dg.TableRecord({left: name, right: str(value)}) for name, value in values.items()]
    schema = dg.TableSchema([dg.TableColumn(left, "string"), dg.TableColumn(right, "string")])
    return dg.TableMetadataValue(records, schema)
