"""How late the time of a last change can be: what lies ahead of the clock is none.

What belongs here: the day behind which a cursor value is no longer taken for the time of a change. What does not: what looks (`Source.probe`) and
loads (`plinth.ingest`) do about one.

Legacy systems have rows that are to change in the year 9999, and slips of the keyboard like 2204 for 2024. As the highest cursor value one such row
would be the watermark: every change after it would lie behind, and neither a look nor a load would see an update again.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_AHEAD = timedelta(days=2)
"""Clocks without a zone run up to 14 hours ahead of UTC, and some servers' by hours more."""
_TIME = re.compile(r"(\d{4,})-\d\d-\d\d(?!.*BC)")


def horizon() -> str:
    """The first day, as ISO text, on which no change can have happened yet, whatever the zone."""
    return (datetime.now(UTC) + _AHEAD).date().isoformat()


def is_ahead(value: str | None) -> bool:
    """Whether a cursor value, as text, is a time beyond the horizon; a number never is."""
    found = _TIME.match(value or "")
    if found is None:
        return value == "infinity"
    return (len(found.group(1)), value or "") >= (4, horizon())
