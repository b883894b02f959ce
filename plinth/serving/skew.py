"""Served against offline: the features that some documents hold, computed again one entity by one as of the same moment.

What belongs here: choosing entities, reading their documents back and comparing. What does not: what becomes of a difference (the asset checks).
Documents are made for all entities at once; here each one's rows are read from the very versions of the tables that the documents name, and
computed in memory. Equal means equal to the last digit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from plinth.engine import quote
from plinth.features.bound import OnlineRows
from plinth.features.compute import read_events, rows_of_entity
from plinth.features.declare import FeatureView
from plinth.features.query import instant, window_start
from plinth.features.rows import Inputs, session
from plinth.features.skew import Difference
from plinth.lakehouse.tables import Lakehouse
from plinth.serving.features import FORMS, Form, OnlineFeatures, instant_of, online_views

if TYPE_CHECKING:
    import duckdb

    from plinth.online import OnlineStore, OnlineVersion

_MANY, _FEW = 10, 3
"""Entities that are compared, and of a view for which the rows of all others count: each of these costs a pass over all rows."""


@dataclass(frozen=True)
class ServedSkew:
    """What a comparison of one view found.

    Attributes:
        at: the moment that the documents are as of; None where there is nothing to compare.
        entities: how many were compared: customers or items.
        values: how many values of theirs.
        differences: the values that are not the same; `as_of` among them where a document is of another moment, and `rows` where it holds
            other rows of pairs, or in another order.
        why: the reason for comparing nothing, in words.
    """

    at: datetime | None = None
    entities: int = 0
    values: int = 0
    differences: tuple[Difference, ...] = ()
    why: str = ""


def measure_served_skew(lakehouse: Lakehouse, store: OnlineStore) -> dict[str, ServedSkew]:
    """Compares what is served of some entities, other ones for each version, with their features as of the same moment, view by view.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    views = online_views(lakehouse)
    version = store.current()
    if version is None:
        return dict.fromkeys(views, ServedSkew(why="nothing was published yet"))
    features, why = _made_from(lakehouse, version)
    if features is None:
        return dict.fromkeys(views, ServedSkew(why=why))
    found = dict.fromkeys(views, ServedSkew(why="what is served does not hold it yet"))
    with session(lakehouse) as con:
        at = instant_of(con, features)
        if at is None:
            return dict.fromkeys(views, ServedSkew(why="there is no row yet that features are made from"))
        for form in FORMS:
            for name, inputs in features.of(form).items():
                found[name] = _of_view(con, store, version, form, inputs, at)
    return found


def _of_view(
    con: duckdb.DuckDBPyConnection,
    store: OnlineStore,
    version: OnlineVersion,
    form: Form,
    inputs: Inputs,
    at: datetime,
) -> ServedSkew:
    scoped = all(source.scope for source in inputs.view.sources.values())
    keys = _some(con, form.entity[0], inputs, at, _MANY if scoped else _FEW, version.id)
    served = store.read_many(form.kind, [str(key) for key in keys], version.id)
    found: list[Difference] = []
    for key in keys:
        body = served.get(str(key))
        found += _compared(con, form, inputs, at, key, json.loads(body) if body is not None else {})
    return ServedSkew(at, len(keys), len(found), tuple(each for each in found if each.offline != each.online))


def _made_from(lakehouse: Lakehouse, version: OnlineVersion) -> tuple[OnlineFeatures | None, str]:
    """The views over the versions of the tables that a version of the store names, or why that cannot be."""
    views = online_views(lakehouse)
    made = {name: view for name, view in views.items() if str(view.table) in version.inputs}
    if not made:
        return None, "no features were published"
    opened = OnlineFeatures(
        {
            name: Inputs(
                view,
                {table: lakehouse.open(table, version=int(version.inputs[str(table)])) for table in view.tables},
            )
            for name, view in made.items()
        }
    )
    if any(version.inputs[name] != said for name, said in opened.declared.items()):
        return None, "the declarations changed since; the next publication follows them"
    return opened, ""


def _some(
    con: duckdb.DuckDBPyConnection, key: str, inputs: Inputs, at: datetime, number: int, seed: int
) -> list[int | str]:
    known = " UNION ALL ".join(
        f"SELECT {quote(key)} AS key FROM {rows} WHERE event_time < {instant(at)} AND known_time < {instant(at)}"
        + (f" AND event_time >= {instant(window_start(at, source.window))}" if source.window is not None else "")
        for source, rows in ((inputs.view.sources[name], rows) for name, rows in inputs.rows().items())
        if key in source.columns
    )
    found = con.execute(
        f"SELECT key FROM (SELECT DISTINCT key FROM ({known}) WHERE key IS NOT NULL) ORDER BY hash(key, {seed}), key LIMIT {number}"
    )
    return [row[0] for row in found.fetchall()]


def _compared(
    con: duckdb.DuckDBPyConnection,
    form: Form,
    inputs: Inputs,
    at: datetime,
    key: int | str,
    served: Mapping[str, Any],
) -> Iterator[Difference]:
    """Each value of an entity twice: offline as computed here, online as served."""
    view, entity = inputs.view, {form.entity[0]: key}
    computed = rows_of_entity(view, read_events(con, inputs, at, entity), at, entity)
    if not computed and not served:
        return
    yield Difference(entity, "as_of", at.isoformat(), served.get("as_of"))
    online = (served.get("features") or {}).get(view.name)
    if not isinstance(view.online, OnlineRows):
        yield from _row(view, entity, computed[0] if computed else {}, online or {})
        return
    offline = {_rest(view, row): row for row in _kept(view, view.online, computed)}
    held = {tuple(each[name] for name in form.names[1:]): each["values"] for each in online or ()}
    yield Difference(entity, "rows", list(offline), list(held))
    for rest in offline.keys() & held.keys():
        yield from _row(view, {**entity, **dict(zip(view.keys[1:], rest, strict=True))}, offline[rest], held[rest])


def _row(
    view: FeatureView, entity: Mapping[str, Any], offline: Mapping[str, Any], online: Mapping[str, Any]
) -> Iterator[Difference]:
    for feature in view.features:
        yield Difference(entity, f"{view.name}.{feature}", _as_sent(offline.get(feature)), online.get(feature))


def _kept(view: FeatureView, bound: OnlineRows, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of an entity that a document holds, in its order; worked out by hand and not by the SQL that made it."""

    def place(row: Mapping[str, Any]) -> tuple[Any, ...]:
        value = row[bound.order]
        return (value is None, -value if value is not None else 0, *(row[key] for key in view.keys[1:]))

    return sorted(rows, key=place)[: bound.most]


def _rest(view: FeatureView, row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[key]) for key in view.keys[1:])


def _as_sent(value: Any) -> Any:
    """A value as JSON gives it back."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
