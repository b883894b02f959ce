"""The moments of a round.

What belongs here: up to when a table is known. What does not: windows, which each model chooses.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from plinth.training.target import NotTrainable


def first_unseen(newest: object) -> datetime:
    """The midnight after the newest purchase, the first moment of which nothing is known.

    Raises:
        NotTrainable: there is no purchase.
    """
    if not isinstance(newest, datetime):
        raise NotTrainable("nobody has bought anything yet")
    return datetime(newest.year, newest.month, newest.day) + timedelta(days=1)
