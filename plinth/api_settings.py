"""The section `api` of `platform.yaml`: where the serving API listens, and what it lets through.

What belongs here: the keys, their bounds and defaults. What does not: the API (`api/`), and where the online store is
(`stores.online`).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field


class Api(BaseModel):
    """Settings of `plinth serve`. Memory, sessions and rates hold for each worker process.

    Attributes:
        memory: bound of the copy of the served version that a worker keeps; what does not fit is read from the store on demand.
        poll_seconds: how often a worker looks for a new version, for keys and for events that other processes took.
        rate_per_second: requests a second of a key that was made without a limit of its own; `burst` is what it may save up.
        body_bytes: the largest body that is read; `body_depth` the deepest nesting in it; `batch` the most events in one.
        rows: the most rows that one page or list gives.
        request_seconds: time for a body to arrive, and again for the work on it.
        drain_seconds: how long a worker that was told to end still answers, with `Connection: close`.
        sessions: visitors whose last events are kept; `session_hours` after the last one they count no more.
        tracing: where OpenTelemetry spans go; `otlp` needs the extra `tracing` and its usual variables (OTEL_EXPORTER_OTLP_ENDPOINT).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=64)
    memory: ByteSize = Field(default=ByteSize(512 * 2**20), ge=2**20)
    poll_seconds: float = Field(default=0.5, gt=0, le=1)
    rate_per_second: float = Field(default=200, gt=0)
    burst: float = Field(default=400, ge=1)
    body_bytes: int = Field(default=256 * 2**10, ge=1024, le=16 * 2**20)
    body_depth: int = Field(default=8, ge=4, le=64)
    batch: int = Field(default=500, ge=1, le=10_000)
    rows: int = Field(default=100, ge=1, le=1000)
    request_seconds: float = Field(default=10, gt=0)
    drain_seconds: float = Field(default=1, ge=0)
    sessions: int = Field(default=20_000, ge=1)
    session_hours: float = Field(default=24, gt=0, le=24 * 31)
    tracing: Literal["otlp", "console"] | None = None
