"""What a propensity learns from and is asked about: customers at instants, and whether they bought in the weeks that followed.

What belongs here: which customers there are at an instant, their labels, and how many of them memory has room for. What does not: their features,
which are declared views (`plinth.features`), and learning (`propensity`).

The relation `lines` has customer BIGINT, time TIMESTAMP and known TIMESTAMP, as `booked.make_lines` makes it. A customer is one at an instant if a
line of his had happened before it and was known before it. A label is about what came later, so it takes everything that is known today.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from plinth.engine import quote
from plinth.promote.errors import ExamplesUnusable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    import pyarrow as pa

    from plinth.profile import Profile

HORIZON = timedelta(days=28)
SPACING = HORIZON / 2
"""Between the cut-offs that a propensity learns from."""
_BYTES = 48
"""What one value takes while a model is trained: as Arrow, sorted, as a matrix, in single precision and back, and where it stands."""
_SHARE = 0.5
"""Of the profile's memory."""
_SCATTER, _RANGE = 2_654_435_761, 2**32

_LABELS = """
SELECT p.customer AS customer_no, p.at, p.customer IN
    (SELECT l.customer FROM {lines} l WHERE l.time >= p.at AND l.time < p.at + INTERVAL {days} DAY) AS bought
FROM (SELECT DISTINCT l.customer, c.at FROM plinth_cutoffs c JOIN {lines} l ON l.time < c.at AND l.known < c.at) p ORDER BY p.at, p.customer
"""


def labels(
    con: duckdb.DuckDBPyConnection, lines: str, cutoffs: Sequence[datetime], horizon: timedelta = HORIZON
) -> pa.Table:
    """At each cut-off every customer who was one (`customer_no`), `at`, and whether he buys within the horizon: `bought`.

    Raises:
        ExamplesUnusable: no cut-off is given.
    """
    if not cutoffs:
        raise ExamplesUnusable("there is no cut-off to learn from", expected="at least one instant", found="none")
    con.execute('CREATE OR REPLACE TEMP TABLE plinth_cutoffs ("at" TIMESTAMP)')
    con.executemany("INSERT INTO plinth_cutoffs VALUES (?)", [(at,) for at in cutoffs])
    return con.execute(_LABELS.format(lines=quote(lines), days=horizon.days)).to_arrow_table()


def cutoffs_before(last: datetime, first: datetime, step: timedelta = HORIZON) -> tuple[datetime, ...]:
    """`last` and the instants before it in steps, not before `first`, oldest first."""
    found = []
    while last >= first:
        found.append(last)
        last -= step
    return tuple(reversed(found))


def room_for(profile: Profile, features: int) -> int:
    """How many rows of so many features can be learnt from within a profile's memory."""
    return max(1, int(_SHARE * profile.memory / (_BYTES * max(1, features))))


def thinned(rows: pa.Table, most: int) -> pa.Table:
    """The rows, or those of a share of the customers where they are more than `most`; the same customers at each cut-off, and in each round."""
    if rows.num_rows <= most:
        return rows
    import pyarrow as pa

    place = np.asarray(rows["customer_no"].to_numpy()).astype(np.uint64) * np.uint64(_SCATTER) % np.uint64(_RANGE)
    return rows.filter(pa.array(place < np.uint64(_RANGE * most // rows.num_rows)))
