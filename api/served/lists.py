"""Lists that are made while somebody waits: a stored list with a session blended in, a cold start, the first few rows of a list.

What belongs here: from bodies and events to a body. What does not: which events count (`api.served.live`), and HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from api.served.shelf import Shelf
from plinth.recommend.session import SessionState, blend

IN_SESSION = "goes with what was looked at"


@dataclass(frozen=True)
class Suggestion:
    """One row of a list."""

    item: str
    score: float
    reason: str
    description: str | None

    def row(self) -> dict[str, Any]:
        """The row as it goes into a body."""
        said: dict[str, Any] = {"item": self.item, "score": round(self.score, 6), "reason": self.reason}
        return said if self.description is None else {**said, "description": self.description}


def stored(*bodies: bytes) -> list[Suggestion]:
    """The rows of stored bodies, one after the other."""
    return [
        Suggestion(row["item"], float(row.get("score", 0.0)), row.get("reason") or "", row.get("description"))
        for body in bodies
        for row in json.loads(body)["items"]
    ]


def blended(shelf: Shelf, base: Sequence[Suggestion], session: SessionState, rows: int) -> list[Suggestion]:
    """The list after what a session said. Rows that were there keep their reason; new ones say that they come from the session."""
    known = {each.item: each for each in base}
    mixed = blend([(each.item, each.score) for each in base], session, rows)
    # Of an item that is new to the list the session has to say something.
    return [_suggestion(shelf, known, item, score) for item, score in mixed if score > 0 or item in known]


def _suggestion(shelf: Shelf, known: Mapping[str, Suggestion], item: str, score: float) -> Suggestion:
    before = known.get(item)
    if before is not None:
        return Suggestion(item, score, before.reason, before.description)
    return Suggestion(item, score, IN_SESSION, describe(shelf, item))


def describe(shelf: Shelf, item: str) -> str | None:
    """An item's description, where it is published."""
    body = shelf.get("item", item)
    if body is None:
        return None
    said = json.loads(body).get("description")
    return said if isinstance(said, str) else None


def popular(shelf: Shelf, country: str | None) -> list[Suggestion] | None:
    """The list of a country, or that of all where the country has none; None where neither is published."""
    found = shelf.get("popular", country) if country else None
    body = found if found is not None else shelf.get("popular", "")
    if body is None:
        return None
    where = f"popular in {country}" if found is not None else "popular in all countries"
    return [replace(each, reason=each.reason or where) for each in stored(body)]


def body_of(head: Mapping[str, Any], rows: Iterable[Suggestion]) -> bytes:
    """A body with its list."""
    return json.dumps(
        {**head, "items": [each.row() for each in rows]}, ensure_ascii=False, separators=(",", ":")
    ).encode()


def first_rows(body: bytes, rows: int, *more: bytes) -> bytes:
    """A stored body with no more than so many rows, of its own and then of those that go on after it."""
    said = json.loads(body)
    for each in more:
        said["items"] += json.loads(each)["items"]
    said["items"] = said["items"][:rows]
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
