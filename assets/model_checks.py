"""The checks of a model: one step per model that reads the registry, so that they hold after a rollback by hand too.

What belongs here: what is asked of every model. What does not: the decision itself (`plinth.registry`) and the figures (`plinth.training`).
"""

# No `from __future__ import annotations` here: Dagster does not resolve the texts that it makes of a step's parameters.
import math
from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.definitions.metadata import RawMetadataValue

from assets.faults import dagster_faults
from assets.models import model_key
from plinth.features import load_views
from plinth.lakehouse.tables import Lakehouse
from plinth.registry import RegisteredVersion
from plinth.training.target import Target, is_plausible, tables_of
from plinth.training.targets import TARGETS
from resources import LakehouseResource, RegistryResource

BEATS, IN_RANGE, RECORDED = "challenger_beats_champion", "metrics_in_range", "inputs_recorded"
OUTCOME, WON, LOST, OPEN = "outcome", "won", "lost", "open"
"""What became of the newest version. A lost challenge is what most rounds end in, and no fault; an open one waits for a person."""


def model_checks(targets: Sequence[Target] = TARGETS) -> Sequence[dg.AssetChecksDefinition]:
    """The checks of each model."""
    return [_checks(target) for target in targets]


def _checks(target: Target) -> dg.AssetChecksDefinition:
    key = model_key(target.name)

    @dg.multi_asset_check(
        name=f"models__{target.name}__checks",
        specs=[
            dg.AssetCheckSpec(
                BEATS,
                asset=key,
                description=f"The newest version has a better {target.metric} than the champion that it met, and was not taken back since. Where it "
                "lost, the champion goes on, which is no fault: the run's report tells it and does not count it as a failure.",
            ),
            dg.AssetCheckSpec(
                IN_RANGE,
                asset=key,
                description="The figures of the served version are numbers that such figures can be.",
            ),
            dg.AssetCheckSpec(
                RECORDED,
                asset=key,
                description="Every table that the served version was made from is recorded with its version.",
            ),
        ],
        can_subset=True,
        description=f"Looks at what the registry says of {target.name}.",
    )
    def look(
        context: dg.AssetCheckExecutionContext, lakehouse: LakehouseResource, registry: RegistryResource
    ) -> Iterator[dg.AssetCheckResult]:
        with dagster_faults(context):
            versions = registry.models().versions(target.name)
            champion = next((each for each in versions if each.is_champion), None)
            results = [
                _beats(target, versions),
                _in_range(target, champion),
                _recorded(target, champion, lakehouse.tables()),
            ]
        for each in results:
            if dg.AssetCheckKey(key, each.check_name or "") in context.selected_asset_check_keys:
                yield each

    return look


def _beats(target: Target, versions: Sequence[RegisteredVersion]) -> dg.AssetCheckResult:
    if not versions:
        return _result(target, BEATS, True, "nothing was trained", {})
    newest, decision = versions[0], versions[0].decision
    if decision is None:
        said = f"{newest} was not compared yet: materialise models/{target.name} again"
        return _result(target, BEATS, False, said, {OUTCOME: OPEN})
    facts: dict[str, RawMetadataValue] = {
        "version": newest.version,
        "decision": decision.reason,
        "snapshot": decision.evaluated_on,
    }
    for name, value in (("challenger", decision.challenger_value), ("champion", decision.champion_value)):
        if value is not None:
            facts[f"{name}_{decision.metric}"] = value
    said, outcome = _told(newest, versions)
    return _result(target, BEATS, outcome == WON, said, {OUTCOME: outcome, **facts})


def _told(newest: RegisteredVersion, versions: Sequence[RegisteredVersion]) -> tuple[str, str]:
    """What became of the newest version, as a sentence and as an outcome. What was done by hand since goes before what was decided."""
    decision = newest.decision
    assert decision is not None
    serving = next((f"version {each.version} is served" for each in versions if each.is_champion), "none is served")
    if newest.rolled_back is not None:
        return f"version {newest.version} was rolled back {newest.rolled_back}; {serving}", LOST
    if decision.promoted or newest.is_champion:
        by_hand = "" if decision.promoted else f"version {newest.version} was made champion by hand: "
        return by_hand + decision.reason, WON
    return f"{decision.reason}; {serving}", OPEN if decision.open else LOST


def _in_range(target: Target, champion: RegisteredVersion | None) -> dg.AssetCheckResult:
    if champion is None:
        return _result(target, IN_RANGE, True, "nothing is served", {})
    wrong = {name: value for name, value in champion.metrics.items() if not is_plausible(target, name, value)}
    if not math.isfinite(champion.metrics.get(target.metric, math.nan)):
        wrong[target.metric] = math.nan
    facts: dict[str, RawMetadataValue] = {"version": champion.version, "figures": len(champion.metrics)}
    if wrong:
        facts["out_of_range"] = ", ".join(f"{name} {value:g}" for name, value in wrong.items())
    said = f"{facts.get('out_of_range', 'all figures')} of version {champion.version}"
    return _result(target, IN_RANGE, not wrong, said + (" cannot be" if wrong else " can be"), facts)


def _recorded(target: Target, champion: RegisteredVersion | None, lakehouse: Lakehouse) -> dg.AssetCheckResult:
    if champion is None:
        return _result(target, RECORDED, True, "nothing is served", {})
    tables = tables_of(target, load_views(lakehouse.platform))
    missing = sorted({str(table) for table in tables} - set(champion.inputs))
    newest = {str(table): lakehouse.find(table) for table in tables}
    ahead = [
        name
        for name, version in champion.inputs.items()
        if name in newest and ((now := newest[name]) is None or now.version < version)
    ]
    facts: dict[str, RawMetadataValue] = {"version": champion.version}
    for name, version in champion.inputs.items():
        facts[f"input/{name}"] = version
    if missing:
        facts["not_recorded"] = ", ".join(missing)
    if ahead:
        # A table that was dropped and made anew begins at version 0: what the model was made from is no more.
        facts["no_longer_there"] = ", ".join(ahead)
    said = "; ".join(
        [f"{', '.join(missing)} not recorded"] * bool(missing) + [f"{', '.join(ahead)} no longer there"] * bool(ahead)
    )
    all_said = f"version {champion.version} was made from {len(champion.inputs)} tables, all recorded and there"
    return _result(target, RECORDED, not missing and not ahead, said or all_said, facts)


def _result(
    target: Target, name: str, passed: bool, said: str, facts: dict[str, RawMetadataValue]
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=model_key(target.name),
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=said,
        metadata=facts,
    )
