"""A sensor per legacy system: looks cheaply at its tables and asks for those that changed.

What belongs here: the tick. What does not: what counts as changed (`plinth.look`).
"""

# No `from __future__ import annotations` here: Dagster does not resolve the texts that it makes of a step's parameters.
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import dagster as dg

from assets.bronze import bronze_key
from plinth.contracts.model import Contract
from plinth.errors import PlinthError
from plinth.look import Look, in_turn, look
from plinth.platform import Platform
from resources import LakehouseResource, SourcesResource

ASK_AGAIN = 3600.0
"""Seconds after which a change is asked for once more when no load has answered it: a load that failed is not forgotten, and one that fails
for good is not tried every minute."""


@dataclass(frozen=True)
class Cursor:
    """What a sensor remembers from tick to tick.

    Attributes:
        next: the table to begin with.
        asked: for each table asked for, what was seen and when (seconds since 1970).
    """

    next: str | None = None
    asked: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """The cursor of a text; one that is none (another release wrote it) begins anew, which costs one round of looks."""
        try:
            values = json.loads(text or "{}")
            return cls(
                values.get("next"),
                {name: (str(seen), float(at)) for name, (seen, at) in values.get("asked", {}).items()},
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def as_text(self) -> str:
        """The cursor as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    def wants(self, seen: Look, now: float) -> bool:
        """Whether a changed table is to be asked for: not if the same was asked for a short while ago."""
        token, at = self.asked.get(seen.table, ("", 0.0))
        return bool(seen.reason) and (token != seen.token or now - at >= ASK_AGAIN)

    def after(self, following: str | None, looks: Sequence[Look], asked: Sequence[Look], now: float) -> "Cursor":
        """The cursor after a tick; tables that are seen to be up to date are forgotten."""
        kept = dict(self.asked)
        for each in looks:
            if not each.reason and not each.fault:
                kept.pop(each.table, None)
        return Cursor(following, {**kept, **{each.table: (each.token, now) for each in asked}})


def source_sensor(contract: Contract, platform: Platform) -> dg.SensorDefinition:
    """The sensor of one source. It is off until someone turns it on: a fresh installation asks nothing of a legacy system by itself."""
    settings = platform.source(contract.source)

    @dg.sensor(
        name=f"{contract.source}_changes",
        target=dg.AssetSelection.assets(*(bronze_key(table) for table in contract.tables)),
        minimum_interval_seconds=settings.check_every,
        default_status=dg.DefaultSensorStatus.STOPPED,
        tags={"plinth/source": contract.source},
        description=f"Looks every {settings.check_every} s at {settings.tables_per_tick} tables of {contract.source} at most, and asks for "
        "those that changed since their last load.",
    )
    def changes(
        context: dg.SensorEvaluationContext, lakehouse: LakehouseResource, sources: SourcesResource
    ) -> dg.SensorResult:
        cursor, now = Cursor.parse(context.cursor), time.time()
        tables, following = in_turn(contract.tables, cursor.next, settings.tables_per_tick)
        try:
            with sources.open(contract.source) as source:
                held = lakehouse.tables()
                looks = [look(table, source, held, may_read=False) for table in tables]
        except PlinthError as error:
            # A tick that raises is tried again and again and fills the log; the reason stands on the sensor's page this way.
            return dg.SensorResult(skip_reason=str(error), cursor=cursor.as_text())
        asked = [each for each in looks if cursor.wants(each, now)]
        for each in looks:
            if each.fault:
                context.log.warning(f"{each.table} could not be looked at: {each.fault}")
        after = cursor.after(following, looks, asked, now).as_text()
        if not asked:
            return dg.SensorResult(skip_reason=_nothing(looks), cursor=after)
        return dg.SensorResult(run_requests=[_request(contract.source, asked, now)], cursor=after)

    return changes


def _request(source: str, asked: Sequence[Look], now: float) -> dg.RunRequest:
    # The key names what was seen and what was held, so that a table which returns to an earlier state is loaded again, and the hour, so
    # that a load which failed can be asked for once more.
    seen = json.dumps(sorted((each.table, each.token) for each in asked)) + f"@{int(now // ASK_AGAIN)}"
    return dg.RunRequest(
        run_key=f"{source}-{hashlib.sha256(seen.encode()).hexdigest()[:24]}",
        asset_selection=[bronze_key(each.table) for each in asked],
        tags={
            "plinth/asked_by": f"{source}_changes",
            "plinth/reason": "; ".join(sorted({each.reason for each in asked})),
        },
    )


def _nothing(looks: Sequence[Look]) -> str:
    waiting = sum(bool(each.reason) for each in looks)
    faults = sum(bool(each.fault) for each in looks)
    parts = [f"{len(looks)} tables looked at"]
    parts.append(f"{waiting} changed and asked for already" if waiting else "none changed")
    return ", ".join(parts + ([f"{faults} could not be looked at (see the log)"] if faults else []))
