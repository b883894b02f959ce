"""What the store takes and gives: documents, versions, events. Plain values, no database in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

LONGEST_KEY = 512
"""Characters. An index entry of PostgreSQL may have 2,704 bytes; a longer key is no key of ours."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Document:
    """One answer, as the API sends it: `kind` says what it is, `key` whom or what it is about."""

    kind: str
    key: str
    body: bytes


@dataclass(frozen=True)
class OnlineVersion:
    """One published version.

    Attributes:
        published_at: when readers began to see it, UTC.
        inputs: what it was made from: table or model, and its version.
        documents: how many documents of each kind it holds.
        changed: how many of them were written, or taken away, against the version before.
        verified_at: when a publish last found that this is still what its inputs say, UTC.
    """

    id: int
    published_at: datetime
    inputs: Mapping[str, str]
    documents: Mapping[str, int]
    label: str = ""
    changed: int = 0
    verified_at: datetime = field(default=_EPOCH)


@dataclass(frozen=True, slots=True)
class Event:
    """Something a customer or a visitor did. `event_id` is the sender's: the same id is the same event, however often it comes."""

    event_id: str
    customer: str | None
    session: str | None
    item: str
    kind: str
    at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with its place in the log. Whoever has read up to `sequence` misses nothing by asking for what comes after it."""

    sequence: int
    event_id: str
    customer: str | None
    session: str | None
    item: str
    kind: str
    at: datetime
    body: bytes
    appended_at: datetime


@dataclass(frozen=True)
class AppendResult:
    """Which events of a batch are new in the log, and which were there before, each in the order of the batch."""

    accepted: list[str]
    repeated: list[str]


def storable(text: str) -> bool:
    """Whether all three databases can hold a text as a key: no NUL, no half of a surrogate pair, not too long."""
    if len(text) > LONGEST_KEY or "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def to_microseconds(at: datetime) -> int:
    """A point in time as the databases hold it: a whole number sorts and compares the same in all of them."""
    return (at - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The point in time, UTC."""
    return _EPOCH + timedelta(microseconds=value)


def now() -> int:
    """Now, in microseconds."""
    return to_microseconds(datetime.now(UTC))
