"""Features as of an instant, computed now: of all entities from the lakehouse, or of one from its events in memory.

What belongs here: running a view's SQL and handing over the answer. What does not: keeping it (`store`), and matching it to training rows
(`training`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from plinth.engine import connect, quote
from plinth.features.declare import AS_OF, KNOWN_AT, FeatureView
from plinth.features.query import Entity, instant, prepare, sql_of, window_start
from plinth.features.rows import Inputs, explained, given_rows, session
from plinth.lakehouse.tables import Lakehouse
from plinth.profile import Profile

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_ONLINE, _ONLINE_MEMORY = Profile(cpu=1, memory=512 * 2**20, threads=1), 384 * 2**20


def snapshot(lakehouse: Lakehouse, view: FeatureView, at: datetime, *, entity: Entity | None = None) -> pa.Table:
    """A view's features of all entities as of an instant.

    Args:
        at: only rows that happened and were known before it count; the trade's local time, without a zone.
        entity: only this entity, or those that share some key columns (`{"customer_no": 12345}`).

    Returns:
        the entity's columns, `as_of`, `known_at` and one column for each feature, in the order of the keys.

    Raises:
        TableMissing: a table of the view has not been made yet.
        FeatureViewError: `entity` names no key column.
    """
    with session(lakehouse) as con, explained(view):
        sql = sql_of(view, Inputs.open(lakehouse, view).rows(), at, entity=entity)
        return con.execute(f"SELECT {_shown(view)} FROM ({sql}) ORDER BY ALL").to_arrow_table()


def values_of(view: FeatureView, events: Mapping[str, pa.Table], at: datetime, entity: Entity) -> dict[str, Any] | None:
    """One entity's features as of an instant from its events in memory, by the SQL that snapshots are made by.

    Args:
        events: rows of each source: its declared columns, `event_time` and, where it differs, `known_time`. Of a source with a `scope`
            those of the entity do.

    Returns:
        feature names and values; None where the entity has no row before the instant.

    Raises:
        FeatureViewError: a source's rows or columns are missing, or `entity` names no key column.
    """
    found = rows_of_entity(view, events, at, entity)
    return {name: found[0][name] for name in view.features} if found else None


def rows_of_entity(
    view: FeatureView, events: Mapping[str, pa.Table], at: datetime, entity: Entity
) -> list[dict[str, Any]]:
    """The same of all that share some key columns, such as every item of a customer: keys and features, in the order of the keys.

    Raises:
        FeatureViewError: as `values_of`.
    """
    con = connect(_ONLINE, memory=_ONLINE_MEMORY)
    try:
        prepare(con)
        with explained(view):
            sql = sql_of(view, given_rows(con, view, events), at, entity=entity)
            found = con.execute(f"SELECT {_shown(view)} FROM ({sql}) ORDER BY ALL").to_arrow_table()
    finally:
        con.close()
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def events_of(lakehouse: Lakehouse, view: FeatureView, at: datetime, entity: Entity) -> dict[str, pa.Table]:
    """The rows that `values_of` needs for an entity, read from the lakehouse.

    Raises:
        TableMissing: a table of the view has not been made yet.
    """
    with session(lakehouse) as con, explained(view):
        return read_events(con, Inputs.open(lakehouse, view), at, entity)


def read_events(con: duckdb.DuckDBPyConnection, inputs: Inputs, at: datetime, entity: Entity) -> dict[str, pa.Table]:
    """The same by a connection and from versions that are open already."""
    events = {}
    for name, rows in inputs.rows().items():
        wanted = [key for key in inputs.view.sources[name].scope if key in entity]
        # Where the rows of others count, as in what goes together, these are all rows of the window: older ones would only be carried about.
        window = inputs.view.sources[name].window
        since = f" AND event_time >= {instant(window_start(at, window))}" if window is not None else ""
        condition = f"event_time < {instant(at)}{since}" + "".join(f" AND {quote(key)} = ?" for key in wanted)
        values = [entity[key] for key in wanted]
        events[name] = con.execute(f"SELECT * FROM {rows} WHERE {condition}", values).to_arrow_table()
    return events


def _shown(view: FeatureView) -> str:
    return ", ".join(quote(name) for name in (*view.keys, AS_OF, KNOWN_AT, *view.features))
