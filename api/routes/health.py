"""What the API says of itself: alive, ready, and in figures. No key is asked for, and nothing of any customer is said."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from fastapi import APIRouter, Response
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.routes.asked import ANYWHERE, Asked
from api.routes.models import Alive, Readiness
from api.telemetry.counters import CountersCollector, registry_of
from api.worker import Worker

router = APIRouter(tags=["operation"])


@router.get("/health/live", summary="Whether the process answers", responses={200: {"model": Alive}, **ANYWHERE})
async def live() -> Response:
    return Response(Alive(status="alive").model_dump_json(), media_type="application/json")


@router.get(
    "/health/ready",
    summary="Whether requests should come here: which version is served, and how old it is",
    responses={200: {"model": Readiness}, 503: {"model": Readiness, "description": "Send nobody here."}, **ANYWHERE},
)
async def ready(worker: Asked) -> Response:
    said = readiness(worker)
    status = 200 if said.status in ("ready", "stale") else 503
    return Response(
        said.model_dump_json(), status, media_type="application/json", headers={"Cache-Control": "no-store"}
    )


def readiness(worker: Worker) -> Readiness:
    """What the worker can say of its state."""
    shelf = worker.shelf
    stale = None if worker.stale_since is None else round(time.monotonic() - worker.stale_since, 1)
    if shelf is None:
        return Readiness(status="nothing published" if stale is None else "store away", stale_seconds=stale)
    verified = worker.verified_at or shelf.version.verified_at
    return Readiness(
        status="draining" if worker.draining else "ready" if stale is None else "stale",
        version=shelf.version.id,
        label=shelf.version.label,
        published_at=shelf.version.published_at,
        age_seconds=_since(shelf.version.published_at),
        verified_at=verified,
        verified_seconds=_since(verified),
        stale_seconds=stale,
        events=shelf.model is not None,
        documents=dict(shelf.counts()),
        whole=sorted(shelf.whole),
    )


def _since(moment: datetime) -> float:
    return round((datetime.now(UTC) - moment).total_seconds(), 1)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={
        200: {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **ANYWHERE,
    },
)
async def metrics(worker: Asked) -> Response:
    worker.log.flush()
    registry = registry_of(CountersCollector(worker.counters), _Gauges(worker))
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")


class _Gauges(Collector):
    """How things stand in the worker that was asked."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def collect(self) -> Iterator[Metric]:
        said = readiness(self._worker)
        shelf = self._worker.shelf
        values = {
            "served_version": ("Version that is served; 0 for none.", said.version or 0),
            "served_age_seconds": ("Since the served version was published.", said.age_seconds or 0),
            "served_verified_seconds": (
                "Since a publish last found the served version to be what the tables say.",
                said.verified_seconds or 0,
            ),
            "store_answers": ("1 while the store answers, 0 while it does not.", said.stale_seconds is None),
            "store_stale_seconds": ("Since when the store does not answer; 0 while it does.", said.stale_seconds or 0),
            "copy_bytes": ("Size of the copy of the served version.", 0 if shelf is None else shelf.size),
            "visitors": (
                "Customers and sessions with events since the publication.",
                len(self._worker.live.customers) + len(self._worker.live.sessions),
            ),
        }
        for name, (text, value) in values.items():
            yield GaugeMetricFamily(f"plinth_api_{name}", text, value=float(value))
