"""The online store: what the models and tables say, as documents that an API can send, in versions that appear at once or not at all.

What belongs here: the store's tables and statements, publishing, rollback and pruning of versions, reading, and the log of events that
come in. What does not: making the documents (`plinth.serving`) and answering requests (`api`). One SQL serves SQLite, PostgreSQL and
CockroachDB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plinth.online.errors import (
    DocumentRefused,
    EventRefused,
    PublishSuperseded,
    StoreConflict,
    StoreUnavailable,
    VersionMissing,
)
from plinth.online.model import AppendResult, Document, Event, OnlineVersion, StoredEvent

if TYPE_CHECKING:
    from plinth.online.store import OnlineStore

__all__ = [
    "AppendResult",
    "Document",
    "DocumentRefused",
    "Event",
    "EventRefused",
    "OnlineStore",
    "OnlineVersion",
    "PublishSuperseded",
    "StoreConflict",
    "StoreUnavailable",
    "StoredEvent",
    "VersionMissing",
]


def __getattr__(name: str) -> object:
    # The definitions name what the store gives and takes; only a step's own work opens one, which loads SQLAlchemy.
    if name != "OnlineStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from plinth.online.store import OnlineStore

    return OnlineStore
