"""Counters that every worker writes for itself and any worker can sum up.

Each process has one small file, mapped into memory: counting is adding to a number there, without a lock, since only one thread of one
process writes. Whichever worker is asked for metrics sums the files of all, also of those that have ended, so no figure ever falls.
The layout is fixed by the routes and statuses below, so that the sum needs no names.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

ROUTES = (
    "/v1/customers/{id}/recommendations",
    "/v1/customers/{id}/promotions",
    "/v1/customers/{id}/features",
    "/v1/customers/{id}/items",
    "/v1/items/{id}/similar",
    "/v1/items/{id}/features",
    "/v1/tables/{layer}/{name}",
    "/v1/tables",
    "/v1/events",
    "/v1/recommendations",
    "/v1/features",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/",
    "other",
)
"""Route templates: what stands in metrics, logs and traces in the place of a path."""

STATUSES = (200, 304, 400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 503, 0)
"""The last one is every other."""

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, float("inf"))
NAMED = ("events_accepted", "events_repeated", "stale_answers", "store_reads", "versions_loaded")

_STATUS_PLACE = {status: place for place, status in enumerate(STATUSES)}
_MICROSECONDS = len(STATUSES) + len(BUCKETS)
_WIDTH = _MICROSECONDS + 1
_NAMED_AT = len(ROUTES) * _WIDTH
_SIZE = _NAMED_AT + len(NAMED)
_NAMED_PLACE = {name: _NAMED_AT + place for place, name in enumerate(NAMED)}


class Counters:
    """The counters of this process.

    Args:
        folder: shared by the workers of one server.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        path = folder / f"{os.getpid()}-{os.urandom(4).hex()}.counters"
        with path.open("wb+") as file:
            file.truncate(_SIZE * 8)
            self._map = mmap.mmap(file.fileno(), _SIZE * 8)
        self._numbers = memoryview(self._map).cast("Q")

    def request(self, route: int, status: int, seconds: float) -> None:
        """Counts a request of a route (its place in ROUTES)."""
        at, numbers = route * _WIDTH, self._numbers
        numbers[at + _STATUS_PLACE.get(status, len(STATUSES) - 1)] += 1
        numbers[at + len(STATUSES) + bisect_left(BUCKETS, seconds)] += 1
        numbers[at + _MICROSECONDS] += int(seconds * 1e6)

    def add(self, name: str, amount: int = 1) -> None:
        """Adds to one of the counters in NAMED."""
        self._numbers[_NAMED_PLACE[name]] += amount

    def sums(self) -> list[int]:
        """Every number, summed over all processes of the server."""
        total = [0] * _SIZE
        for path in self._folder.glob("*.counters"):
            held = path.read_bytes()
            if len(held) == _SIZE * 8:
                total = [left + right for left, right in zip(total, memoryview(held).cast("Q"), strict=True)]
        return total


class CountersCollector(Collector):
    """The counters in the form that prometheus_client writes out."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        sums = self._counters.sums()
        requests = CounterMetricFamily(
            "plinth_api_requests", "Requests by route and status.", labels=("route", "status")
        )
        duration = HistogramMetricFamily(
            "plinth_api_request_duration_seconds", "Time from the head of a request to its answer.", labels=("route",)
        )
        for place, route in enumerate(ROUTES):
            numbers = sums[place * _WIDTH : (place + 1) * _WIDTH]
            for status, count in zip(STATUSES, numbers, strict=False):
                if count:
                    requests.add_metric((route, str(status or "other")), count)
            if any(numbers):
                duration.add_metric((route,), _cumulated(numbers[len(STATUSES) : -1]), numbers[-1] / 1e6)
        yield requests
        yield duration
        for name, place in _NAMED_PLACE.items():
            yield CounterMetricFamily(
                f"plinth_api_{name}", f"{name.replace('_', ' ').capitalize()}.", value=sums[place]
            )


def _cumulated(counts: list[int]) -> list[tuple[str, float]]:
    gathered, so_far = [], 0
    for bound, count in zip(BUCKETS, counts, strict=True):
        so_far += count
        gathered.append(("+Inf" if bound == float("inf") else repr(bound), float(so_far)))
    return gathered


def registry_of(*collectors: Collector) -> CollectorRegistry:
    """A registry of its own: the process-wide one would hold what libraries register."""
    registry = CollectorRegistry()
    for each in collectors:
        registry.register(each)
    return registry
