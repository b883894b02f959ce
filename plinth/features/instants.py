"""Features at the very time stamps of entity rows, computed from the rows of the views' tables: no snapshot is read, and none has to be made.

What belongs here: one instant after the other, and the entity rows in portions. What does not: what a view's SQL is (`query`), and what is asked
(`training`). A model learns from few instants that lie far apart, some of them years back: computing a view there costs one pass for each, where
snapshots would have to be materialised for every week between.

A view's values of one instant stand in the engine, which spills them to disk; only a portion of the entity rows with their features is in memory.

Few rows keep one thread busy and leave the others waiting: one instant of 790,000 lines takes two threads 1.5 CPU seconds and one thread 1.2. There as many
instants are computed side by side as the engine has threads, each by one of them; the values are the same, as no sum depends on the order of its rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING

from plinth.engine import memory_of, quote
from plinth.features.declare import FeatureViewError
from plinth.features.guard import check_sql
from plinth.features.query import prepare, sql_of
from plinth.features.rows import Inputs, explained, held_rows

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MOST_INSTANTS = 400
"""Each costs a pass over the rows. A row that has a time stamp of its own, as an event does, is for the snapshots."""
PORTION = 100_000
"""Entity rows in memory at once; 150 features of so many are 120 MB."""
SIDE_BY_SIDE = 4_000_000
"""Rows of all sources together up to which instants are computed side by side: of more, each instant has work for all threads."""
_BESIDE = 150
"""Bytes for each of these rows that one more instant at a time takes (440 MB of 2.9 million); half of the engine's memory may go there."""
ROW = "_row"
_NEVER = datetime(1900, 1, 1)
_ASKED, _AT = "plinth_asked_rows", "_at"


@dataclass(frozen=True)
class Wanted:
    """Features of one view: its tables at pinned versions, and the names in the view with those in the result."""

    inputs: Inputs
    features: Mapping[str, str]


def portions_at(
    con: duckdb.DuckDBPyConnection, wanted: Sequence[Wanted], entities: pa.Table, at: str, *, rows: int = PORTION
) -> Iterator[pa.Table]:
    """The features of the entity rows at their time stamps: `_row`, the number of the row, and a column for each feature.

    A row's features are those of the view as of its time stamp: what happened before it and was known before it. Where the view knows no such
    entity then, or the row has no time stamp, they are null.

    Args:
        entities: the views' key columns, the time stamp, and whatever else.
        at: name of the time stamp's column.
        rows: so many entity rows at most make a portion.

    Raises:
        FeatureViewError: there are too many different time stamps, or a view reads what it may not.
    """
    moments = _moments(entities, at)
    held = [_held(con, number, each, moments) for number, each in enumerate(wanted)]
    numbered = _numbered(wanted, entities, at)
    asked = [(moment, _of(numbered, moment)) for moment in (*moments, None)]
    asked = [(moment, part) for moment, part in asked if part.num_rows or not entities.num_rows]
    threads = _threads(con)
    if len(asked) > 1 and threads > 1 and _fits_beside(con, _rows_held(con, held), threads):
        yield from _side_by_side(con, wanted, held, asked, rows, threads)
        return
    for moment, part in asked:
        yield from _portions(con, wanted, held, moment, part, rows)


def _portions(
    con: duckdb.DuckDBPyConnection,
    wanted: Sequence[Wanted],
    held: Sequence[Mapping[str, str]],
    moment: datetime | None,
    asked: pa.Table,
    rows: int,
) -> Iterator[pa.Table]:
    """The portions of one instant."""
    for number, (each, relations) in enumerate(zip(wanted, held, strict=True)):
        _compute(con, number, each, relations, moment)
    # Of nobody there is one portion too: whoever asks counts on the columns.
    for first in range(0, max(1, asked.num_rows), rows):
        yield _joined(con, wanted, asked.slice(first, rows))


def _side_by_side(
    con: duckdb.DuckDBPyConnection,
    wanted: Sequence[Wanted],
    held: Sequence[Mapping[str, str]],
    asked: Sequence[tuple[datetime | None, pa.Table]],
    rows: int,
    threads: int,
) -> Iterator[pa.Table]:
    """The portions of several instants, in their order, of which no more lie ready than there are threads."""
    cursors: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()

    def made(moment: datetime | None, part: pa.Table) -> list[pa.Table]:
        cursor = cursors.get()
        try:
            return list(_portions(cursor, wanted, held, moment, part, rows))
        finally:
            cursors.put(cursor)

    with _one_thread_each(con, threads), ThreadPoolExecutor(threads) as pool:
        for _ in range(threads):
            cursor = con.cursor()
            prepare(cursor)
            cursors.put(cursor)
        waiting: deque[Future[list[pa.Table]]] = deque()
        try:
            for moment, part in asked:
                waiting.append(pool.submit(made, moment, part))
                if len(waiting) > threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def _one_thread_each(con: duckdb.DuckDBPyConnection, threads: int) -> Iterator[None]:
    """The engine's own threads rest: each query is computed by the thread that asks."""
    con.execute("SET threads = 1")
    try:
        yield
    finally:
        con.execute(f"SET threads = {threads}")


