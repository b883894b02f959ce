"""When models are trained again: by the clock, because purchases have moved, or because the published lists hit less than they did.

What belongs here: the ticks and the schedule. What does not: the figures and their limits (`plinth.training.drift`), and the round
(`assets.models`). All of them are off until someone turns them on, and each names its reason in the run's tags. A round that was asked for without
need costs a look: tables, code and seed of an earlier version train nothing.
"""

# No `from __future__ import annotations` here: Dagster does not resolve the texts that it makes of a step's parameters.
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import dagster as dg

from assets.models import REASON_TAG, WHEN_DUE, WHEN_TAG, model_key
from plinth.engine import connect
from plinth.errors import PlinthError
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.registry import RegisteredVersion, Registry
from plinth.training.contents import content_of
from plinth.training.drift import Limits, moved_since
from plinth.training.due import INTERACTIONS, LISTS, Watch, quality
from plinth.training.recommender import RecommenderTarget
from plinth.training.targets import TARGETS
from plinth.training.work import CONTENTS, UNTIL
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
        seen: what it looked at last; the same is not looked at twice.
        asked_at: when it last asked for a run (seconds since 1970).
    """

    seen: str = ""
    asked_at: float = 0.0

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """The cursor of a text; one that is none (another release wrote it) begins anew, which costs one look."""
        try:
            values = json.loads(text or "{}")
            return cls(str(values.get("seen", "")), float(values.get("asked_at", 0.0)))
        except (ValueError, TypeError, AttributeError):
            return cls()

    def as_text(self) -> str:
        """The cursor as JSON."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Sight:
    """What a look is to be taken at: `token` names it, `look` reads it and says why training again is worth it, or nothing."""

    token: str
    look: Callable[[], str]


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


def retraining_sensors(platform: Platform, limits: Limits | None = None) -> Sequence[dg.SensorDefinition]:
    """The sensors of data drift, of quality drift, and of a champion that was changed by hand."""
    chosen = limits or Limits()

    def data(lakehouse: Lakehouse, registry: Registry) -> Sight | str:
        return _data_sight(platform, chosen, lakehouse, registry)

    def quality(lakehouse: Lakehouse, registry: Registry) -> Sight | str:
        return _quality_sight(platform, chosen, lakehouse, registry)

    return [
        _champion_sensor(),
        _sensor(
            "data_drift",
            data,
            "Asks for a training when purchases have moved away from those that the newest version learnt from.",
        ),
        _sensor(
            "quality_drift",
            quality,
            "Asks for a training when the published recommendations hit less than they did at training.",
        ),
    ]


def _sensor(name: str, sight_of: Callable[[Lakehouse, Registry], Sight | str], description: str) -> dg.SensorDefinition:
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
            sight = sight_of(lakehouse.tables(), registry.models())
            if isinstance(sight, str):
                return _nothing(sight, cursor)
            if sight.token == cursor.seen:
                return _nothing("nothing new since the last look", cursor)
            if now - cursor.asked_at < ASK_AGAIN:
                # Not marked as seen: it is looked at when the pause is over.
                return _nothing("a training was asked for within the last day", cursor)
            reason = sight.look()
        except PlinthError as error:
            # A tick that raises is tried again and again and fills the log; the reason stands on the sensor's page this way.
            return _nothing(str(error), cursor)
        if not reason:
            return _nothing("no limit is passed", Cursor(sight.token, cursor.asked_at))
        request = dg.RunRequest(run_key=f"{name}-{sight.token}", tags={ASKED_BY_TAG: name, REASON_TAG: reason})
        return dg.SensorResult(run_requests=[request], cursor=Cursor(sight.token, now).as_text())

    return drift


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


def _nothing(why: str, cursor: Cursor) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=why, cursor=cursor.as_text())


def _data_sight(platform: Platform, limits: Limits, lakehouse: Lakehouse, registry: Registry) -> Sight | str:
    target = RecommenderTarget()
    newest = next(iter(registry.versions(target.name)), None)
    interactions = lakehouse.find(INTERACTIONS)
    until = _until(newest)
    if newest is None or until is None or interactions is None:
        return f"nothing was trained yet: materialise models/{target.name} first"
    if _contents(newest).get(str(INTERACTIONS)) == content_of(interactions):
        return f"version {newest.version} was trained on what {INTERACTIONS} holds"

    def look() -> str:
        con = connect(platform.profile(), extensions=("delta",), scratch=platform.path(platform.stores.scratch))
        try:
            return moved_since(con, interactions, until).reason(limits)
        finally:
            con.close()

    return Sight(f"{content_of(interactions)}-after-{newest.version}", look)


def _quality_sight(platform: Platform, limits: Limits, lakehouse: Lakehouse, registry: Registry) -> Sight | str:
    target = RecommenderTarget()
    champion = registry.champion(target.name)
    interactions, lists = lakehouse.find(INTERACTIONS), lakehouse.find(LISTS)
    if champion is None or interactions is None or lists is None:
        return f"nothing was published yet: {LISTS} is made from the champion of models/{target.name}"
    watch = Watch(lakehouse, registry, platform.profile(), platform.training.every_days, limits)

    def look() -> str:
        con = connect(platform.profile(), extensions=("delta",), scratch=platform.path(platform.stores.scratch))
        try:
            return quality(con, watch, interactions, lists, champion)
        finally:
            con.close()

    return Sight(f"{content_of(interactions)}-{content_of(lists)}-of-{champion.version}", look)


def _until(version: RegisteredVersion | None) -> datetime | None:
    text = version.tags.get(UNTIL) if version is not None else None
    return datetime.fromisoformat(text) if text else None


def _contents(version: RegisteredVersion) -> dict[str, str]:
    found: dict[str, str] = json.loads(version.tags.get(CONTENTS, "{}"))
    return found
