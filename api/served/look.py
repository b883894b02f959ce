"""One look at the store: which version is served, which keys there are, and which events other processes took.

What belongs here: reading, on a thread that may block. What does not: acting on it (`api.worker`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from api.keys.key import Key
from api.keys.table import KeyTable
from api.served.offers import OFFERS_KIND
from plinth.online import OnlineStore, OnlineVersion, StoredEvent, StoreUnavailable

PAGE = 1000
_FARTHEST = 1 << 62
_MOST_AGAIN = 100_000
"""Events; reading so many takes two or three seconds, in which a worker that starts is not ready."""


@dataclass(frozen=True)
class Place:
    """The number of the last event that is known, and the log that it is of."""

    log: str
    after: int


@dataclass(frozen=True)
class Withheld:
    """Customers whose offers are shown to nobody, and the number of the change that made it these."""

    change: int = -1
    customers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Look:
    """What a look saw.

    Attributes:
        events: those after the place that it was given, at most one page.
        place: where they end.
        anew: whether they do not go on from there: it was of another log, or none.
    """

    version: OnlineVersion | None
    keys: Sequence[Key]
    events: Sequence[StoredEvent]
    place: Place
    anew: bool
    withheld: Withheld


def look(store: OnlineStore, keys: KeyTable, place: Place | None, withheld: Withheld, since: datetime) -> Look:
    """Looks once.

    Args:
        place: where the look before ended; None for the first one.
        withheld: what the look before saw.
        since: where a log is begun with, its events from then on are read, of very many the last ones.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    version = store.current()
    # After the version: what was withheld before a publish or a rollback is then known with it.
    change = store.withheld_change()
    if change != withheld.change:
        withheld = Withheld(change, store.withheld(OFFERS_KIND))
    log, newest = store.log_name(), store.last_event()
    # A store that was replaced has another log; one that was restored from an older copy gives numbers out a second time.
    anew = place is None or place.log != log or place.after > newest
    after = max(last_before(store, since), newest - _MOST_AGAIN) if anew or place is None else place.after
    events = store.events(after=after, limit=PAGE)
    reached = Place(log, events[-1].sequence if events else after)
    return Look(version, keys.all(), events, reached, anew, withheld)


def set_up(store: OnlineStore, keys: KeyTable) -> bool:
    """Makes what tables are missing; False where the store does not answer."""
    try:
        store.set_up()
        keys.set_up()
    except StoreUnavailable:
        return False
    return True


def last_before(store: OnlineStore, moment: datetime) -> int:
    """The number of the last event that was stored before a moment, found by halving: the log may hold years.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    low, high = 0, 1
    while high < _FARTHEST and _older(store, high, moment):
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        if _older(store, middle, moment):
            low = middle + 1
        else:
            high = middle
    return low


def _older(store: OnlineStore, number: int, moment: datetime) -> bool:
    """Whether the first event after a number was stored before the moment."""
    found = store.events(after=number, limit=1)
    return bool(found) and found[0].appended_at <= moment