def _threads(con: duckdb.DuckDBPyConnection) -> int:
    found = con.execute("SELECT current_setting('threads')").fetchone()
    return int(found[0]) if found else 1


def _fits_beside(con: duckdb.DuckDBPyConnection, rows: int, threads: int) -> bool:
    """Whether as many instants as there are threads have work and room beside each other."""
    return rows <= SIDE_BY_SIDE and (threads - 1) * rows * _BESIDE <= memory_of(con) / 2


def _rows_held(con: duckdb.DuckDBPyConnection, held: Sequence[Mapping[str, str]]) -> int:
    counts = [f"SELECT count(*) AS n FROM {table}" for relations in held for table in relations.values()]
    found = con.execute(f"SELECT sum(n) FROM ({' UNION ALL '.join(counts)})").fetchone() if counts else None
    return int(found[0]) if found else 0


def _moments(entities: pa.Table, at: str) -> list[datetime]:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.unique(pc.drop_null(entities[at].cast(pa.timestamp("us"))))
    if len(found) > MOST_INSTANTS:
        raise FeatureViewError(
            "the features of too many different time stamps are to be computed anew",
            expected=f"at most {MOST_INSTANTS}",
            found=len(found),
            remedy="round them, or take the weekly snapshots: leave out `tables`",
        )
    return sorted(found.to_pylist())


def _held(
    con: duckdb.DuckDBPyConnection, number: int, wanted: Wanted, moments: Sequence[datetime]
) -> Mapping[str, str]:
    """The rows of the view's sources; copied into the engine where several instants read them."""
    check_sql(wanted.inputs.view)
    if len(moments) < 2:
        return wanted.inputs.rows()
    with explained(wanted.inputs.view):
        return held_rows(con, wanted.inputs, moments[0], moments[-1], prefix=f"held_{number}_", shared=True)


def _numbered(wanted: Sequence[Wanted], entities: pa.Table, at: str) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    keys = dict.fromkeys(key for each in wanted for key in each.inputs.view.keys)
    columns = {key: entities[key] for key in keys}
    return pa.table(
        {**columns, _AT: entities[at].cast(pa.timestamp("us")), ROW: np.arange(entities.num_rows, dtype=np.int64)}
    )


def _of(numbered: pa.Table, moment: datetime | None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    if moment is None:
        return numbered.filter(pc.is_null(numbered[_AT]))
    return numbered.filter(pc.equal(numbered[_AT], pa.scalar(moment, pa.timestamp("us"))))


def _compute(
    con: duckdb.DuckDBPyConnection, number: int, wanted: Wanted, rows: Mapping[str, str], moment: datetime | None
) -> None:
    """Makes the table of a view's values at an instant; without an instant, at one before anything happened."""
    view = wanted.inputs.view
    columns = ", ".join(quote(name) for name in (*view.keys, *wanted.features))
    sql = sql_of(view, rows, moment or _NEVER)
    with explained(view):
        con.execute(f"CREATE OR REPLACE TEMP TABLE {_values(number)} AS SELECT {columns} FROM ({sql})")


def _joined(con: duckdb.DuckDBPyConnection, wanted: Sequence[Wanted], asked: pa.Table) -> pa.Table:
    values = ", ".join(
        f"v{number}.{quote(name)} AS {quote(named)}"
        for number, each in enumerate(wanted)
        for name, named in each.features.items()
    )
    joins = " ".join(
        f"LEFT JOIN {_values(number)} AS v{number} ON "
        + " AND ".join(f"e.{quote(key)} = v{number}.{quote(key)}" for key in each.inputs.view.keys)
        for number, each in enumerate(wanted)
    )
    con.register(_ASKED, asked)
    try:
        return con.execute(f"SELECT e.{ROW}, {values} FROM {_ASKED} AS e {joins} ORDER BY e.{ROW}").to_arrow_table()
    finally:
        con.unregister(_ASKED)


def _values(number: int) -> str:
    return f"plinth_values_{number}"
