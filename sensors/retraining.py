"""When models are trained again: by the clock, because what they learn from has moved, or because what was published is less good than it was.

What belongs here: the ticks and the schedule. What does not: what is looked at (`plinth.training.watched`), and the round (`assets.models`). All of
them are off until someone turns them on, and each names its reason in the run's tags. A round that was asked for without need costs a look: tables,
code and seed of an earlier version train nothing.
"""

# No `from __future__ import annotations` here: Dagster does not resolve the texts that it makes of a step's parameters.
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import dagster as dg

from assets.models import REASON_TAG, WHEN_DUE, WHEN_TAG, model_key
from plinth.engine import connect
from plinth.errors import PlinthError
from plinth.platform import Platform
from plinth.sections import DriftLimits
from plinth.training.target import Target
from plinth.training.targets import TARGETS
from plinth.training.watched import Sight, Verdict, Watch, data_sight, quality_sight
from resources import LakehouseResource, RegistryResource

ASKED_BY_TAG = "plinth/asked_by"
ASK_AGAIN = 24 * 3600.0
"""Seconds after one request before the next: gold changes every night, and limits stay passed until the round has ended."""
_LOOK_EVERY = 3600

_MODELS = dg.AssetSelection.assets(*(model_key(target.name) for target in TARGETS))


@dataclass(frozen=True)
class Cursor:
    """What a sensor remembers.

    Attributes:
        seen: what it looked at last, by model; the same is not looked at twice.
        asked_at: when it last asked for a run (seconds since 1970).
    """

    seen: Mapping[str, str] = field(default_factory=dict)
    asked_at: float = 0.0

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """The cursor of a text; one that is none (another release wrote it) begins anew, which costs one look."""
        try:
            values = json.loads(text or "{}")
            seen = {str(model): str(token) for model, token in values.get("seen", {}).items()}
            return cls(seen, float(values.get("asked_at", 0.0)))
        except (ValueError, TypeError, AttributeError):
            return cls()

    def as_text(self) -> str:
        """The cursor as JSON."""
        return json.dumps(asdict(self), sort_keys=True)


def retraining_schedule() -> dg.ScheduleDefinition:
    """Once a week, whether anything drifted or not."""
    return dg.ScheduleDefinition(
        name="weekly_training",
        target=_MODELS,
        cron_schedule="0 4 * * 1",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        tags={ASKED_BY_TAG: "weekly_training", REASON_TAG: "the week is over"},
        description="Every Monday at 04:00 UTC, after the nightly refresh: drift that no limit catches is caught by time.",
    )


def retraining_sensors(platform: Platform, limits: DriftLimits | None = None) -> Sequence[dg.SensorDefinition]:
    """The sensors of data drift, of quality drift, and of a champion that was changed by hand."""
    chosen = limits or platform.training.drift
    return [
        _champion_sensor(),
        _sensor(
            platform,
            chosen,
            "data_drift",
            data_sight,
            "Asks for a training when purchases, or the features that a model learns from, have moved away from those that its newest version saw.",
        ),
        _sensor(
            platform,
            chosen,
            "quality_drift",
            quality_sight,
            "Asks for a training when the published recommendations hit less than at training, or the published chances come true less.",
        ),
    ]


def _sensor(
    platform: Platform,
    limits: DriftLimits,
    name: str,
    sight_of: Callable[[Target, Watch], Sight | str],
    description: str,
) -> dg.SensorDefinition:
    @dg.sensor(
        name=name,
        target=_MODELS,
        minimum_interval_seconds=_LOOK_EVERY,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=description,
    )
    def drift(
        context: dg.SensorEvaluationContext, lakehouse: LakehouseResource, registry: RegistryResource
    ) -> dg.SensorResult:
        cursor, now = Cursor.parse(context.cursor), time.time()
        try:
            profile = platform.profile()
            watch = Watch(lakehouse.tables(), registry.models(), profile, platform.training.every_days, limits)
            sights = {target.name: sight_of(target, watch) for target in TARGETS}
        except PlinthError as error:
            # A tick that raises is tried again and again and fills the log; the reason stands on the sensor's page this way.
            return dg.SensorResult(skip_reason=str(error), cursor=cursor.as_text())
        fresh = {
            model: sight
            for model, sight in sights.items()
            if isinstance(sight, Sight) and sight.token != cursor.seen.get(model)
        }
        said = {
            model: sight if isinstance(sight, str) else "nothing new since the last look"
            for model, sight in sights.items()
        }
        if fresh and now - cursor.asked_at < ASK_AGAIN:
            # Not marked as seen: it is looked at when the pause is over.
            return _nothing({**said, **dict.fromkeys(fresh, "a training was asked for within the last day")}, cursor)
        verdicts = _looked(fresh, watch)
        # What could not be looked at is looked at again.
        looked = {model: fresh[model].token for model, found in verdicts.items() if isinstance(found, Verdict)}
        seen = {**cursor.seen, **looked}
        reasons = {
            model: found.reason for model, found in verdicts.items() if isinstance(found, Verdict) and found.reason
        }
        if not reasons:
            more = {model: found.said if isinstance(found, Verdict) else found for model, found in verdicts.items()}
            return _nothing({**said, **more}, Cursor(seen, cursor.asked_at))
        request = _request(name, reasons, {model: fresh[model] for model in reasons})
        return dg.SensorResult(run_requests=[request], cursor=Cursor(seen, now).as_text())

    return drift


