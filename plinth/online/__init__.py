"""The online store: what the models and tables say, as documents that an API can send, in versions that appear at once or not at all.

What belongs here: the store's tables and statements, publishing, rollback and pruning of versions, reading, and the log of events that
come in. What does not: making the documents (`plinth.serving`) and answering requests (`api`). One SQL serves SQLite, PostgreSQL and
CockroachDB.
"""

from plinth.online.errors import (
    DocumentRefused,
    EventRefused,
    PublishSuperseded,
    StoreConflict,
    StoreUnavailable,
    VersionMissing,
)
from plinth.online.model import AppendResult, Document, Event, OnlineVersion, StoredEvent
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
