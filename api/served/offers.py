"""Offers as they are shown today: none of customers who do not consent now, none whose last day has passed.

What belongs here: today, and what it leaves of a document. What does not: who consents (`plinth.serving.consents`).

The plan goes by the day of the data, one after the newest order. Where that is about the day of the publication, today is the calendar's.
Where the data end long before, as those of the sample or of a test from an export do, the days since the publication are counted from the day
of the plan: such offers end as well, after as many days as they were planned for.
"""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any

OFFERS_KIND = "promotions"

_LIVE = timedelta(days=31)
"""Data that are older when they are published are no living shop's, and the calendar says nothing of their offers."""


def current_offers(body: bytes, published_at: datetime, today: date) -> bytes | None:
    """A customer's document without the offers that have ended; None where none is left.

    Args:
        published_at: of the version that holds it.
        today: by the calendar, UTC.
    """
    said: dict[str, Any] = json.loads(body)
    day = _day(said.get("planned_on"), published_at, today).isoformat()
    # A day as text sorts like the day; an offer without one never ends.
    left = [offer for offer in said["offers"] if (offer.get("ends_on") or day) >= day]
    if len(left) == len(said["offers"]):
        return body
    said["offers"] = left
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode() if left else None


def _day(planned_on: str | None, published_at: datetime, today: date) -> date:
    if planned_on is None:
        return today
    behind = published_at.date() - date.fromisoformat(planned_on)
    return today if behind <= _LIVE else today - behind