def _looked(sights: Mapping[str, Sight], watch: Watch) -> dict[str, Verdict | str]:
    """What each look came to, or why it could not be taken."""
    if not sights:
        return {}
    platform, found = watch.lakehouse.platform, dict[str, Verdict | str]()
    con = connect(watch.profile, extensions=("delta",), scratch=platform.path(platform.stores.scratch))
    try:
        for model, sight in sights.items():
            try:
                found[model] = sight.look(con)
            except PlinthError as error:
                found[model] = str(error)
    finally:
        con.close()
    return found


def _request(name: str, reasons: Mapping[str, str], sights: Mapping[str, Sight]) -> dg.RunRequest:
    """The run that is asked for: of the models that drifted, or of all where purchases have moved as a whole."""
    everything = not all(sight.own for sight in sights.values())
    return dg.RunRequest(
        run_key="-".join([name, *(sight.token for sight in sights.values())]),
        asset_selection=None if everything else [model_key(model) for model in sights],
        tags={ASKED_BY_TAG: name, REASON_TAG: "; ".join(reasons.values())},
    )


def _champion_sensor() -> dg.SensorDefinition:
    @dg.sensor(
        name="champion_changes",
        target=_MODELS,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Asks for the asset of a model whose champion was changed by hand (plinth model rollback, promote): it trains nothing, and tells "
        "what is served from it.",
    )
    def champion_changes(context: dg.SensorEvaluationContext, registry: RegistryResource) -> dg.SensorResult:
        try:
            models = registry.models()
            champions = {target.name: models.champion(target.name) for target in TARGETS}
        except PlinthError as error:
            return dg.SensorResult(skip_reason=str(error))
        requests = [
            dg.RunRequest(
                # The time of the last report is in the key, so that a champion who comes back a second time is told again.
                run_key=f"champion-{name}-{champion.version}-after-{told}",
                asset_selection=[model_key(name)],
                tags={
                    ASKED_BY_TAG: "champion_changes",
                    # Its tables may have changed since: telling of a champion must not train another one.
                    WHEN_TAG: WHEN_DUE,
                    REASON_TAG: f"version {champion.version} of {name} was made champion by hand",
                },
            )
            for name, champion in champions.items()
            if champion is not None
            for digest, told in [_told(context.instance, name)]
            if digest not in (None, champion.digest)
        ]
        return dg.SensorResult(
            run_requests=requests, skip_reason=None if requests else "the assets tell of the champions"
        )

    return champion_changes


def _told(instance: dg.DagsterInstance, model: str) -> tuple[str | None, float]:
    """The champion's digest as the model's asset told it last, and when; none where it was never materialised."""
    event = instance.get_latest_materialization_event(model_key(model))
    if event is None or event.asset_materialization is None:
        return None, 0.0
    return (event.asset_materialization.tags or {}).get("dagster/data_version"), event.timestamp


def _nothing(said: Mapping[str, str], cursor: Cursor) -> dg.SensorResult:
    # Most ticks say the same of several models.
    models: dict[str, list[str]] = {}
    for model, why in said.items():
        models.setdefault(why, []).append(model)
    words = "; ".join(f"{', '.join(names)}: {why}" for why, names in models.items())
    return dg.SensorResult(skip_reason=words, cursor=cursor.as_text())
