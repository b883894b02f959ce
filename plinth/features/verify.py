"""Whether a feature table is what its view declares: columns, keys, clocks.

What belongs here: looking at the table as it is. What does not: whether its values are right (`skew`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from plinth.engine import quote
from plinth.features.declare import AS_OF, KNOWN_AT, SNAPSHOT, FeatureView
from plinth.features.query import columns_of
from plinth.features.rows import session
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import Lakehouse, TableVersion


class Part(str, Enum):
    """What is looked at."""

    SCHEMA = "schema"
    KEYS = "keys"
    CLOCKS = "clocks"


@dataclass(frozen=True)
class Finding:
    """What was found of one part; `broken` counts columns or rows, and nothing is wrong at 0."""

    part: Part
    broken: int
    found: str


def verify(lakehouse: Lakehouse, view: FeatureView) -> Iterator[Finding]:
    """Looks at every part of a view's table.

    Raises:
        TableMissing: it has not been made yet.
    """
    version = lakehouse.open(view.table)
    yield _schema(version, view)
    keys = ", ".join(quote(key) for key in view.keys)
    nulls = " OR ".join(f"{quote(key)} IS NULL" for key in view.keys)
    rows = rows_of(version)
    with session(lakehouse) as con:
        missing, late, total = con.execute(
            f"SELECT count(*) FILTER ({nulls}), count(*) FILTER ({KNOWN_AT} >= {AS_OF} OR {AS_OF} <> CAST({SNAPSHOT} AS TIMESTAMP)), count(*) FROM {rows}"
        ).fetchone() or (0, 0, 0)
        # One partition after the other: their rows cannot meet, and each fits into little memory.
        doubled = 0
        for day in sorted({str(file.partition[SNAPSHOT]) for file in version.files}):
            found = con.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM {rows} WHERE {SNAPSHOT} = CAST(? AS DATE) GROUP BY {keys} HAVING count(*) > 1)",
                [day],
            ).fetchone()
            doubled += int(found[0]) if found else 0
    yield Finding(
        Part.KEYS,
        missing + doubled,
        f"{total} rows, {missing} without a key, {doubled} entities with more than one row of an instant",
    )
    yield Finding(Part.CLOCKS, late, f"{total} rows, {late} with something from their own future")


def _schema(version: TableVersion, view: FeatureView) -> Finding:
    there = {column.name: column.type for column in version.columns}
    wanted = {column.name: column.type for column in columns_of(view)}
    wrong = sorted(name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name))
    return Finding(
        Part.SCHEMA,
        len(wrong),
        f"columns that differ: {', '.join(wrong)}" if wrong else f"{len(wanted)} columns as declared",
    )
