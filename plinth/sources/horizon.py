"""How late the time of a last change can be: what lies ahead of the clock is none.

What belongs here: the day behind which a cursor value is no longer taken for the time of a change, and the numbers that stand for never. What does
not: what looks (`Source.probe`) and loads (`plinth.ingest`) do about one.

Legacy systems have rows that are to change in the year 9999, and slips of the keyboard like 2204 for 2024. As the highest cursor value one such row
would be the watermark: every change after it would lie behind, and neither a look nor a load would see an update again. Where days are numbers
(20240131) the same rows have nines only. A counter that passes such a number loses nothing by it: its row is read once more than needed, and all rows
once where a release before this one has kept it as the watermark.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_AHEAD = timedelta(days=2)
"""Clocks without a zone run up to 14 hours ahead of UTC, and some servers' by hours more."""
NEVER = tuple(10**digits - 1 for digits in range(6, 19))
"""Numbers of nines only, from 999999 (a day of six digits) to what a whole number of 64 bits holds."""
_NEVER = re.compile(r"9{6,18}(\.0*)?")
_TIME = re.compile(r"(\d{4,})-\d\d-\d\d(?!.*BC)")


def horizon() -> str:
    """The first day, as ISO text, on which no change can have happened yet, whatever the zone."""
    return (datetime.now(UTC) + _AHEAD).date().isoformat()


def is_ahead(value: str | None) -> bool:
    """Whether a cursor value, as text, is a time beyond the horizon, or a number of nines only."""
    if _NEVER.fullmatch(value or ""):
        return True
    found = _TIME.match(value or "")
    if found is None:
        return value == "infinity"
    return (len(found.group(1)), value or "") >= (4, horizon())


def nevers(value: str) -> tuple[str, ...]:
    """The numbers of nines up to a value that is one, which a column that holds it can be compared with; none where the value is a time."""
    digits = value.partition(".")[0]
    return tuple(str(number) for number in NEVER if len(str(number)) <= len(digits)) if _NEVER.fullmatch(value) else ()


def not_ahead(cursor: str, value: str, *, quoted: bool = True) -> str:
    """SQL predicate for the rows that are not ahead.

    Args:
        cursor: the column as it stands in SQL.
        value: one that is ahead, which says whether they are numbers or times.
        quoted: numbers as texts, which PostgreSQL and SQLite compare as what the column holds; MySQL would compare both as floating-point numbers.
    """
    numbers = nevers(value)
    return (
        f"{cursor} NOT IN ({', '.join(map(repr, numbers) if quoted else numbers)})"
        if numbers
        else f"{cursor} < '{horizon()}'"
    )
