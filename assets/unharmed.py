"""What a failed run left undone although nothing that it reads has failed.

What belongs here: finding those assets by the run's own events. What does not: starting a run for them (`jobs.launch`, `sensors.going_on`).

Dagster begins no step behind one that failed, and a step makes many tables: one legacy table that does not load keeps the models of all others waiting,
and one failed model of a size those of the next size. Steps for each model would cost a start of dbt and a pod each, so what is left is done in a run of
its own, by the same steps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.events import DagsterEvent, DagsterEventType

_KINDS = {
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_CHECK_EVALUATION,
    DagsterEventType.STEP_START,
    DagsterEventType.STEP_FAILURE,
}
_PAGE = 1_000


@dataclass
class _Told:
    """What the events of a run say.

    Attributes:
        planned: the step that was to make each asset.
        begun: steps that have begun, `failed` those that ended badly; a pod that no node takes fails without having begun.
        refused: assets with a failed check of severity error, and the check.
    """

    planned: dict[dg.AssetKey, str] = field(default_factory=dict)
    made: set[dg.AssetKey] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    refused: set[dg.AssetCheckKey] = field(default_factory=set)


def unharmed(instance: dg.DagsterInstance, run_id: str, graph: AssetGraph) -> Collection[dg.AssetKey]:
    """The assets of a failed run whose steps have not begun, and which stand behind nothing that failed.

    Empty where no step failed: a run whose process died is begun again as a whole. Each asset that failed is missing in what is given, so that runs which go
    on after one another come to an end.
    """
    told = _told(_events(instance, run_id))
    if not told.failed:
        return ()
    left = {key for key, step in told.planned.items() if step not in told.begun | told.failed and key not in told.made}
    # What a step has begun and not made it has failed to make, or withheld.
    harmed = set(told.planned) - told.made - left
    harmed |= {key.asset_key for key in told.refused if graph.has(key) and graph.get(key).blocking}
    while True:
        behind = {key for key in left if graph.has(key) and harmed & graph.get(key).parent_keys}
        if not behind:
            return frozenset(key for key in left if graph.has(key))
        left -= behind
        harmed |= behind


def _told(events: Iterable[DagsterEvent]) -> _Told:
    told = _Told()
    for event in events:
        kind, step = event.event_type, event.step_key or ""
        if kind is DagsterEventType.ASSET_MATERIALIZATION_PLANNED and event.asset_key is not None:
            told.planned[event.asset_key] = step
        elif kind is DagsterEventType.ASSET_MATERIALIZATION and event.asset_key is not None:
            told.made.add(event.asset_key)
        elif kind is DagsterEventType.STEP_START:
            told.begun.add(step)
        elif kind is DagsterEventType.STEP_FAILURE:
            told.failed.add(step)
        elif kind is DagsterEventType.ASSET_CHECK_EVALUATION:
            result = event.asset_check_evaluation_data
            if not result.passed and result.severity is dg.AssetCheckSeverity.ERROR:
                told.refused.add(result.asset_check_key)
    return told


def _events(instance: dg.DagsterInstance, run_id: str) -> Iterator[DagsterEvent]:
    cursor = None
    while True:
        found = instance.get_records_for_run(run_id, cursor, of_type=_KINDS, limit=_PAGE)
        cursor = found.cursor
        yield from (event for each in found.records if (event := each.event_log_entry.dagster_event) is not None)
        if not found.has_more:
            return
