"""The tables of the store. Every table has a primary key, and types that SQLite, PostgreSQL and CockroachDB sort and compare alike.

A document's row says from which version on it holds; a version sees the row with the greatest `from_version` up to its own number. So
a version shares what did not change with those before it, and costs what changed. A row without a body says that the document is gone.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

# SQLite and CockroachDB compare texts byte by byte; PostgreSQL does so when told, and its indexes then serve every locale.
_Name = Text().with_variant(Text(collation="C"), "postgresql")
_Number = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()

counters = Table(
    "online_counters",
    metadata,
    Column("name", _Name, primary_key=True),
    Column("value", _Number, nullable=False),
    comment="Numbers given out so far. Taken within the transaction that uses them: their order is the order of the commits.",
)

versions = Table(
    "online_versions",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=False),
    Column("state", _Name, nullable=False),
    Column("begun_at", _Number, nullable=False),
    Column("published_at", _Number),
    Column("verified_at", _Number),
    Column("label", Text, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("documents", Text, nullable=False),
    Column("changed", _Number, nullable=False),
    Column("settled", _Number, nullable=False),
    comment="writing, published, abandoned (its publisher ended or lost) or pruned (about to be removed).",
)

current = Table(
    "online_current",
    metadata,
    Column("slot", _Name, primary_key=True),
    Column("version", _Number, nullable=False),
    Column("change", _Number, nullable=False),
    comment="The version that readers see; `change` grows with each publish and rollback, and an older change never wins.",
)

documents = Table(
    "online_documents",
    metadata,
    Column("kind", _Name, primary_key=True),
    Column("key", _Name, primary_key=True),
    Column("from_version", _Number, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary),
    Column("body", LargeBinary),
    Index("online_documents_by_version", "from_version", "kind", "key"),
)

events = Table(
    "online_events",
    metadata,
    Column("sequence", _Number, primary_key=True, autoincrement=False),
    Column("event_id", _Name, nullable=False),
    Column("customer", _Name),
    Column("session", _Name),
    Column("item", _Name, nullable=False),
    Column("kind", _Name, nullable=False),
    Column("at", _Number, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("appended_at", _Number, nullable=False),
    Index("online_events_by_id", "event_id", unique=True),
    Index("online_events_by_customer", "customer", "at"),
    Index("online_events_by_session", "session", "at"),
)

withheld = Table(
    "online_withheld",
    metadata,
    Column("kind", _Name, primary_key=True),
    Column("key", _Name, primary_key=True),
    comment="Documents that are shown to nobody, whichever version readers see: a rollback turns the pointer, and leaves this as it is.",
)

SLOT = "online"
WRITING, PUBLISHED, ABANDONED, PRUNED = "writing", "published", "abandoned", "pruned"
VERSION_COUNTER, CHANGE_COUNTER, EVENT_COUNTER, WITHHELD_COUNTER = "version", "change", "event", "withheld"
LOG_NAME = "log"
"""Not counted: drawn once, to tell this log of events from that of another store at the same address."""
